"""Triangles to columns, in numpy: where rays along depth cross a mesh, what they see of it and what lies inside.

Triangles are rasterised onto the columns with an exact top-left rule in fixed point, so that a ray through an edge or
a vertex crosses exactly once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import Grid
from vrn.meshing.field import Field

FIXED = 1024  # units of the fixed-point raster per column
SLAB = 8  # layers of a volume that are mixed at once
FLAT = np.float32(2.5e-4)  # squared slope under which a sample is far from the surface, and all axes tell the same

_INNER = (slice(1, -1),) * 3  # all but an array's border

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Crossings:
    """Where the columns' rays cross the triangles of a mesh, m of them in no order.

    Attributes
    ----------
    column : (m,) int64 - ``row * width + column``
    triangle : (m,) int64
    depth : (m,) float64 - in the vertices' unit
    front : (m,) bool - the triangle faces the viewer: towards larger depths the ray leaves the mesh
    weights : (m, 2) float64 - barycentric, of the triangle's second and third corner
    """

    column: Integers
    triangle: Integers
    depth: Floats
    front: NDArray[np.bool_]
    weights: Floats


@dataclass(frozen=True)
class Corners:
    """The triangles of a mesh in the fixed-point raster.

    Attributes
    ----------
    vertices : (v, 3) float64 - in columns along every axis; triangles : (3, t) int64
    fixed : (3, 3, t) float64 - by axis and corner; whole numbers, whose products are exact
    low, high : (3, t) float64 - the first and the last ray that each triangle touches, by axis
    """

    vertices: Floats
    triangles: Integers
    fixed: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, vertices: NDArray[np.floating], triangles: Integers) -> Self:
        """vertices : (v, 3) float; triangles : (t, 3) int64"""
        corners = np.ascontiguousarray(triangles.T)
        fixed = np.stack([np.rint(column * FIXED).take(corners) for column in vertices.T.astype(np.float64)])
        low, high = np.ceil(fixed.min(1) / FIXED), np.floor(fixed.max(1) / FIXED)
        return cls(vertices.astype(np.float64), corners, fixed, low, high)

    def rays(self, axis: int, size: int) -> tuple[Floats, Floats]:
        """The first and the last of `size` rays that the triangles touch, (t,) whole numbers."""
        return np.maximum(self.low[axis], 0), np.minimum(self.high[axis], size - 1)


def crossings(vertices: NDArray[np.floating], triangles: Integers, height: int, width: int) -> Crossings:
    """All crossings of a mesh with height x width rays.

    vertices : (v, 3) float - x and y in columns, rays at the integers; depth grows towards the viewer
    triangles : (t, 3) int64 - counter-clockwise seen from outside (y up)
    """
    return crossings_along(Corners.of(vertices, triangles), (0, 1, 2), height, width)


def crossings_along(corners: Corners, axes: tuple[int, int, int], height: int, width: int) -> Crossings:
    """The same with rays along any axis; axes : those of the columns, of the rows and of the rays."""
    (left, right), (top, bottom) = corners.rays(axes[0], width), corners.rays(axes[1], height)
    hit = np.flatnonzero((right >= left) & (bottom >= top))  # a third: most triangles lie between the rays
    owner, column, row = _touched(*(each.take(hit) for each in (left, right, top, bottom)))
    x, y = (corners.fixed[axis].take(hit, 1) for axis in axes[:2])
    second, third = np.stack([x[1] - x[0], y[1] - y[0]]), np.stack([x[2] - x[0], y[2] - y[0]])
    area = second[0] * third[1] - second[1] * third[0]
    second, third = second * np.sign(area), third * np.sign(area)
    across = column * FIXED - x[0].take(owner)
    down = row * FIXED - y[0].take(owner)
    of_second = across * third[1].take(owner) - down * third[0].take(owner)
    of_third = down * second[0].take(owner) - across * second[1].take(owner)
    size = np.abs(area).take(owner)
    least = [_least(*edge) for edge in (third - second, -third, second)]
    inside = of_second >= least[1].take(owner)
    inside &= of_third >= least[2].take(owner)
    inside &= size - of_second - of_third >= least[0].take(owner)
    kept = np.flatnonzero(inside)
    owner, size = owner.take(kept), size.take(kept)
    weights = np.stack([of_second.take(kept) / size, of_third.take(kept) / size], 1)
    of = hit.take(owner)
    depths = corners.vertices[:, axes[2]].copy()
    start, *others = (depths.take(corner.take(of)) for corner in corners.triangles)
    depth = start + weights[:, 0] * (others[0] - start) + weights[:, 1] * (others[1] - start)
    at = (row.take(kept) * width + column.take(kept)).astype(np.int64)
    return Crossings(at, of, depth, area.take(owner) < 0, weights)


def _touched(left: Floats, right: Floats, top: Floats, bottom: Floats) -> tuple[Integers, Floats, Floats]:
    """Each ray in the boxes of triangles: the box that it lies in, its column and its row, (p,) each."""
    across = right - left + 1
    counts = (across * (bottom - top + 1)).astype(np.int64)
    owner = np.repeat(np.arange(len(counts)), counts)
    place = (np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.float64)
    wide = across.take(owner)
    row = np.floor(place / wide)
    return owner, place - row * wide + left.take(owner), row + top.take(owner)


def _least(x: Floats, y: Floats) -> Floats:
    """The least value inside an edge, (x, y) from its start to its end: 0 on top and left edges, 1 on others."""
    return np.asarray(1.0 - ((y < 0) | ((y == 0) & (x > 0))))


def foremost(found: Crossings, height: int, width: int) -> tuple[Integers, Singles, Singles]:
    """What the viewer sees of a mesh: of the triangles that face the viewer the one nearest in each column.

    Returns the triangle (height, width) int64, -1 where there is none, the barycentric weights of its second and third
    corner (height, width, 2) and its depth (height, width), both float32 and 0 where there is none.
    """
    facing = np.flatnonzero(found.front)
    column, nearest = found.column.take(facing), np.full(height * width, -np.inf)
    np.maximum.at(nearest, column, found.depth.take(facing))
    front = facing.compress(found.depth.take(facing) == nearest.take(column))
    shown = np.full(height * width, -1, np.int64)
    weights, depth = np.zeros((height * width, 2), np.float32), np.zeros(height * width, np.float32)
    column = found.column.take(front)  # where two are as near, the last one written stays
    shown[column], weights[column], depth[column] = found.triangle[front], found.weights[front], found.depth[front]
    return shown.reshape(height, width), weights.reshape(height, width, 2), depth.reshape(height, width)


def soft_occupancy(vertices: NDArray[np.floating], triangles: Integers, plane: Floats, grid: Grid) -> Field:
    """How much of the space around each sample lies inside a closed mesh and on the positive side of a plane.

    Rays along each of the three axes tell exactly how much of a sample's step lies inside on that axis. A sample takes
    each axis by how much the surface near it faces along it, so that the level 0.5 is the surface, whichever way it
    faces.

    vertices : (v, 3) float - in the frame of the grid; plane : (4,), a x + b y + c depth + d >= 0 is kept

    Returns values 0..1 on the part of the grid around the mesh, with an empty layer on every side of it.
    """
    kept = vertices[vertices @ plane[:3] + plane[3] >= 0]
    grid = _part(grid, kept) if len(kept) else grid
    corners = Corners.of((vertices - np.array(grid.origin)) / np.array(grid.step), triangles)
    inside = [_along(corners, axis, grid.shape) for axis in (2, 1, 0)]
    values = _mixed(*inside)
    values *= _kept(plane, grid)
    return Field(values, grid, 0.5)


def _along(corners: Corners, axis: int, shape: tuple[int, int, int]) -> Singles:
    """(depth, height, width) float32 - how much of each sample's step along an axis lies inside.

    corners : in samples; axis : 0 = x, 1 = y, 2 = depth
    """
    column, row = (other for other in range(3) if other != axis)
    counts = shape[::-1]
    count, width = counts[axis], counts[column]
    found = crossings_along(corners, (column, row, axis), counts[row], width)
    at = np.clip(found.depth, -1.0, count + 1.0) + 1.5  # in samples of a volume with layers more at either end
    sample = np.floor(at).astype(np.int64)
    later = (at - sample).astype(np.float32)
    sign = np.where(found.front, -1, 1).astype(np.float32)
    volume = np.zeros((count + 4, counts[row], width), np.float32)  # with the rays along its first axis: it is quicker
    first = sample * (counts[row] * width) + found.column
    np.add.at(volume.reshape(-1), first, sign * (1 - later))
    np.add.at(volume.reshape(-1), first + counts[row] * width, sign * later)
    for before, layer in itertools.pairwise(volume):  # not cumsum, which takes ten times as long
        layer += before
    inside = np.abs(volume[1 : count + 1])
    return np.ascontiguousarray(np.moveaxis(np.minimum(inside, 1, out=inside), 0, 2 - axis))


def _mixed(by_depth: Singles, by_row: Singles, by_column: Singles) -> Singles:
    """The mean of what rays along the axes of an array, (d, h, w) each, tell; each axis counts by the squared slope of
    their sum along it. On the array's border, where there is nothing, it is `by_depth` itself."""
    mixed = by_depth.copy()
    for first in range(1, len(mixed) - 1, SLAB):  # what a slab takes stays in a core's cache: half the time
        slab = slice(first - 1, min(first + SLAB, len(mixed) - 1) + 1)
        mixed[slab][_INNER] += _change(by_depth[slab], by_row[slab], by_column[slab])
    return mixed


