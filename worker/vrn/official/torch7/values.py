"""What a Torch7 file holds, as plain Python values.

=================  ==============================================================================================
Lua                here
=================  ==============================================================================================
nil                None
number             float
boolean            bool
string             str; bytes that are not UTF-8 are kept as surrogates (``text.encode("utf-8", "surrogateescape")``)
table              :class:`Table`
function           :class:`Function`: a marker. Its code is skipped, never run
torch.XTensor      :class:`Tensor`
torch.XStorage     :class:`Storage`
any other class    :class:`Object`: the class name, the version of the record and the fields
=================  ==============================================================================================

Identity is kept: what the file refers to twice is one Python object, so sharing and cycles survive.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, Union

import numpy as np
from numpy.typing import NDArray

from vrn.errors import WeightsError

Value = Union[None, bool, float, str, "Table", "Function", "Tensor", "Storage", "Object"]
MAX_BYTES = 2**62  # of a strided view; what numpy can still address


class Table:
    """A Lua table in the order of the file. Unlike in a dict, the keys 1 and true are different."""

    def __init__(self) -> None:
        self._entries: dict[tuple[bool, Value], Value] = {}

    def __setitem__(self, key: Value, value: Value) -> None:
        self._entries[type(key) is bool, key] = value

    def __getitem__(self, key: Value) -> Value:
        return self._entries[type(key) is bool, key]

    def __contains__(self, key: object) -> bool:
        return (type(key) is bool, key) in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Value]:
        return (key for _, key in self._entries)

    def get(self, key: Value, default: Value = None) -> Value:
        """The value under `key`, or `default`."""
        return self._entries.get((type(key) is bool, key), default)

    def items(self) -> Iterator[tuple[Value, Value]]:
        """Keys and values in the order of the file."""
        return ((key, value) for (_, key), value in self._entries.items())

    def sequence(self) -> list[Value]:
        """The values under 1, 2, 3 ... up to the first key that is missing: Lua's list part."""
        values: list[Value] = []
        while float(len(values) + 1) in self:
            values.append(self[float(len(values) + 1)])
        return values


@dataclass(eq=False)
class Function:
    """A Lua function: only what it closes over was kept."""

    upvalues: Value = field(default=None, repr=False)


@dataclass(eq=False)
class Object:
    """An instance of a Torch7 class.

    Attributes
    ----------
    class_name : for example ``nn.Sequential``
    version : of the record; 0 where the file is older than versions
    fields : the instance's fields
    """

    class_name: str
    version: float
    fields: Table = field(default_factory=Table, repr=False)


class Source(Protocol):
    """Where the elements of a storage come from."""

    def array(self) -> NDArray[Any]:
        """The elements, one-dimensional."""
        ...

    def release(self) -> None:
        """Give memory that can be had again back to the system."""
        ...


@dataclass(eq=False)
class Storage:
    """A one-dimensional array of elements, shared by the tensors that view it.

    Attributes
    ----------
    class_name : for example ``torch.FloatStorage``
    count : number of elements
    """

    class_name: str
    count: int = 0
    source: Source | None = field(default=None, repr=False)

    def array(self) -> NDArray[Any]:
        """The elements, shape (count,). In binary files a read-only view of the mapped file, not a copy."""
        if self.source is None:
            raise WeightsError(f"a {self.class_name} is used before the file has given its elements")
        return self.source.array()

    def release(self) -> None:
        """Give the mapped pages back to the system; they are read again when needed."""
        if self.source is not None:
            self.source.release()


@dataclass(eq=False)
class Tensor:
    """A strided view of a storage.

    Attributes
    ----------
    class_name : for example ``torch.FloatTensor``
    size, stride : of equal length, in elements; empty for an empty tensor
    offset : element of the storage at which the view begins, from 0
    storage : None for a tensor that never had one
    """

    class_name: str
    size: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    offset: int = 0
    storage: Storage | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `array`: Torch7's tensor without dimensions is empty, numpy's holds one element."""
        return self.size or (0,)

    def array(self) -> NDArray[Any]:
        """The elements as a read-only view of the storage."""
        if self.storage is None or not self.size:
            return np.zeros(self.shape, np.float32)
        elements = self.storage.array()
        stride = tuple(step * elements.itemsize for step in self.stride)
        return np.lib.stride_tricks.as_strided(elements[self.offset :], self.size, stride, writeable=False)

    def problem(self) -> str | None:
        """What is wrong with the view, None where it lies within its storage."""
        view = f"a {self.class_name} of size {self.size}, stride {self.stride}, offset {self.offset}"
        if not self.size:
            return None
        if min(self.size) < 1 or min(self.stride) < 0 or self.offset < 0:
            return view
        count = self.storage.count if self.storage else 0
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if last >= count or 8 * math.prod(self.size) > MAX_BYTES:
            return f"{view} on a storage of {count} elements"
        return None
