"""Reads the objects of a Torch7 file.

Nothing in the file is executed: functions are passed over, unknown classes become their fields. Nesting of any depth
costs no Python stack, and what is built is bounded (`MAX_VALUES`), so a hostile file ends in a WeightsError.

Source: torch7, File.lua (readObject) and generic/Tensor.c, generic/Storage.c (read); cutorch for the Cuda types.
"""

from __future__ import annotations

from collections.abc import Generator
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vrn.errors import WeightsError
from vrn.official.torch7.encoding import WINDOW, AsciiEncoding, BinaryEncoding, Encoding
from vrn.official.torch7.values import Function, Object, Storage, Table, Tensor, Value

NIL, NUMBER, STRING, TABLE, TORCH, BOOLEAN = range(6)
PLAIN_FUNCTION, LEGACY_FUNCTION, FUNCTION = 6, 7, 8  # 6 has no object number
MAX_VALUES = 1_000_000  # values of a file, or 64 characters each; the official network has about 100,000
MAX_DIMENSIONS = 64  # of a tensor, numpy's limit
MAX_CLASS_NAME = 256  # characters

_ELEMENT_TYPES = {
    "Byte": "<u1",
    "Char": "<i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Half": "<f2",
    "Float": "<f4",
    "Double": "<f8",
}
STORAGES = {
    f"torch.{prefix}{name}Storage": np.dtype(code) for prefix in ("", "Cuda") for name, code in _ELEMENT_TYPES.items()
} | {"torch.CudaStorage": np.dtype("<f4")}
TENSORS = {name.replace("Storage", "Tensor"): name for name in STORAGES}

Step = Generator[Any, Value, Value]  # a record being read: yields the record it needs next

Shared = TypeVar("Shared", Table, Function, Tensor, Storage, Object)  # what the file can refer to again


def load(path: str | Path, long_size: int | None = None) -> Value:
    """The first object of a Torch7 file, whichever mode it was written in.

    path : the file; it must stay in place as long as its tensors are used, which are mapped
    long_size : 4 or 8 bytes; None finds out

    Raises WeightsError where the file is missing, truncated, damaged or no Torch7 file.
    """
    path = Path(path)
    sizes = (long_size,) if long_size else (8, 4)
    try:
        return _load(path, sizes)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error


def _load(path: Path, long_sizes: tuple[int, ...]) -> Value:
    with BufferedReader(FileIO(path), WINDOW) as stream:
        first = stream.peek(1)[:1]
        if not first:
            raise WeightsError(f"{path}: empty")
        if first.isdigit():
            return _Reader(AsciiEncoding(path, stream)).read()
        failures = []
        for size in long_sizes:
            stream.seek(0)
            try:
                return _Reader(BinaryEncoding(path, stream, size)).read()
            except WeightsError as failure:
                failures.append((stream.tell(), failure))
        raise max(failures, key=lambda each: each[0])[1]


class _Reader:
    """One pass over one file."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._objects: dict[int, Value] = {}
        self._left = MAX_VALUES

    def read(self) -> Value:
        """Drive the records with a stack of our own instead of Python's."""
        stack: list[Step] = [self._object()]
        value: Value = None
        while stack:
            try:
                stack.append(stack[-1].send(value))
                value = None
            except StopIteration as finished:
                stack.pop()
                value = finished.value
        return value

    def _object(self) -> Step:
        """Any object: a type number, then the record of that type."""
        self._spend(1)
        kind = self._encoding.read_int()
        if kind == NIL:
            return None
        if kind == NUMBER:
            return self._encoding.read_double()
        if kind == BOOLEAN:
            return self._encoding.read_int() == 1
        if kind == STRING:
            return self._text()
        if kind == PLAIN_FUNCTION:
            return (yield from self._function(Function()))
        if kind not in (TABLE, TORCH, FUNCTION, LEGACY_FUNCTION):
            raise WeightsError(f"{self._encoding.place()}: damaged or no Torch7 file, {kind} is no type of object")
        return (yield from self._numbered(kind))

    def _numbered(self, kind: int) -> Step:
        """An object with a number, under which it may be referred to later on, and from within itself."""
        number = self._encoding.read_int()
        if number in self._objects:
            return self._objects[number]
        if kind == TABLE:
            return (yield from self._table(self._keep(number, Table())))
        if kind == TORCH:
            return (yield from self._instance(number))
        return (yield from self._function(self._keep(number, Function())))

    def _table(self, table: Table) -> Step:
        count = self._encoding.read_int()
        if count < 0:
            raise WeightsError(f"{self._encoding.place()}: damaged, a table of {count} entries")
        for _ in range(count):
            key = yield self._object()
            value = yield self._object()
            if key is None or key != key:
                raise WeightsError(f"{self._encoding.place()}: damaged, {key} as the key of a table")
            if value is not None:
                table[key] = value
        return table

    def _function(self, function: Function) -> Step:
        self._encoding.skip_chars(self._encoding.read_int())
        function.upvalues = yield self._object()
        return function

    def _instance(self, number: int) -> Step:
        name = self._text(MAX_CLASS_NAME)
        version = _version(name)
        if version is None:  # older than versions
            version = 0.0
        else:
            name = self._text(MAX_CLASS_NAME)
        if name in STORAGES:
            return self._storage(self._keep(number, Storage(name)))
        if name in TENSORS:
            return (yield from self._tensor(self._keep(number, Tensor(name))))
        instance = self._keep(number, Object(name, version))
        fields = yield self._object()
        if not isinstance(fields, Table):
            raise WeightsError(f"{self._encoding.place()}: the class {name} does not store its fields as a table")
        instance.fields = fields
        return instance

    def _tensor(self, tensor: Tensor) -> Step:
        dimensions = self._encoding.read_int()
        if not 0 <= dimensions <= MAX_DIMENSIONS:
            raise WeightsError(f"{self._encoding.place()}: damaged, a tensor of {dimensions} dimensions")
        tensor.size = self._encoding.read_longs(dimensions)
        tensor.stride = self._encoding.read_longs(dimensions)
        tensor.offset = self._encoding.read_long() - 1  # Lua counts from 1
        storage = yield self._object()
        if storage is not None:
            if not isinstance(storage, Storage) or storage.class_name != TENSORS[tensor.class_name]:
                raise WeightsError(f"{self._encoding.place()}: damaged, a {tensor.class_name} without its storage")
            tensor.storage = storage
        problem = tensor.problem()
        if problem:
            raise WeightsError(f"{self._encoding.place()}: damaged, {problem}")
        return tensor

    def _storage(self, storage: Storage) -> Storage:
        count = self._encoding.read_long()
        storage.source = self._encoding.elements(STORAGES[storage.class_name], count)
        storage.count = count
        return storage

    def _text(self, longest: int = MAX_VALUES) -> str:
        count = self._encoding.read_int()
        if count > longest:
            raise WeightsError(f"{self._encoding.place()}: damaged, a text of {count} characters")
        self._spend(count // 64)
        return self._encoding.read_chars(count).decode("utf-8", "surrogateescape")

    def _keep(self, number: int, value: Shared) -> Shared:
        self._objects[number] = value
        return value

    def _spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise WeightsError(f"{self._encoding.place()}: more than {MAX_VALUES} values, no network is that large")


def _version(text: str) -> float | None:
    """The n of "V n", or None."""
    try:
        return float(text.removeprefix("V ")) if text.startswith("V ") else None
    except ValueError:
        return None