def _change(by_depth: Singles, by_row: Singles, by_column: Singles) -> Singles:
    """What `_mixed` adds to `by_depth`, without the array's border, (d - 2, h - 2, w - 2).

    All is done on flat arrays, where numpy is three times as quick as on short rows; it is wrong on the border alone.
    """
    strides = by_depth.shape[1] * by_depth.shape[2], by_depth.shape[2], 1
    total = by_depth.ravel() + by_row.ravel()
    total += by_column.ravel()
    slopes, *others = _squared_slopes(total, strides)
    change = np.zeros(total.size, np.float32)
    inner = slice(sum(strides), total.size - sum(strides))
    slopes += FLAT
    for weight, inside in zip(others, (by_row, by_column), strict=True):
        slopes += weight
        weight *= inside.ravel()[inner] - by_depth.ravel()[inner]
        change[inner] += weight
    change[inner] /= slopes
    return change.reshape(by_depth.shape)[_INNER]


def _squared_slopes(values: Singles, strides: tuple[int, int, int]) -> list[Singles]:
    """For each axis the squared difference over the neighbours along it, summed over those across it (weights 1, 2, 1);
    values : flat (n,); all start at the second sample of every axis and end at the last but one."""
    depth, row, column = strides
    by_depth, by_row = _pairs(_pairs(values, depth), depth), _pairs(_pairs(values, row), row)
    slopes = []
    for sums, across, along in ((by_row, column, depth), (by_depth, column, row), (by_depth, row, column)):
        sums = _pairs(_pairs(sums, across), across)
        slope = sums[2 * along :] - sums[: -2 * along]
        slopes.append(np.multiply(slope, slope, out=slope))
    return slopes


