"""The two encodings of a Torch7 file: how integers, numbers, characters and elements are written.

Binary is little endian, with longs of 4 or 8 bytes. In ascii every item is followed by a line feed and the elements
of a storage are separated by spaces; characters and bytes stand as they are.

Source: torch7, lib/TH/THDiskFile.c.
"""

from __future__ import annotations

import mmap
import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from vrn.errors import WeightsError
from vrn.official.torch7.values import Source

WINDOW = 4096  # bytes read at a time: records are small and lie between storages that are skipped
CHUNK = 1 << 20  # bytes of text handled at a time
TOKEN = 64  # longest number in ascii, %.17g needs 24
ELEMENT = 32  # longest element in ascii, with its separator


class Encoding(Protocol):
    """Reads items one after the other. Every method raises WeightsError where the file ends or is no such item."""

    def place(self) -> str:
        """File and byte that were reached, for messages."""
        ...

    def read_int(self) -> int:
        """A C int."""
        ...

    def read_long(self) -> int:
        """A C long."""
        ...

    def read_longs(self, count: int) -> tuple[int, ...]:
        """`count` longs."""
        ...

    def read_double(self) -> float:
        """A Lua number."""
        ...

    def read_chars(self, count: int) -> bytes:
        """`count` characters."""
        ...

    def skip_chars(self, count: int) -> None:
        """Pass over `count` characters."""
        ...

    def elements(self, dtype: np.dtype[Any], count: int) -> Source:
        """Pass over the elements of a storage and say where they are."""
        ...


class _File:
    """The file, with bounds: nothing is read or allocated beyond its end."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path = path
        self.stream = stream
        self.size = path.stat().st_size
        self.map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def place(self) -> str:
        return f"{self.path}, byte {self.stream.tell()} of {self.size}"

    def error(self, what: str) -> WeightsError:
        return WeightsError(f"{self.place()}: {what}")

    def require(self, count: int) -> None:
        if count < 0:
            raise self.error(f"damaged, a count of {count}")
        if count > self.size - self.stream.tell():
            raise self.error(f"truncated or damaged, {count} more bytes are announced")

    def read(self, count: int) -> bytes:
        self.require(count)
        return self.stream.read(count)

    def skip(self, count: int) -> None:
        self.require(count)
        self.stream.seek(count, 1)


class BinaryEncoding:
    """The binary mode. long_size : 4 or 8 bytes, as on the machine that wrote the file."""

    def __init__(self, path: Path, stream: BinaryIO, long_size: int) -> None:
        self._file = _File(path, stream)
        self._long_size = long_size

    def place(self) -> str:
        return self._file.place()

    def read_int(self) -> int:
        return int(struct.unpack("<i", self._file.read(4))[0])

    def read_long(self) -> int:
        return self.read_longs(1)[0]

    def read_longs(self, count: int) -> tuple[int, ...]:
        data = self._file.read(count * self._long_size)
        return struct.unpack(f"<{count}{'q' if self._long_size == 8 else 'i'}", data)

    def read_double(self) -> float:
        return float(struct.unpack("<d", self._file.read(8))[0])

    def read_chars(self, count: int) -> bytes:
        return self._file.read(count)

    def skip_chars(self, count: int) -> None:
        self._file.skip(count)

    def elements(self, dtype: np.dtype[Any], count: int) -> Source:
        if dtype == np.int64:
            dtype = np.dtype(f"<i{self._long_size}")
        offset = self._file.stream.tell()
        self._file.skip(count * dtype.itemsize)
        return _MappedElements(self._file.map, dtype, count, offset)


class AsciiEncoding:
    """The ascii mode."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._file = _File(path, stream)

    def place(self) -> str:
        return self._file.place()

    def read_int(self) -> int:
        return self._integer(32)

    def read_long(self) -> int:
        return self._integer(64)

    def read_longs(self, count: int) -> tuple[int, ...]:
        if count == 0:
            return ()
        self._file.require(2 * count)
        line = self._file.stream.readline(ELEMENT * count)
        numbers = tuple(self._parse_integer(token, 64) for token in line.split())
        if len(numbers) != count or not line.endswith(b"\n"):
            raise self._file.error(f"truncated or damaged, {count} integers expected")
        return numbers

    def read_double(self) -> float:
        token = self._token()
        try:
            return float(token)
        except ValueError:
            raise self._file.error(f"damaged, {token!r} is no number") from None

    def read_chars(self, count: int) -> bytes:
        data = self._file.read(count)
        self._end(count)
        return data

    def skip_chars(self, count: int) -> None:
        self._file.skip(count)
        self._end(count)

    def elements(self, dtype: np.dtype[Any], count: int) -> Source:
        offset = self._file.stream.tell()
        if dtype.itemsize == 1:
            self.skip_chars(count)
            return _MappedElements(self._file.map, dtype, count, offset)
        self._file.require(2 * count)
        if count:
            self._skip_line(count)
        return _TextElements(self._file, dtype, count, (offset, self._file.stream.tell()))

    def _integer(self, bits: int) -> int:
        return self._parse_integer(self._token(), bits)

    def _parse_integer(self, token: bytes, bits: int) -> int:
        digits = token[1:] if token[:1] in b"+-" else token
        if not digits.isdigit() or not -(2 ** (bits - 1)) <= int(token) < 2 ** (bits - 1):
            raise self._file.error(f"damaged, {token!r} is no integer of {bits} bits")
        return int(token)

    def _token(self) -> bytes:
        line = self._file.stream.readline(TOKEN)
        if not line.endswith(b"\n"):
            raise self._file.error("truncated or damaged, a number expected")
        return line.strip()

    def _end(self, count: int) -> None:
        """The line feed that follows `count` characters; there is none after no character."""
        if count and self._file.read(1) != b"\n":
            raise self._file.error("damaged, a line feed expected")

    def _skip_line(self, count: int) -> None:
        """Pass over a line of `count` elements."""
        stream, spaces = self._file.stream, 0
        while chunk := stream.read(CHUNK):
            end = chunk.find(b"\n")
            spaces += chunk.count(b" ", 0, end if end >= 0 else None)
            if end >= 0:
                stream.seek(end + 1 - len(chunk), 1)
                if spaces != count - 1:
                    raise self._file.error(f"damaged, {count} elements expected and {spaces + 1} found")
                return
        raise self._file.error(f"truncated, {count} elements expected")


