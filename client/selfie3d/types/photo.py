"""The photo as the caller has it."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Protocol


class Readable(Protocol):
    """A file opened in binary mode."""

    def read(self) -> bytes:
        """All of its bytes."""
        ...


PhotoSource = (
    bytes | bytearray | memoryview | str | PathLike[str] | Readable
)  # bytes, the path of a file, or an open file


def photo_bytes(photo: PhotoSource) -> bytes:
    """The bytes to send. Raises OSError when the file cannot be read, TypeError for text files and other things."""
    if isinstance(photo, bytes | bytearray | memoryview):
        return bytes(photo)
    if isinstance(photo, str | PathLike):
        return Path(photo).read_bytes()
    data = photo.read() if hasattr(photo, "read") else None
    if not isinstance(data, bytes):
        raise TypeError("photo must be bytes, a path, or a file opened in binary mode.")
    return data