def _pairs(values: Singles, stride: int) -> Singles:
    """Sums of each flat value and the one a stride further on."""
    return values[stride:] + values[:-stride]


def _part(grid: Grid, points: NDArray[np.floating]) -> Grid:
    """The samples of a grid that the box around points, (n, 3), touches, and three more on every side."""
    columns = np.ascontiguousarray(points.T)
    low, high = columns.min(1), columns.max(1)
    origin, step, count = np.array(grid.origin), np.array(grid.step), np.array(grid.shape[::-1])
    first = np.clip(np.floor((low - origin) / step).astype(np.int64) - 3, 0, count - 1)
    last = np.clip(np.ceil((high - origin) / step).astype(np.int64) + 3, first, count - 1)
    width, height, depth = (last - first + 1).tolist()
    start = origin + step * first
    return Grid((depth, height, width), (float(start[0]), float(start[1]), float(start[2])), grid.step)


def _kept(plane: Floats, grid: Grid) -> Singles:
    """(depth, height, width) float32 - how much of each sample's step lies on the positive side of the plane."""
    z, y, x = (
        (np.arange(count) * step + origin).astype(np.float32)
        for count, step, origin in zip(grid.shape, grid.step[::-1], grid.origin[::-1], strict=True)
    )
    reach = np.float32(np.abs(plane[:3]) @ np.array(grid.step))
    a, b, c, d = (plane / reach).astype(np.float32)
    distance = (a * x)[None, None] + (b * y)[None, :, None] + (c * z + d)[:, None, None]
    distance += np.float32(0.5)
    return np.asarray(np.clip(distance, 0, 1, out=distance))
