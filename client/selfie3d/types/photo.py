"""The photo as the caller has it."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Protocol

from selfie3d.types.options import OptionError

MOST_PHOTOS = 16  # of one person


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


def photos_bytes(photos: PhotoSource | Sequence[PhotoSource], *, one_person: bool) -> list[bytes]:
    """The bytes of one photo, or of all photos of one person, in order.

    Raises as `photo_bytes`, and OptionError for several photos that are not said to be of one person, for none and for
    more than MOST_PHOTOS.
    """
    if not isinstance(photos, list | tuple):
        return [photo_bytes(photos)]  # type: ignore[arg-type]
    if not one_person:
        raise OptionError("one_person", "one_person must be True for a list of photos: together they give one head.")
    check_photo_count(len(photos))
    return [photo_bytes(photo) for photo in photos]


def check_photo_count(count: int) -> None:
    """Raises OptionError for a number of photos that one person cannot have."""
    if not 1 <= count <= MOST_PHOTOS:
        raise OptionError("one_person", f"one_person takes 1 to {MOST_PHOTOS} photos, not {count}.")
