"""Evenly spread vertices: the triangles of marching cubes are uneven, and slivers bend more than the surface does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STRENGTH = np.float32(0.7)  # of the way to the middle of the neighbours

Floats = NDArray[np.float32]


def relaxed(vertices: Floats, normals: Floats, triangles: NDArray[np.int32]) -> Floats:
    """(n, 3) float32 - each vertex of a closed surface moved along it, towards the middle of its neighbours.

    vertices, normals : (n, 3) float32, of one frame; triangles : (m, 3) int32
    """
    start, end = triangles.ravel(), np.roll(triangles, -1, 1).ravel()  # each edge once from either end
    count = np.bincount(start, minlength=len(vertices))
    middle = np.stack([np.bincount(start, column[end], len(vertices)) / count for column in vertices.T], 1)
    way = middle.astype(np.float32) - vertices
    way -= np.einsum("ij,ij->i", way, normals)[:, None] * normals
    return vertices + STRENGTH * way
