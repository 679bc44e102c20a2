"""Read binary little-endian PLY: every property by its name, so files may carry more than is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.errors import MeshUnreadable

TYPES = {
    "char": "<i1", "uchar": "<u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4",
    "float": "<f4", "double": "<f8", "int8": "<i1", "uint8": "<u1", "int16": "<i2", "uint16": "<u2",
    "int32": "<i4", "uint32": "<u4", "float32": "<f4", "float64": "<f8",
}  # fmt: skip
CORNERS = 3  # of a triangle: what a list must hold


@dataclass(frozen=True)
class Element:
    """A kind of record of the file; a list of three is two fields: `name_count` and `name`."""

    name: str
    count: int
    dtype: np.dtype[Any]


def read_ply(data: bytes) -> dict[str, NDArray[Any]]:
    """The records of each element, e.g. ``{"vertex": (n,), "face": (m,)}`` structured arrays with the header's names.

    Raises MeshUnreadable for other PLY formats, truncated data, and lists that are not triangles.
    """
    elements, offset = _read_header(data)
    arrays = {}
    for element in elements:
        size = element.count * element.dtype.itemsize
        if offset + size > len(data):
            raise MeshUnreadable(f"The PLY file ends within its {element.name} records.")
        arrays[element.name] = np.frombuffer(data, element.dtype, element.count, offset)
        _check_triangles(arrays[element.name], element)
        offset += size
    return arrays


def columns(records: NDArray[Any], names: str) -> NDArray[Any] | None:
    """The named properties side by side, (n, len(names)) and contiguous; None when one is missing.

    names : separated by blanks, e.g. "x y z"
    """
    wanted = names.split()
    if any(name not in (records.dtype.names or ()) for name in wanted):
        return None
    return np.stack([records[name] for name in wanted], axis=1)


def _read_header(data: bytes) -> tuple[list[Element], int]:
    """The elements and where the records start."""
    end = data.find(b"end_header")
    start = data.find(b"\n", end) + 1
    if not data.startswith(b"ply") or end < 0 or start == 0:
        raise MeshUnreadable("This is no PLY file.")
    lines = [line.split() for line in data[:end].decode("ascii", "replace").splitlines()]
    if ["format", "binary_little_endian", "1.0"] not in lines:
        raise MeshUnreadable("Only binary little-endian PLY 1.0 can be read.")
    try:
        return _read_elements(lines), start
    except (KeyError, ValueError, IndexError) as error:
        raise MeshUnreadable(f"The PLY header cannot be understood: {error}.") from error


def _read_elements(lines: list[list[str]]) -> list[Element]:
    found: list[tuple[str, int, list[Any]]] = []
    for words in lines:
        match words:
            case ["element", name, count]:
                found.append((name, _count(count), []))
            case ["property", "list", count_type, item_type, name]:
                found[-1][2].extend([(f"{name}_count", TYPES[count_type]), (name, TYPES[item_type], (CORNERS,))])
            case ["property", type_name, name]:
                found[-1][2].append((name, TYPES[type_name]))
    return [Element(name, count, np.dtype(fields)) for name, count, fields in found]


def _check_triangles(records: NDArray[Any], element: Element) -> None:
    for name in element.dtype.names or ():
        is_list = element.dtype[name].shape == (CORNERS,)
        if is_list and np.any(records[f"{name}_count"] != CORNERS):
            raise MeshUnreadable(f"The PLY file's {name} lists are not all triangles.")


def _count(word: str) -> int:
    count = int(word)
    if count < 0:
        raise ValueError(f"{word} records")
    return count
