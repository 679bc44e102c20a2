"""Normals of a triangle mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from vrn.meshing.sums import incidence


def vertex_normals(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer], around: csc_array | None = None
) -> NDArray[np.float32]:
    """Unit normals, each the area-weighted mean of the triangles around a vertex.

    vertices : (n, 3) float; triangles : (m, 3) int, counter-clockwise seen from outside; around : their `incidence`

    Returns (n, 3) float32.
    """
    corners_of = np.ascontiguousarray(triangles.T, np.intp)
    (ux, vx), (uy, vy), (uz, vz) = (_edges(np.ascontiguousarray(column), corners_of) for column in vertices.T)
    faces = np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], 1)
    around = incidence(triangles, len(vertices)) if around is None else around
    normals = around @ faces.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", normals, normals))[:, None]
    return np.asarray(normals / np.where(lengths > 0, lengths, 1), np.float32)


def _edges(column: NDArray[np.floating], corners: NDArray[np.intp]) -> list[NDArray[np.floating]]:
    """One coordinate of the two edges at each triangle's first corner; corners : (3, m)"""
    start = column.take(corners[0])
    return [column.take(corners[k]) - start for k in (1, 2)]
