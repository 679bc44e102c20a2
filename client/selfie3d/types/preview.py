"""A picture of a head."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Self

from selfie3d.types.mesh_file import write_atomically


@dataclass(frozen=True)
class Preview:
    """A picture of a head, or only what is known of it before it is downloaded.

    Attributes
    ----------
    media_type : "image/webp"
    width, height : px
    size : bytes
    sha256 : hex digest
    """

    media_type: str
    width: int
    height: int
    size: int
    sha256: str
    _data: bytes | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, data: bytes, media_type: str, width: int, height: int) -> Self:
        """The picture with these bytes."""
        return cls(media_type, width, height, len(data), hashlib.sha256(data).hexdigest(), data)

    @property
    def data(self) -> bytes:
        """The bytes. Raises ValueError before they are downloaded."""
        if self._data is None:
            raise ValueError("The picture is not downloaded: ask the job for its result.")
        return self._data

    def downloaded(self, data: bytes) -> Self:
        """The same picture with its bytes."""
        return replace(self, _data=data)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the picture as it came; returns the path. Missing folders are made. Raises OSError, ValueError."""
        return write_atomically(path, self.data)
