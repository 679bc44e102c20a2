"""Pictures of a mesh without any graphics library: a rasteriser in NumPy, for all triangles at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selfie3d.types import Mesh
from selfie3d.types.frames import upright

Floats32 = NDArray[np.float32]

SUPERSAMPLING = 2  # samples per pixel and axis, where nothing else is asked for
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
        corners = triangles.take(self.triangle, 0)
        sums = sum(values.take(corners[:, k], 0) * self.weights[:, k : k + 1] for k in range(3))
        return np.asarray(sums, np.float32)


def rasterise(points: Floats32, triangles: NDArray[np.int32], size: int) -> Fragments:
    """Orthographic depth-buffered rasterisation of the triangles that face the viewer.

    points : (n, 3) float32 - samples (x right, y down, depth to the viewer); pixel centres are integers
    """
    corners = np.ascontiguousarray(triangles.T)
    x, y, z = (np.ascontiguousarray(column).take(corners) for column in points.T)  # (3, m) each
    area = (x[2] - x[0]) * (y[1] - y[0]) - (x[1] - x[0]) * (y[2] - y[0])
    facing = np.flatnonzero(area > 1e-9)
    x, y, area = x.take(facing, 1), y.take(facing, 1), area.take(facing)
    left, width = _pixels(x, size)
    top, height = _pixels(y, size)
    count = width * height
    some = np.flatnonzero(count)
    facing, area = facing.take(some), area.take(some)
    x, y, z = x.take(some, 1), y.take(some, 1), z.take(facing, 1)
    left, top, width, count = (values.take(some) for values in (left, top, width, count))

    row = np.repeat(np.arange(len(facing)), count)
    nth = np.arange(len(row), dtype=np.int32) - np.repeat(np.cumsum(count, dtype=np.int32) - count, count)
    down = nth // width.take(row)
    px = left.take(row) + (nth - down * width.take(row))
    py = top.take(row) + down
    wb = _weight(x[2], y[2], x[0], y[0], area, row, px, py)
    wc = _weight(x[0], y[0], x[1], y[1], area, row, px, py)
    hit = np.flatnonzero((wb >= -TOUCH) & (wc >= -TOUCH) & (wb + wc <= 1 + TOUCH))
    row, at = row.take(hit), (py * size + px).take(hit)
    wb, wc = wb.take(hit), wc.take(hit)

    depth = z[0].take(row) + wb * (z[1] - z[0]).take(row) + wc * (z[2] - z[0]).take(row)
    foremost = np.full(size * size, -np.inf, np.float32)
    np.maximum.at(foremost, at, depth)
    front = np.flatnonzero(depth == foremost.take(at))
    winner = np.full(size * size, -1, np.int32)  # one per sample, also where triangles touch
    winner[at.take(front)] = front
    covered = np.flatnonzero(winner >= 0)
    won = winner.take(covered)
    wb, wc = wb.take(won), wc.take(won)
    return Fragments(covered, facing.take(row.take(won)), np.stack([1 - wb - wc, wb, wc], 1))


def render(
    mesh: Mesh,
    rotation: NDArray[np.float64],
    size: int,
    *,
    reach_mm: float,
    clay: tuple[bool, ...] = (False,),
    supersampling: int = SUPERSAMPLING,
) -> list[NDArray[np.uint8]]:
    """Pictures of a turned mesh, one per entry of `clay`: False = in its colours, True = grey and lit.

    rotation : (3, 3) float64 - mesh axes to camera axes (x right, y up, z to the viewer)
    reach_mm : from the middle of the picture to its border
    supersampling : samples per pixel and axis

    Returns (size, size, 3) uint8 sRGB each.
    """
    samples = size * supersampling
    scale = samples / (2 * reach_mm)
    turned = mesh.vertices @ rotation.T.astype(np.float32)
    points = upright(turned) * np.float32(scale) + np.array([(samples - 1) / 2] * 2 + [0], np.float32)
    fragments = rasterise(points, mesh.triangles, samples)
    pictures = []
    for grey in clay:
        if grey:
            normals = fragments.interpolate(mesh.normals @ rotation.T.astype(np.float32), mesh.triangles)
            colours = _lit(normals)
        else:
            colours = fragments.interpolate(mesh.colours, mesh.triangles)
        pictures.append(_compose(colours, fragments.at, samples, supersampling))
    return pictures


def _pixels(corners: Floats32, size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The first pixel and the number of pixels that each triangle's (3, m) corners span along one axis."""
    low = np.minimum(np.minimum(corners[0], corners[1]), corners[2])
    high = np.maximum(np.maximum(corners[0], corners[1]), corners[2])
    first = np.ceil(low).clip(0, size).astype(np.int32)
    last = np.floor(high).clip(-1, size - 1).astype(np.int32)
    return first, np.maximum(last - first + 1, 0)


def _weight(
    px: Floats32,
    py: Floats32,
    qx: Floats32,
    qy: Floats32,
    area: Floats32,
    row: NDArray[np.intp],
    x: NDArray[np.int32],
    y: NDArray[np.int32],
) -> Floats32:
    """Barycentric weight, 0 on the edge p-q of triangle `row`, at pixel (x, y)."""
    slope_x, slope_y = (qy - py) / area, (px - qx) / area
    weight = slope_x.take(row) * (x.astype(np.float32) - px.take(row))
    weight += slope_y.take(row) * (y.astype(np.float32) - py.take(row))
    return weight


def _lit(normals: Floats32) -> Floats32:
    """sRGB of clay under three soft lights."""
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    light = np.full(len(normals), AMBIENT, np.float32)
    for direction, strength in LIGHTS:
        towards = np.asarray(direction, np.float32) / np.float32(np.linalg.norm(direction))
        light += strength * np.maximum(normals @ towards, 0)
    return np.asarray(CLAY * np.minimum(light, 1)[:, None] ** (1 / 2.2), np.float32)


def _compose(colours: Floats32, at: NDArray[np.intp], samples: int, supersampling: int) -> NDArray[np.uint8]:
    """Lay samples over the background and average them to pixels."""
    top, bottom = BACKGROUND
    fade = np.linspace(0, 1, samples, dtype=np.float32)[:, None, None]
    picture = np.broadcast_to(np.rint(top + (bottom - top) * fade).astype(np.uint8), (samples, samples, 3)).copy()
    picture.reshape(-1, 3)[at] = np.rint(colours)
    return np.asarray(Image.fromarray(picture).reduce(supersampling))
