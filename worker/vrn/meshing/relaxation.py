"""Evenly spread vertices: the triangles of marching cubes are uneven, and slivers bend more than the surface does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from vrn.meshing.sums import incidence

STRENGTH = np.float32(0.7)  # of the way to the middle of the neighbours

Floats = NDArray[np.float32]


def relaxed(vertices: Floats, normals: Floats, triangles: NDArray[np.int32], around: csc_array | None = None) -> Floats:
    """(n, 3) float32 - each vertex of a closed surface moved along it, towards the middle of its neighbours.

    vertices, normals : (n, 3) float32, of one frame; triangles : (m, 3) int32; around : their `incidence`
    """
    around = incidence(triangles, len(vertices)) if around is None else around
    columns = [vertices[:, c].astype(np.float64).take(triangles.T).sum(0) for c in range(3)]
    sums = around @ np.stack([*columns, np.ones(len(triangles))], 1)  # of triangles: each neighbour lies in two of them
    count = sums[:, 3:]
    way = ((sums[:, :3] / count - 3 * vertices) / 2).astype(np.float32)
    way -= np.einsum("ij,ij->i", way, normals)[:, None] * normals
    return np.asarray(vertices + STRENGTH * way, np.float32)
