"""A closed surface cut by a plane, and closed again there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float32]
Triangles = NDArray[np.int32]
Indices = NDArray[np.intp]

SNAP = 0.1  # of the spacing: vertices so close to the plane are moved onto it, so that no sliver is left
RINGS = (0.94, 0.7, 0.35)  # of the cut, as shares of the way from its middle to its rim


@dataclass(frozen=True)
class Cut:
    """What lies on the positive side of a plane, closed.

    Attributes
    ----------
    vertices : (n, 3) float32; triangles : (m, 3) int32
    source : (n,) - the vertex of the uncut surface that each is, or lies next to
    flat : (n,) bool - inside the cut, not on its rim
    """

    vertices: Floats
    triangles: Triangles
    source: Indices
    flat: NDArray[np.bool_]


def cut(vertices: Floats, triangles: Triangles, plane: NDArray[np.floating], spacing: float) -> Cut:
    """vertices : (n, 3) float32; triangles : (m, 3) int32, closed; plane : (4,) float, with a unit normal; spacing :
    between vertices. The cut is filled with rings around its middle.
    """
    height = vertices @ plane[:3].astype(np.float32) + np.float32(plane[3])
    on = np.abs(height) < SNAP * spacing
    vertices = vertices - (height * on)[:, None] * plane[:3].astype(np.float32)
    side = np.where(on, 0, np.sign(height)).astype(np.int8)
    a, b, c = side.take(np.ascontiguousarray(triangles.T))
    lowest, highest = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    kept, through = (lowest >= 0) & (highest > 0), (lowest < 0) & (highest > 0)
    pieces, new, source = _split(vertices, triangles.compress(through, 0), side, height)
    everything = np.concatenate([vertices, new]), np.concatenate([triangles.compress(kept, 0), *pieces])
    on = np.concatenate([on, np.ones(len(new), bool)])
    return _closed(*everything, on, np.concatenate([np.arange(len(vertices)), source]))


def _split(
    vertices: Floats, triangles: Triangles, side: NDArray[np.int8], height: Floats
) -> tuple[list[Triangles], Floats, Indices]:
    """The parts above the plane of triangles that it goes through, the new vertices and the old one above each."""
    corners = side[triangles]
    lowest = (corners < 0).argmax(1)
    lowest[(corners < 0).sum(1) == 2] = (corners > 0).argmax(1)[(corners < 0).sum(1) == 2]  # of those the one above
    a, b, c = (np.take_along_axis(triangles, (lowest[:, None] + k) % 3, 1)[:, 0] for k in range(3))
    ends = np.sort(np.concatenate([np.stack([a, b], 1), np.stack([c, a], 1)]), 1)
    crossed = side[ends].prod(1) < 0
    edges, edge = np.unique(ends[crossed], axis=0, return_inverse=True)
    middle = np.full(len(ends), -1, np.int32)
    middle[crossed] = len(vertices) + edge.ravel()
    ab, ca = middle[: len(a)], middle[len(a) :]
    low, high = height[edges].T
    new = vertices[edges[:, 0]] + (low / (low - high))[:, None] * (vertices[edges[:, 1]] - vertices[edges[:, 0]])
    above = np.where(low > 0, edges[:, 0], edges[:, 1])
    tip, both = side[a] > 0, (side[a] < 0) & (ab >= 0) & (ca >= 0)
    first, last = (side[a] < 0) & (ca < 0), (side[a] < 0) & (ab < 0)
    parts = ((tip, (a, ab, ca)), (both, (b, c, ca)), (both, (b, ca, ab)), (first, (ab, b, c)), (last, (b, c, ca)))
    return [np.stack(corner, 1)[some] for some, corner in parts], new.astype(np.float32), above


def _closed(vertices: Floats, triangles: Triangles, on: NDArray[np.bool_], source: Indices) -> Cut:
    """Fill every hole of a surface with rings around its middle, and drop what no triangle has.

    on : (n,) bool - the vertices on the plane, between which the holes' edges are
    """
    size, (a, b, c) = len(vertices), on.take(np.ascontiguousarray(triangles.T))
    edges = triangles.compress((a & b) | (b & c) | (c & a), 0)[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64)
    edges = edges[on[edges].all(1)]
    alone = ~np.isin(edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0])
    rim, ends = np.unique(edges[alone], return_inverse=True)
    start, end = ends.reshape(-1, 2).T
    count, loop = connected_components(coo_array((np.ones(len(start)), (start, end)), (len(rim), len(rim))), False)
    weight = np.bincount(loop, minlength=count)[:, None]
    middle = np.stack([np.bincount(loop, column, count) for column in vertices[rim].T], 1) / weight
    outer, rings, strips = rim, [], []
    for number, share in enumerate(RINGS):
        inner = size + len(rim) * number + np.arange(len(rim))
        rings.append(middle[loop] + share * (vertices[rim] - middle[loop]))
        strips += [(outer[end], outer[start], inner[start]), (outer[end], inner[start], inner[end])]
        outer = inner
    centre = size + len(rim) * len(RINGS) + loop
    strips.append((outer[end], outer[start], centre[start]))
    triangles = np.concatenate([triangles, *(np.stack(strip, 1) for strip in strips)])
    vertices = np.concatenate([vertices, *rings, middle]).astype(np.float32)
    first = rim[np.unique(loop, return_index=True)[1]]
    source = np.concatenate([source, *(source[rim] for _ in RINGS), source[first]])
    kept = np.zeros(len(vertices), bool)
    kept[triangles.ravel()] = True
    used, compact = np.flatnonzero(kept), np.cumsum(kept, dtype=np.int32) - 1
    return Cut(vertices.take(used, 0), compact.take(triangles), source[used], used >= size)
