"""Text for a terminal: no control characters of others, columns as it counts them, colours only where they are seen."""

from __future__ import annotations

from typing import TextIO
from unicodedata import category, east_asian_width

from selfie3d_cli.settings import values_of

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
CODES = {"bold": 1, "red": 31, "green": 32, "yellow": 33}  # ECMA-48, 8.3.117


def printable(text: str) -> str:
    """Text of others without what would move a terminal's cursor or colour it."""
    return "".join(letter if letter.isprintable() else UNPRINTABLE for letter in text)


def columns(text: str) -> int:
    """How many a terminal takes for it: two for a wide letter, none for an accent of its own (UAX 11)."""
    return sum(0 if category(letter) in ("Mn", "Me") else 1 + (east_asian_width(letter) in "WF") for letter in text)


def padded(text: str, width: int) -> str:
    """With blanks behind it up to `width` columns."""
    return text + " " * (width - columns(text))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether what is written there is seen on one that can move its cursor; a stream that was closed is None."""
    return stream is not None and stream.isatty() and values_of("TERM") != ["dumb"]


def styled(text: str, style: str, stream: TextIO | None) -> str:
    """In a style of `CODES` on a terminal, as it is elsewhere, for no style and with NO_COLOR (no-color.org)."""
    if not style or not is_terminal(stream) or any(values_of("NO_COLOR")):
        return text
    return f"\x1b[{CODES[style]}m{text}\x1b[0m"
