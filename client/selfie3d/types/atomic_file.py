"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

NEW_FILE = 0o666  # permissions before the umask
_ELSEWHERE = "choose another place, or let this user write there"
REMEDIES = {
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room there, or choose another place",
    errno.EFBIG: "this process may not write so much (see `ulimit -f`), or the file system cannot hold it",
    errno.EROFS: _ELSEWHERE,
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EIO: "look after the disk",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENOTDIR: "a part of the path is a file: choose another place",
    errno.EEXIST: "a part of the path is a file: choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
}  # what an OSError says beside its own words; errors that are none of files pass as they are


@contextmanager
def replacing(path: str | PathLike[str], permissions: int = NEW_FILE) -> Iterator[Path]:
    """A file beside `path` to write to; once the block is left it has reached the disk and takes the place of `path`.

    What stood there before stays until then, and when the block is left by an error. Missing folders are made.

    permissions : of the new file, before the umask

    Raises OSError that names `path` and says what to do, e.g. when the disk is full; nothing is left behind then.
    """
    target = Path(path)
    part: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():  # a device or a pipe: it is written, never replaced
            yield target
            return
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
        os.close(descriptor)
        part = Path(name)
        yield part
        _sync(part)
        part.chmod(permissions & ~_umask())
        part.replace(target)
    except OSError as error:
        if error.errno in REMEDIES and _is_about(error, target, part):
            number = errno.ENOTDIR if error.errno == errno.EEXIST else error.errno  # as mkdir says it
            raise OSError(number, f"{os.strerror(number)}: {REMEDIES[number]}", str(target)) from error
        raise
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def write_atomically(path: str | PathLike[str], data: bytes, permissions: int = NEW_FILE) -> Path:
    """Write a file that is there whole or not at all, as `replacing` says; returns the path. Raises OSError."""
    with replacing(path, permissions) as part:
        part.write_bytes(data)
    return Path(path)


def _is_about(error: OSError, target: Path, part: Path | None) -> bool:
    """Whether it is the new file, its folder or one above that could not be written."""
    if error.filename is None:  # as of every write() and fsync()
        return True
    culprit = Path(os.fsdecode(error.filename)).absolute()
    return culprit == part or culprit.parent == target.parent.absolute() or culprit in target.absolute().parents


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
