"""The 68 landmarks on the surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrn.meshing.visibility import View

Floats = NDArray[np.float64]

INNER = slice(17, 68)  # brows, nose, eyes and mouth: on the front of the surface unless turned away


def register_depth(landmarks_crop: Floats, view: View) -> Floats:
    """Move landmarks along depth, whose zero is arbitrary, onto the surface.

    Landmarks that something hides lie behind the depth buffer, so the shift is the mean of the half of the
    differences that lie closest together (the shorth).

    landmarks_crop : (68, 3) float64. Returns the same, shifted.
    """
    differences = np.sort(view.front_at(landmarks_crop[INNER]) - landmarks_crop[INNER, 2])
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return landmarks_crop
    half = (len(differences) + 1) // 2
    start = int(np.argmin(differences[half - 1 :] - differences[: len(differences) - half + 1]))
    shift = float(differences[start : start + half].mean())
    return np.asarray(landmarks_crop + np.array([0.0, 0.0, shift]))


def nearest_vertices(landmarks: Floats, vertices: NDArray[np.floating]) -> NDArray[np.int32]:
    """(68,) int32 - the vertex closest to each landmark, both in one frame."""
    along = landmarks.astype(vertices.dtype) @ vertices.T
    half_squares = np.subtract(np.einsum("ij,ij->i", vertices, vertices) / 2, along, out=along)  # less a constant
    return np.asarray(half_squares.argmin(1), np.int32)
