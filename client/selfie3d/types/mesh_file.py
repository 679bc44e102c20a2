"""A mesh file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Self

from selfie3d.types.atomic_file import write_atomically

__all__ = ["MeshFile", "write_atomically"]


@dataclass(frozen=True)
class MeshFile:
    """A mesh file, or only what is known of it before it is downloaded.

    Attributes
    ----------
    format : "ply", "obj", "glb", "stl" or "usdz"; another word where the service is newer than this client
    media_type : as registered with IANA
    extension : with the dot, e.g. ".ply"; ".zip" for an OBJ with its texture
    size : bytes
    sha256 : hex digest
    """

    format: str
    media_type: str
    extension: str
    size: int
    sha256: str
    _data: bytes | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, data: bytes, format: str, media_type: str, extension: str) -> Self:
        """The file with these bytes."""
        return cls(format, media_type, extension, len(data), hashlib.sha256(data).hexdigest(), data)

    @property
    def data(self) -> bytes:
        """The bytes. Raises ValueError before they are downloaded."""
        if self._data is None:
            raise ValueError("The file is not downloaded: ask the job for its result.")
        return self._data

    def downloaded(self, data: bytes) -> Self:
        """The same file with its bytes."""
        return replace(self, _data=data)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the file as it came; returns the path. Missing folders are made. Raises OSError, ValueError."""
        return write_atomically(path, self.data)
