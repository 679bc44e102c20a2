"""What arguments may be: each kind reads one, and what cannot be used is refused in one sentence, with exit code 2."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from selfie3d.address import hosts_of, split_address
from selfie3d_cli.errors import UsageError

MOST_SECONDS = 31 * 86400.0  # what a service accepts at most as the deadline of a job
SECONDS_IN = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MOST = 1_000_000  # of anything that is counted
FILE_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]*")  # of a name that looks like a file's; "2026.11" does not


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line; the usage is as long as a screen."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"{self.prog}: {message.rstrip('.')}. See `{self.prog} --help`.\n")


def listen(text: str) -> str:
    """HOST:PORT to listen on, or unix:/path."""
    return text if text.startswith("unix:") else _checked(split_address, text)


def server(text: str) -> str:
    """The address of a service."""
    return _checked(hosts_of, text)


def server_of(argument: str | None, variable: str) -> str:
    """The address of the argument, which `server` has read, else of SELFIE3D_SERVER. Raises UsageError."""
    try:
        return argument or server(variable)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"SELFIE3D_SERVER={error}.") from error


def seconds(text: str) -> float:
    """A length of time."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, {MOST_SECONDS:.0f} at most")
    return value


def moment(text: str) -> datetime:
    """A time: in ISO 8601, of this machine's zone unless it names one, or how long ago: 90s, 15m, 2h, 7d."""
    ago = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(seconds=int(ago[1]) * SECONDS_IN[ago[2]])
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        text = f"{text!r} is no time: 2026-11-24T21:30 and 15m (ago; s, m, h or d) are"
        raise argparse.ArgumentTypeError(text) from None


def count(text: str) -> int:
    """A whole number above 0."""
    if not re.fullmatch(r"[0-9]{1,7}", text) or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST}")
    return int(text)


def output(what: str, endings: Collection[str]) -> Callable[[str], Path]:
    """The kind of an argument that is a file with one of the endings, or a folder; a new folder may end in a slash."""

    def read(text: str) -> Path:
        path = Path(text)
        looks_like_file = FILE_ENDING.fullmatch(path.suffix) and not (text.endswith("/") or path.is_dir())
        if looks_like_file and path.suffix.lower() not in endings:
            ones = " or ".join(filter(None, [", ".join(sorted(endings)[:-1]), sorted(endings)[-1]]))
            raise argparse.ArgumentTypeError(f"{text!r}: {what} ends in {ones}, the name of a folder in a slash")
        return path

    return read


def _checked(read: Callable[[str], object], text: str) -> str:
    try:
        read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    return text
