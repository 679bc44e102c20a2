"""Writes Torch7 files for tests, from the format and not from our reader.

Lua values are given as Python's: None, bool, int and float, str and bytes, dict (a table), list (a table from 1), and
the records below. What is the same object in Python is written once and referred to, as Torch7 does.

Source: torch7, File.lua (writeObject), lib/TH/THDiskFile.c and generic/Tensor.c, generic/Storage.c (write).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

FORMATS = {
    "Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8", "Half": "<f2", "Float": "<f4",
    "Double": "<f8", "Cuda": "<f4", "CudaByte": "u1", "CudaChar": "i1", "CudaShort": "<i2", "CudaInt": "<i4",
    "CudaLong": "<i8", "CudaHalf": "<f2", "CudaDouble": "<f8",
}  # fmt: skip


@dataclass(eq=False)
class Storage:
    """torch.<kind>Storage with these elements, or with `count` elements that `fill` writes piece by piece."""

    kind: str
    elements: NDArray[Any]


@dataclass(eq=False)
class Zeros:
    """torch.FloatStorage of `count` zeros, as a hole of the file."""

    count: int


@dataclass(eq=False)
class Tensor:
    """torch.<kind>Tensor; offset counts from 1, as in the file."""

    kind: str
    size: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    offset: int = 1
    storage: Storage | Zeros | None = None


@dataclass(eq=False)
class Instance:
    """An object of a class; version None writes the record of a time before versions."""

    name: str
    fields: Any
    version: str | None = "V 1"


@dataclass(eq=False)
class Function:
    """A function; kind 6 has no number."""

    kind: int = 8
    code: bytes = b"\x1bLJ\x02 not for us"
    upvalues: Any = field(default_factory=list)


def tensor(array: NDArray[Any], kind: str = "Float") -> Tensor:
    """A contiguous tensor of its own storage; an array without dimensions or elements is Torch7's empty tensor."""
    if array.ndim == 0 or array.size == 0:
        return Tensor(kind)
    steps = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
    return Tensor(kind, array.shape, tuple(steps), 1, Storage(kind, array.ravel()))


class Writer:
    """Writes one object after another to a stream."""

    def __init__(self, stream: BinaryIO, *, ascii: bool = False, long_size: int = 8, referenced: bool = True) -> None:
        self._stream, self._ascii, self._referenced = stream, ascii, referenced
        self._long = "q" if long_size == 8 else "i"
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no id is used twice
        self._next = 0

    def write(self, value: Any) -> None:
        """Write an object of any type."""
        if value is None:
            self._ints(0)
        elif isinstance(value, bool):
            self._ints(5)
            self._ints(int(value))
        elif isinstance(value, int | float):
            self._ints(1)
            self._items([value], "d", "%.17g")
        elif isinstance(value, str | bytes):
            self._ints(2)
            self._text(value)
        elif isinstance(value, Function) and value.kind == 6:
            self._ints(6)
            self._text(value.code)
            self.write(value.upvalues)
        else:
            self._write_numbered(value)

    def _write_numbered(self, value: Any) -> None:
        self._ints({dict: 3, list: 3, Function: getattr(value, "kind", 8)}.get(type(value), 4))
        if self._referenced and id(value) in self._numbers:
            self._ints(self._numbers[id(value)])
            return
        self._next += 1
        self._numbers[id(value)] = self._next
        self._alive.append(value)
        self._ints(self._next)
        if isinstance(value, dict | list):
            self._table(value if isinstance(value, dict) else dict(enumerate(value, 1)))
        elif isinstance(value, Function):
            self._text(value.code)
            self.write(value.upvalues)
        elif isinstance(value, Tensor):
            self._head("V 1", f"torch.{value.kind}Tensor")
            self._ints(len(value.size))
            self._longs(value.size)
            self._longs(value.stride)
            self._longs([value.offset])
            self.write(value.storage)
        elif isinstance(value, Storage):
            self._head("V 1", f"torch.{value.kind}Storage")
            self._longs([len(value.elements)])
            self._elements(value.kind, value.elements)
        elif isinstance(value, Zeros):
            self._head("V 1", "torch.FloatStorage")
            self._longs([value.count])
            self._stream.seek(4 * value.count, 1)
        else:
            self._head(value.version, value.name)
            self.write(value.fields)

    def _head(self, version: str | None, name: str) -> None:
        if version is not None:
            self._text(version)
        self._text(name)

    def _table(self, entries: dict[Any, Any]) -> None:
        self._ints(len(entries))
        for key, value in entries.items():
            self.write(key.value if isinstance(key, Key) else key)
            self.write(value)

    def _text(self, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        self._ints(len(data))
        self._stream.write(data + (b"\n" if self._ascii and data else b""))

    def _ints(self, *values: int) -> None:
        self._items(values, "i", "%d")

    def _longs(self, values: Any) -> None:
        self._items(values, self._long, "%d")

    def _elements(self, kind: str, elements: NDArray[Any]) -> None:
        code = FORMATS[kind]
        if code[-2:] in ("u1", "i1"):
            data = elements.astype(code).tobytes()
            self._stream.write(data + (b"\n" if self._ascii and data else b""))
        elif self._ascii:
            form = {"i": "%d", "f": "%.17g" if code == "<f8" else "%.9g"}[code[1]]
            self._items(elements.astype(code).tolist(), "", form)
        else:
            long32 = code == "<i8" and self._long == "i"
            self._stream.write(elements.astype("<i4" if long32 else code).tobytes())

    def _items(self, values: Any, code: str, form: str) -> None:
        values = list(values)
        if not self._ascii:
            self._stream.write(struct.pack(f"<{len(values)}{code}", *values))
        elif values:
            self._stream.write((" ".join(form % value for value in values) + "\n").encode())


@dataclass(frozen=True)
class Key:
    """A key of a table that Python would take for another one: true beside 1."""

    value: Any


def save(path: Path, value: Any, **mode: Any) -> Path:
    """Write a file with one object; see :class:`Writer` for the modes."""
    with path.open("wb") as stream:
        Writer(stream, **mode).write(value)
        stream.truncate()
    return path
