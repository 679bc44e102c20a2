"""How the numbers of a GLB lie in its binary chunk: as floats, as integers, or as integers that are compressed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Compression
from vrn.files import meshopt

FLOAT, UNSIGNED_INT, UNSIGNED_SHORT, SHORT, UNSIGNED_BYTE, BYTE = 5126, 5125, 5123, 5122, 5121, 5120  # componentType
TYPES = {
    FLOAT: "<f4",
    UNSIGNED_INT: "<u4",
    UNSIGNED_SHORT: "<u2",
    SHORT: "<i2",
    UNSIGNED_BYTE: "u1",
    BYTE: "i1",
}
VERTICES, INDICES = 34962, 34963  # bufferView.target
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
SHORTS = 65535  # indices below it fit 16 bit; it ends a strip
LEAST_MM = 0.15  # by which an expression moves a vertex, else it stays
STEP_MM = 0.05  # of a quantised place: it errs by 0.043 mm at most, a displacement of an expression by as much
MOST_STEPS = 32767  # to either side of the middle
QUANTISATION, MESHOPT = "KHR_mesh_quantization", "EXT_meshopt_compression"

Floats = NDArray[np.float32]
Json = dict[str, Any]


@dataclass(frozen=True)
class Lattice:
    """The frame in which places are stored: ``mm = middle + step * stored``; the node of the mesh says so.

    Without arguments the mesh frame itself.
    """

    middle: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    step: float = 1.0

    @classmethod
    def around(cls, vertices: Floats) -> Self:
        """vertices : (n, 3) float32 - mm; a mesh of more than 3 m gets a coarser step."""
        low, high = vertices.min(0).astype(np.float64), vertices.max(0).astype(np.float64)
        middle = (low + high) / 2
        return cls(middle, max(STEP_MM, float((high - middle).max()) / MOST_STEPS))

    def node(self, parent: Lattice) -> Json:
        """translation and scale of a node below one with another lattice, where there are any."""
        move, scale = (self.middle - parent.middle) / parent.step, self.step / parent.step
        moved = {"translation": move.tolist()} if move.any() else {}
        return moved | ({"scale": [scale] * 3} if scale != 1 else {})

    def inside(self, vertices: Floats) -> Floats:
        """(n, 3) mm in this frame."""
        return (vertices - self.middle.astype(np.float32)) / np.float32(self.step)


@dataclass
class FloatStorage:
    """Accessors, bufferViews and the binary chunk, while they grow. This one stores floats.

    Attributes
    ----------
    accessors, views : glTF's
    binary : the GLB's own chunk
    """

    extensions: ClassVar[tuple[str, ...]] = ()  # that a reader must know
    accessors: list[Json] = field(default_factory=list)
    views: list[Json] = field(default_factory=list)
    binary: bytearray = field(default_factory=bytearray)

    @property
    def buffers(self) -> list[Json]:
        return [{"byteLength": len(self.binary)}]

    def lattice(self, vertices: Floats) -> Lattice:  # noqa: ARG002 - floats need none
        """The frame for the places of a mesh, (n, 3) mm."""
        return Lattice()

    def places(self, inside: Floats) -> int:
        """Add places, (n, 3) in their lattice's frame; their accessor's index."""
        return self.rows(inside, FLOAT, bounds=True)

    def directions(self, vectors: Floats) -> int:
        """Add unit vectors, (n, 3)."""
        return self.rows(vectors, FLOAT)

    def texels(self, uv: NDArray[np.floating]) -> int:
        """Add texture coordinates, (n, 2) 0..1, v down."""
        return self.rows(uv, FLOAT)

    def confidence(self, values: NDArray[np.uint8]) -> int:
        """Add one small number a vertex, (n,)."""
        return self.rows(values[:, None], FLOAT)

    def colours(self, rgba: NDArray[np.uint16]) -> int:
        """Add linear RGBA, (n, 4)."""
        return self.rows(rgba, UNSIGNED_SHORT, normalized=True)

    def expressions(self, deltas: Floats) -> list[int]:
        """Add displacements, (k, n, 3) in the lattice's frame, most of which are 0; their k accessors' indices."""
        return [self.sparse(each, FLOAT) for each in deltas]

    def triangles(self, corners: NDArray[np.int32]) -> int:
        """Add triangles, (m, 3)."""
        kind = UNSIGNED_SHORT if corners.max(initial=0) < SHORTS else UNSIGNED_INT
        flat = np.ascontiguousarray(corners.ravel(), TYPES[kind])
        return self.accessor(self.index_view(flat), kind, 1, len(flat))

    def rows(self, array: NDArray[Any], component: int, *, bounds: bool = False, normalized: bool = False) -> int:
        """Add an array of one row a vertex, (n, k)."""
        little = np.ascontiguousarray(array, TYPES[component])
        limits = {"min": little.min(0).tolist(), "max": little.max(0).tolist()} if bounds else {}
        flag = {"normalized": True} if normalized else {}
        return self.accessor(self.row_view(little), component, little.shape[1], len(little), **limits, **flag)

    def sparse(self, deltas: NDArray[Any], component: int) -> int:
        """Add displacements, (n, 3), most of which are 0."""
        moved = np.flatnonzero(deltas.any(1))
        values = np.ascontiguousarray(deltas[moved], TYPES[component])
        low, high = (bound(values, axis=0, initial=0) for bound in (np.min, np.max))
        at = {"bufferView": self.view(moved.astype("<u2").tobytes()), "componentType": UNSIGNED_SHORT}
        stored = {"bufferView": self.view(values.tobytes())}
        sparse = {"count": len(moved), "indices": at, "values": stored}
        return self.accessor(None, component, 3, len(deltas), min=low.tolist(), max=high.tolist(), sparse=sparse)

    def accessor(self, view: int | None, component: int, columns: int, count: int, **more: Any) -> int:
        """Add an accessor; its index."""
        where = {} if view is None else {"bufferView": view}
        self.accessors.append(where | {"componentType": component, "count": count, "type": KINDS[columns]} | more)
        return len(self.accessors) - 1

    def row_view(self, rows: NDArray[Any]) -> int:
        """Add rows of one vertex each, padded to whole words; their bufferView's index."""
        padded = _padded(rows)
        wide = {} if padded.shape[1] == rows.dtype.itemsize * rows.shape[1] else {"byteStride": padded.shape[1]}
        return self.view(padded.tobytes(), target=VERTICES, **wide)

    def index_view(self, flat: NDArray[Any]) -> int:
        """Add indices; their bufferView's index."""
        return self.view(flat.tobytes(), target=INDICES)

    def view(self, data: bytes, **more: Any) -> int:
        """Add bytes; their bufferView's index."""
        self.views.append({"buffer": 0, **self.put(data), **more})
        return len(self.views) - 1

    def put(self, data: bytes) -> Json:
        """Add bytes to the chunk; where they are."""
        start = len(self.binary)
        self.binary += data + bytes(-len(data) % 4)
        return {"byteOffset": start, "byteLength": len(data)}


