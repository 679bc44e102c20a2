"""Pictures of a mesh without any graphics library: a rasteriser in NumPy, for all triangles at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrn.mesh import Mesh

Floats32 = NDArray[np.float32]

SUPERSAMPLING = 2  # samples per pixel and axis
BACKGROUND = (np.array([244, 245, 247], np.float32), np.array([214, 217, 222], np.float32))  # sRGB, top and bottom
CLAY = np.array([222, 214, 206], np.float32)  # sRGB
AMBIENT = 0.22  # linear light
TOUCH = 1e-4  # share of a triangle by which it overlaps its neighbours, so that no gap shows
LIGHTS = (  # direction to the light (x right, y up, z to the viewer) and strength, linear light
    ((-0.55, 0.65, 0.75), 0.62),
    ((0.85, 0.15, 0.45), 0.22),
    ((0.0, -0.4, 0.9), 0.10),
)


@dataclass(frozen=True)
class Fragments:
    """What a picture shows, one row per covered sample.

    Attributes
    ----------
    at : (p,) int - flat index of the sample, row-major
    triangle : (p,) int - the foremost triangle there
    weights : (p, 3) float32 - barycentric
    """

    at: NDArray[np.intp]
    triangle: NDArray[np.intp]
    weights: Floats32

    def interpolate(self, values: NDArray[np.float32] | NDArray[np.uint8], triangles: NDArray[np.int32]) -> Floats32:
        """(p, c) float32 from values (n, c) of vertices."""
        corners = triangles[self.triangle]
        sums = sum(values[corners[:, k]] * self.weights[:, k : k + 1] for k in range(3))
        return np.asarray(sums, np.float32)


def rasterise(points: Floats32, triangles: NDArray[np.int32], size: int) -> Fragments:
    """Orthographic depth-buffered rasterisation of the triangles that face the viewer.

    points : (n, 3) float32 - samples (x right, y down, depth to the viewer); pixel centres are integers
    """
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1]) - (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1])
    low = np.ceil(np.minimum(np.minimum(a, b), c)[:, :2]).astype(np.int32).clip(0)
    high = np.floor(np.maximum(np.maximum(a, b), c)[:, :2]).astype(np.int32).clip(None, size - 1)
    extent = high - low + 1
    facing = np.flatnonzero((area > 1e-9) & (extent > 0).all(1))
    a, b, c, area = a[facing], b[facing], c[facing], area[facing]
    width, count = extent[facing, 0], extent[facing].prod(1, dtype=np.int32)

    row = np.repeat(np.arange(len(facing), dtype=np.int32), count)
    nth = np.arange(len(row), dtype=np.int32) - np.repeat(np.cumsum(count, dtype=np.int32) - count, count)
    down = nth // width[row]
    x = (low[facing, 0][row] + nth - down * width[row]).astype(np.float32)
    y = (low[facing, 1][row] + down).astype(np.float32)
    wb, wc = _weight(c, a, area, row, x, y), _weight(a, b, area, row, x, y)
    hit = np.flatnonzero((wb >= -TOUCH) & (wc >= -TOUCH) & (wb + wc <= 1 + TOUCH))
    row, wb, wc, at = row[hit], wb[hit], wc[hit], (y[hit] * size + x[hit]).astype(np.intp)

    depth = a[row, 2] + wb * (b[:, 2] - a[:, 2])[row] + wc * (c[:, 2] - a[:, 2])[row]
    foremost = np.full(size * size, -np.inf, np.float32)
    np.maximum.at(foremost, at, depth)
    front = np.flatnonzero(depth == foremost[at])
    winner = np.full(size * size, -1, np.int32)  # one per sample, also where triangles touch
    winner[at[front]] = front
    covered = np.flatnonzero(winner >= 0)
    won = winner[covered]
    return Fragments(covered, facing[row[won]], np.stack([1 - wb[won] - wc[won], wb[won], wc[won]], 1))


def render(
    mesh: Mesh, rotation: NDArray[np.float64], size: int, *, reach_mm: float, clay: tuple[bool, ...] = (False,)
) -> list[NDArray[np.uint8]]:
    """Pictures of a turned mesh, one per entry of `clay`: False = in its colours, True = grey and lit.

    rotation : (3, 3) float64 - mesh axes to camera axes (x right, y up, z to the viewer)
    reach_mm : from the middle of the picture to its border

    Returns (size, size, 3) uint8 sRGB each.
    """
    samples = size * SUPERSAMPLING
    scale = samples / (2 * reach_mm)
    turned = mesh.vertices @ rotation.T.astype(np.float32)
    points = turned * np.array([scale, -scale, scale], np.float32) + np.array([(samples - 1) / 2] * 2 + [0], np.float32)
    fragments = rasterise(points, mesh.triangles, samples)
    pictures = []
    for grey in clay:
        if grey:
            normals = fragments.interpolate(mesh.normals @ rotation.T.astype(np.float32), mesh.triangles)
            colours = _lit(normals)
        else:
            colours = fragments.interpolate(mesh.colours, mesh.triangles)
        pictures.append(_compose(colours, fragments.at, samples))
    return pictures


def _weight(p: Floats32, q: Floats32, area: Floats32, row: NDArray[np.int32], x: Floats32, y: Floats32) -> Floats32:
    """Barycentric weight, 0 on the edge p-q of triangle `row`, at (x, y)."""
    slope_x, slope_y = (q[:, 1] - p[:, 1]) / area, (p[:, 0] - q[:, 0]) / area
    return np.asarray(slope_x[row] * (x - p[row, 0]) + slope_y[row] * (y - p[row, 1]))


def _lit(normals: Floats32) -> Floats32:
    """sRGB of clay under three soft lights."""
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    light = np.full(len(normals), AMBIENT, np.float32)
    for direction, strength in LIGHTS:
        towards = np.asarray(direction, np.float32) / np.float32(np.linalg.norm(direction))
        light += strength * np.maximum(normals @ towards, 0)
    return np.asarray(CLAY * np.minimum(light, 1)[:, None] ** (1 / 2.2), np.float32)


def _compose(colours: Floats32, at: NDArray[np.intp], samples: int) -> NDArray[np.uint8]:
    """Lay samples over the background and average them to pixels."""
    top, bottom = BACKGROUND
    fade = np.linspace(0, 1, samples, dtype=np.float32)[:, None, None]
    picture = np.broadcast_to(top + (bottom - top) * fade, (samples, samples, 3)).copy()
    picture.reshape(-1, 3)[at] = colours
    size = samples // SUPERSAMPLING
    blocks = picture.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3)
    return np.asarray(np.rint(blocks.mean((1, 3))), np.uint8)
