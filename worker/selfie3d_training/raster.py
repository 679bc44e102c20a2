"""Which triangle each pixel of a picture shows, in numba: turned views are made by the ten thousand.

`vrn.render.render` does without numba, which the worker does not install, and delivers fragments instead of maps.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

EMPTY = -1  # triangle index of a pixel that shows none


@numba.njit(cache=True, fastmath=True)
def rasterise(
    vertices: NDArray[np.float64], triangles: NDArray[np.int64], height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
    """The nearest triangle per pixel, of those that face the viewer.

    vertices : (v, 3) float64 - picture frame; triangles : (t, 3) counter-clockwise from outside

    Returns depth (height, width) float32 (-1e9 where empty), triangle (height, width) int32 (EMPTY where none) and
    the barycentric weights of its second and third corner (height, width, 2) float32.
    """
    depth = np.full((height, width), -1e9, np.float32)
    shown = np.full((height, width), EMPTY, np.int32)
    weights = np.zeros((height, width, 2), np.float32)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        bx, by, bz = vertices[b, 0], vertices[b, 1], vertices[b, 2]
        cx, cy, cz = vertices[c, 0], vertices[c, 1], vertices[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= -1e-12:  # y points down: seen from outside the corners run clockwise
            continue
        top, bottom = max(int(np.ceil(min(ay, by, cy))), 0), min(int(np.floor(max(ay, by, cy))), height - 1)
        left, right = max(int(np.ceil(min(ax, bx, cx))), 0), min(int(np.floor(max(ax, bx, cx))), width - 1)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                v = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
                w = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
                if v < -1e-6 or w < -1e-6 or v + w > 1 + 1e-6:
                    continue
                z = az + v * (bz - az) + w * (cz - az)
                if z > depth[y, x]:
                    depth[y, x], shown[y, x] = z, t
                    weights[y, x, 0], weights[y, x, 1] = v, w
    return depth, shown, weights