class QuantisedStorage(FloatStorage):
    """16 and 8 bit integers: the extension KHR_mesh_quantization."""

    extensions: ClassVar[tuple[str, ...]] = (QUANTISATION,)

    def lattice(self, vertices: Floats) -> Lattice:
        """See `FloatStorage`."""
        return Lattice.around(vertices)

    def places(self, inside: Floats) -> int:
        """See `FloatStorage`."""
        return self.rows(np.rint(inside), SHORT, bounds=True)

    def directions(self, vectors: Floats) -> int:
        """See `FloatStorage`."""
        return self.rows(np.rint(vectors * 127), BYTE, normalized=True)

    def texels(self, uv: NDArray[np.floating]) -> int:
        """See `FloatStorage`."""
        return self.rows(np.rint(uv * 65535), UNSIGNED_SHORT, normalized=True)

    def confidence(self, values: NDArray[np.uint8]) -> int:
        """See `FloatStorage`."""
        return self.rows(values[:, None], UNSIGNED_BYTE)

    def expressions(self, deltas: Floats) -> list[int]:
        """See `FloatStorage`."""
        return [self.sparse(np.rint(each), SHORT) for each in deltas]


class MeshoptStorage(QuantisedStorage):
    """The same, compressed: the extension EXT_meshopt_compression."""

    extensions: ClassVar[tuple[str, ...]] = (QUANTISATION, MESHOPT)
    unpacked = 0  # bytes of what is compressed

    @property
    def buffers(self) -> list[Json]:
        """See `FloatStorage`; the second one stands for what is unpacked, and is nowhere."""
        return [*super().buffers, {"byteLength": self.unpacked, "extensions": {MESHOPT: {"fallback": True}}}]

    def expressions(self, deltas: Floats) -> list[int]:
        """See `FloatStorage`; all in one bufferView, whose zeros cost next to nothing."""
        steps = np.rint(deltas).astype(np.int16)
        view = self.row_view(steps.reshape(-1, 3))
        size = self.views[view]["byteStride"] * len(deltas[0])
        return [
            self.accessor(
                view, SHORT, 3, len(each), byteOffset=number * size, min=each.min(0).tolist(), max=each.max(0).tolist()
            )
            for number, each in enumerate(steps)
        ]

    def row_view(self, rows: NDArray[Any]) -> int:
        """See `FloatStorage`."""
        padded = _padded(rows)
        stride = padded.shape[1]
        return self.packed(meshopt.attributes(padded), len(rows), stride, "ATTRIBUTES", VERTICES, byteStride=stride)

    def index_view(self, flat: NDArray[Any]) -> int:
        """See `FloatStorage`."""
        return self.packed(meshopt.indices(flat), len(flat), flat.itemsize, "INDICES", INDICES)

    def packed(self, data: bytes, count: int, stride: int, mode: str, target: int, **more: Any) -> int:
        """Add compressed rows; their bufferView's index."""
        how = {"buffer": 0, **self.put(data), "byteStride": stride, "count": count, "mode": mode}
        where = {"buffer": 1, "byteOffset": self.unpacked, "byteLength": count * stride}
        self.unpacked += count * stride + -count * stride % 4
        self.views.append({**where, "target": target, **more, "extensions": {MESHOPT: how}})
        return len(self.views) - 1


def _padded(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """(n, k) of any type as (n, s) bytes, s a multiple of 4, as the attributes of vertices must lie."""
    flat = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
    return np.pad(flat, ((0, 0), (0, -flat.shape[1] % 4)))


STORAGES = {
    Compression.NONE: FloatStorage,
    Compression.QUANTISED: QuantisedStorage,
    Compression.MESHOPT: MeshoptStorage,
}
