"""Taubin smoothing: irons small bumps out without shrinking the solid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array

from vrn.meshing.surface import signed_volumes

SHRINK = 0.5  # lambda: share of the way to the neighbours' mean
GROW = -0.53  # mu: the way back; pass band 1 / lambda + 1 / mu = 0.11


def taubin(vertices: NDArray[np.float32], triangles: NDArray[np.int32], rounds: int) -> NDArray[np.float32]:
    """Smooth a closed surface and give it back the volume it had.

    vertices : (n, 3) float32; triangles : (m, 3) int32. Returns (n, 3) float32; 0 rounds return them unchanged.
    Source: Taubin, A signal processing approach to fair surface design, 1995.
    """
    if rounds == 0:
        return vertices
    average = _average(len(vertices), triangles)
    smooth = vertices
    for _ in range(rounds):
        for step in (SHRINK, GROW):
            smooth = smooth + np.float32(step) * (average @ smooth - smooth)
    ratio = signed_volumes(vertices, triangles).sum() / signed_volumes(smooth, triangles).sum()
    centre = smooth.mean(0)
    return np.asarray(centre + (smooth - centre) * np.cbrt(ratio), np.float32)


def _average(n: int, triangles: NDArray[np.int32]) -> csr_array:
    """(n, n) - each row the mean over a vertex's neighbours. Every edge of a closed surface lies in two triangles."""
    start, end = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    links = coo_array((np.ones(len(start), np.float32), (start, end)), shape=(n, n)).tocsr()
    return csr_array(diags_array(1 / np.asarray(links.sum(1)).ravel()) @ links)
