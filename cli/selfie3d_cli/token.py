"""`selfie3d token`: a new bearer token for a caller, and the entry that the service keeps instead of it."""

from __future__ import annotations

import argparse
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfie3d.types.mesh_file import write_atomically
from selfie3d_cli.arguments import count
from selfie3d_cli.errors import ExtraMissingError, UsageError

SCOPES = ("submit", "read", "admin")
DEFAULT_SCOPES = ("submit", "read")
PRIVATE = 0o600


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("token", help="make a bearer token and the entry of SELFIE3D_TOKENS that knows it")
    parser.add_argument("caller", help="whose jobs are created with it")
    parser.add_argument("--scope", action="append", choices=SCOPES, help="repeatable, default: submit and read")
    parser.add_argument("--max-active", type=count, metavar="N", help="jobs of the caller that have not ended, at most")
    for span in ("minute", "day"):
        text = f"jobs of the caller created in a {span}, at most"
        parser.add_argument(f"--max-per-{span}", type=count, metavar="N", help=text)
    parser.add_argument(
        "--webhooks",
        action="store_true",
        help="also a secret for the caller's webhooks, printed after the token",
    )
    parser.add_argument("--file", type=Path, help="append the entry there, instead of printing it to stderr")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the token, and the secret of webhooks if one is wanted, a line each; the token never again."""
    try:
        from selfie3d_jobs import ConfigError
        from selfie3d_service.tokens import new_token
        from selfie3d_service.webhook_secret import new_secret
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("service", error.name) from error
    secret = new_secret() if args.webhooks else ""
    try:
        rates = {"max_per_minute": args.max_per_minute, "max_per_day": args.max_per_day}
        token, entry = new_token(args.caller, args.scope or DEFAULT_SCOPES, args.max_active, secret, **rates)
        _keep(entry, args.file)
    except ConfigError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"--file {args.file}: {error.strerror}.") from error
    print(token, *filter(None, [secret]), sep="\n")
    return 0


def _keep(entry: str, file: Path | None) -> None:
    if file is None:
        print(entry, file=sys.stderr)
        return
    file = file.resolve()  # a link stays one
    with _alone_in(file.parent):
        kept = file.read_bytes() if file.exists() else b""
        permissions = stat.S_IMODE(file.stat().st_mode) if file.exists() else PRIVATE
        write_atomically(file, kept + f"{entry}\n".encode(), permissions)  # the service never reads half an entry


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let no other `selfie3d token` change a file there meanwhile: the later of two would undo the earlier."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # writing the file says what is wrong
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