class _MappedElements:
    """Elements that lie in the file as they lie in memory."""

    def __init__(self, mapped: mmap.mmap, dtype: np.dtype[Any], count: int, offset: int) -> None:
        self._map, self._dtype, self._count, self._offset = mapped, dtype, count, offset

    def array(self) -> NDArray[Any]:
        return np.frombuffer(self._map, self._dtype, self._count, self._offset)

    def release(self) -> None:
        start = self._offset - self._offset % mmap.PAGESIZE
        length = self._offset + self._count * self._dtype.itemsize - start
        if length and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, start, length)


class _TextElements:
    """Elements written as text; read when first asked for, kept because other tensors may share them."""

    def __init__(self, file: _File, dtype: np.dtype[Any], count: int, place: tuple[int, int]) -> None:
        self._file, self._dtype, self._count = file, dtype, count
        self._start, self._stop = place
        self._array: NDArray[Any] | None = None

    def array(self) -> NDArray[Any]:
        if self._array is None:
            self._array = self._parse()
        return self._array

    def release(self) -> None:
        """Nothing: text is not read twice."""

    def _parse(self) -> NDArray[Any]:
        array, filled, start = np.empty(self._count, self._dtype), 0, self._start
        while start < self._stop:
            end = self._cut(start)
            values = self._numbers(self._file.map[start:end])
            if filled + len(values) > self._count:
                break
            array[filled : filled + len(values)] = values
            filled, start = filled + len(values), end
        if filled != self._count:
            raise self._error()
        array.flags.writeable = False
        return array

    def _cut(self, start: int) -> int:
        """The end of a chunk that begins at `start`: behind a space, or the end of the line."""
        if start + CHUNK >= self._stop:
            return self._stop
        end = self._file.map.rfind(b" ", start, start + CHUNK) + 1
        if end == 0:
            raise self._error()
        return end

    def _numbers(self, text: bytes) -> NDArray[Any]:
        wide = np.int64 if self._dtype.kind == "i" else np.float64
        with warnings.catch_warnings(), np.errstate(over="ignore"):
            warnings.simplefilter("error", DeprecationWarning)  # numpy's way to report text that is no number
            try:
                return np.fromstring(text, wide, sep=" ").astype(self._dtype)
            except (DeprecationWarning, ValueError):
                raise self._error() from None

    def _error(self) -> WeightsError:
        return WeightsError(
            f"{self._file.path}: damaged, {self._count} numbers expected in bytes {self._start}-{self._stop}"
        )
