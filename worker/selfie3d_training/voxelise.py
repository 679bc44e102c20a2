"""Meshes to occupancy: signed crossings per column, inside where the winding number is not zero.

Every column of the grid is a ray along depth. Triangles are rasterised onto the columns with an exact top-left rule
in fixed point, so that a ray through an edge or a vertex crosses exactly once; each crossing adds +1 or -1 at the
first sample in front of it. A watertight mesh may intersect itself.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import Grid

FIXED = 1024  # units of the fixed-point raster per column

Occupancy = NDArray[np.uint8]


def voxelise(
    vertices_crop: NDArray[np.floating],
    triangles: NDArray[np.int64],
    planes_crop: NDArray[np.floating],
    grid: Grid,
) -> tuple[Occupancy, NDArray[np.float32]]:
    """Occupancy of a closed mesh, cut by planes, and the depth of its front.

    vertices_crop : (v, 3) float - crop px
    triangles : (t, 3) int64 - either winding
    planes_crop : (p, 4) float - points with a x + b y + c depth + d >= 0 are kept
    grid : Grid - where the samples lie

    Returns (depth, height, width) uint8, 1 inside, and (height, width) float32: crop depth of the foremost crossing
    inside the planes and the grid, NaN in columns that have none.
    """
    origin, step = np.array(grid.origin), np.array(grid.step)
    place = (vertices_crop - origin) / step
    fixed = np.round(place[:, :2] * FIXED).astype(np.int64)
    planes = np.column_stack([planes_crop[:, :3] * step, planes_crop[:, 3] + planes_crop[:, :3] @ origin])
    volume, front = _fill(fixed, np.ascontiguousarray(place[:, 2]), triangles, planes, grid.shape)
    return volume, (front * step[2] + origin[2]).astype(np.float32)


@numba.njit(cache=True)
def _fill(
    fixed: NDArray[np.int64],
    depth: NDArray[np.float64],
    triangles: NDArray[np.int64],
    planes: NDArray[np.float64],
    shape: tuple[int, int, int],
) -> tuple[Occupancy, NDArray[np.float64]]:
    layers, height, width = shape
    crossings = np.zeros((height, layers, width), np.int8)
    front = np.full((height, width), np.nan)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = fixed[a, 0], fixed[a, 1], fixed[b, 0], fixed[b, 1], fixed[c, 0], fixed[c, 1]
        za, zb, zc = depth[a], depth[b], depth[c]
        area, sign = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax), 1
        if area == 0:
            continue
        if area < 0:
            bx, by, cx, cy, zb, zc, area, sign = cx, cy, bx, by, zc, zb, -area, -1
        left, right = max(-((-min(ax, bx, cx)) // FIXED), 0), min(max(ax, bx, cx) // FIXED, width - 1)
        top, bottom = max(-((-min(ay, by, cy)) // FIXED), 0), min(max(ay, by, cy) // FIXED, height - 1)
        ux, uy, vx, vy, wx, wy = cx - bx, cy - by, ax - cx, ay - cy, bx - ax, by - ay
        open_u = 0 if (uy < 0 or (uy == 0 and ux > 0)) else -1
        open_v = 0 if (vy < 0 or (vy == 0 and vx > 0)) else -1
        open_w = 0 if (wy < 0 or (wy == 0 and wx > 0)) else -1
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x * FIXED, y * FIXED
                u = ux * (py - by) - uy * (px - bx)
                v = vx * (py - cy) - vy * (px - cx)
                w = wx * (py - ay) - wy * (px - ax)
                if u + open_u < 0 or v + open_v < 0 or w + open_w < 0:
                    continue
                z = (u * za + v * zb + w * zc) / area
                if z > layers - 1:
                    continue
                crossings[y, 0 if z <= 0 else int(np.ceil(z)), x] += sign
                if z >= 0 and not front[y, x] >= z and _kept(planes, x, y, z):
                    front[y, x] = z
    volume = np.empty((layers, height, width), np.uint8)
    winding = np.empty(width, np.int8)
    for y in range(height):
        winding[:] = 0
        for k in range(layers):
            for x in range(width):
                winding[x] += crossings[y, k, x]
                volume[k, y, x] = winding[x] != 0 and _kept(planes, x, y, k)
    return volume, front


@numba.njit(cache=True)
def _kept(planes: NDArray[np.float64], x: float, y: float, z: float) -> bool:
    for p in range(len(planes)):  # noqa: SIM110 - numba compiles no generators
        if planes[p, 0] * x + planes[p, 1] * y + planes[p, 2] * z + planes[p, 3] < 0:
            return False
    return True
