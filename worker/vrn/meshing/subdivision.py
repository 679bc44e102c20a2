"""Finer triangles in a part of a mesh, so that it stays closed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Triangles = NDArray[np.int32]


def subdivided(
    vertices: NDArray[np.float32], triangles: Triangles, chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], Triangles]:
    """Halve every edge between two chosen vertices.

    A triangle of three chosen vertices becomes four, one of two becomes two (red and green refinement: Bank et al.,
    Some refinement algorithms and data structures for regular local mesh refinement, 1983).

    vertices : (n, 3) float32; triangles : (m, 3) int32; chosen : (n,) bool

    Returns the vertices, the old ones first, and the triangles with the orientation of the old ones.
    """
    a, b, c = chosen.take(np.ascontiguousarray(triangles.T))
    touched = (a & b) | (b & c) | (c & a)
    part = triangles.compress(touched, 0)
    corners = chosen[part]
    following, split = np.roll(part, -1, 1), corners & np.roll(corners, -1, 1)
    low, high = np.minimum(part, following)[split], np.maximum(part, following)[split]
    edges, edge = np.unique(low.astype(np.int64) * len(vertices) + high, return_inverse=True)
    middle = np.full(part.shape, -1, np.int32)  # of the edge from each corner to the following one
    middle[split] = len(vertices) + edge
    ends = np.stack([edges // len(vertices), edges % len(vertices)])
    new = (vertices.take(ends[0], 0) + vertices.take(ends[1], 0)) / np.float32(2)
    whole = corners.all(1)
    pieces = [triangles.compress(~touched, 0), *_four(part[whole], middle[whole]), *_two(part[~whole], middle[~whole])]
    return np.concatenate([vertices, new]), np.concatenate(pieces).astype(np.int32, copy=False)


def _four(part: Triangles, middle: Triangles) -> list[Triangles]:
    (a, b, c), (ab, bc, ca) = part.T, middle.T
    return [np.stack(corners, 1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]


def _two(part: Triangles, middle: Triangles) -> list[Triangles]:
    """Of triangles with one edge that is halved."""
    first = (middle >= 0).argmax(1)[:, None]
    a, b, c = (np.take_along_axis(part, (first + k) % 3, 1)[:, 0] for k in range(3))
    ab = np.take_along_axis(middle, first, 1)[:, 0]
    return [np.stack(corners, 1) for corners in ((a, ab, c), (ab, b, c))]
