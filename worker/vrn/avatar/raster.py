"""Triangles to columns, in numpy: where rays along depth cross a mesh, what they see of it and what lies inside.

Triangles are rasterised onto the columns with an exact top-left rule in fixed point, so that a ray through an edge or
a vertex crosses exactly once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import Grid
from vrn.meshing.field import Field

FIXED = 1024  # units of the fixed-point raster per column
FLAT = np.float32(2.5e-4)  # squared slope under which a sample is far from the surface, and all axes tell the same

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


def crossings(vertices: NDArray[np.floating], triangles: Integers, height: int, width: int) -> Crossings:
    """All crossings of a mesh with height x width rays.

    vertices : (v, 3) float - x and y in columns, rays at the integers; depth grows towards the viewer
    triangles : (t, 3) int64 - counter-clockwise seen from outside (y up)
    """
    fixed = np.rint(vertices[:, :2].T * FIXED)  # whole numbers in float64: their products are exact
    first, second, third = np.ascontiguousarray(triangles.T)
    x, y = ([column[first], column[second], column[third]] for column in fixed)
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    left, right = _rays(x, width)
    top, bottom = _rays(y, height)
    hit = np.flatnonzero((right >= left) & (bottom >= top) & (area != 0))
    left, right, top, bottom, area = left[hit], right[hit], top[hit], bottom[hit], area[hit]
    x, y = ([column[hit] for column in columns] for columns in (x, y))
    across, down = (right - left + 1).astype(np.int64), (bottom - top + 1).astype(np.int64)
    counts = across * down
    owner = np.repeat(np.arange(len(hit)), counts)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    row = place // across[owner]
    column = (place - row * across[owner]) + left[owner]
    row = row + top[owner]
    edges, least = _edges(x, y, np.sign(area))
    values = []
    for (a, b, c), low in zip(edges, least, strict=True):
        values.append(a[owner] * column + b[owner] * row + c[owner])
        kept = np.flatnonzero(values[-1] >= low[owner])
        owner, row, column = owner[kept], row[kept], column[kept]
        values = [value[kept] for value in values]
    size = np.abs(area[owner])
    weights = np.stack([values[1] / size, values[2] / size], 1)
    of = hit[owner]
    depths = vertices[:, 2].astype(np.float64)
    start = depths[first[of]]
    depth = start + weights[:, 0] * (depths[second[of]] - start) + weights[:, 1] * (depths[third[of]] - start)
    return Crossings((row * width + column).astype(np.int64), of, depth, area[owner] < 0, weights)


def _rays(corners: list[Floats], size: int) -> tuple[Floats, Floats]:
    """The first and the last of `size` rays that triangles touch, (t,) whole numbers; corners : three times (t,)"""
    low, high = np.minimum(corners[0], corners[1]), np.maximum(corners[0], corners[1])
    low, high = np.minimum(low, corners[2]), np.maximum(high, corners[2])
    return np.maximum(np.ceil(low / FIXED), 0), np.minimum(np.floor(high / FIXED), size - 1)


def _edges(x: list[Floats], y: list[Floats], sign: Floats) -> tuple[list[tuple[Floats, Floats, Floats]], list[Floats]]:
    """For the edge opposite each corner: a, b, c of ``a * column + b * row + c``, positive inside; and the least value
    that still counts as inside: 0 on top and left edges, 1 on others."""
    edges, least = [], []
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        ex, ey = (x[j] - x[i]) * sign, (y[j] - y[i]) * sign
        edges.append((-ey * FIXED, ex * FIXED, ey * x[i] - ex * y[i]))
        least.append(np.where((ey < 0) | ((ey == 0) & (ex > 0)), 0.0, 1.0))
    return edges, least


def foremost(found: Crossings, height: int, width: int) -> tuple[Integers, Singles, Singles]:
    """What the viewer sees of a mesh: of the triangles that face the viewer the one nearest in each column.

    Returns the triangle (height, width) int64, -1 where there is none, the barycentric weights of its second and third
    corner (height, width, 2) and its depth (height, width), both float32 and 0 where there is none.
    """
    facing = np.flatnonzero(found.front)
    order = facing[np.argsort(found.depth[facing], kind="stable")]  # the last one written stays
    shown = np.full(height * width, -1, np.int64)
    weights, depth = np.zeros((height * width, 2), np.float32), np.zeros(height * width, np.float32)
    column = found.column[order]
    shown[column], weights[column], depth[column] = found.triangle[order], found.weights[order], found.depth[order]
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
    grid = _part(grid, kept.min(0), kept.max(0)) if len(kept) else grid
    place = (vertices - np.array(grid.origin)) / np.array(grid.step)
    inside = [_along(place, triangles, axis, grid.shape) for axis in (2, 1, 0)]
    values = _mixed(*inside)
    values *= _kept(plane, grid)
    return Field(values, grid, 0.5)


def _along(place: Floats, triangles: Integers, axis: int, shape: tuple[int, int, int]) -> Singles:
    """(depth, height, width) float32 - how much of each sample's step along an axis lies inside.

    place : (v, 3) float64 - in samples; axis : 0 = x, 1 = y, 2 = depth
    """
    column, row = (other for other in range(3) if other != axis)
    counts = shape[::-1]
    count, width = counts[axis], counts[column]
    found = crossings(place[:, [column, row, axis]], triangles, counts[row], width)
    at = np.clip(found.depth, -1.0, count + 1.0) + 1.5  # in samples of a volume with layers more at either end
    sample = np.floor(at).astype(np.int64)
    later = (at - sample).astype(np.float32)
    sign = np.where(found.front, -1, 1).astype(np.float32)
    larger = [size + 4 if k == axis else size for k, size in enumerate(counts)]
    strides = 1, larger[0], larger[0] * larger[1]
    rows = found.column // width
    first = rows * strides[row] + (found.column - rows * width) * strides[column] + sample * strides[axis]
    both, share = np.concatenate([first, first + strides[axis]]), np.concatenate([1 - later, later])
    volume = np.zeros(larger[::-1], np.float32)
    np.add.at(volume.reshape(-1), both, np.tile(sign, 2) * share)
    _sum_up(volume, 2 - axis)
    inside = np.abs(volume[_part_of(2 - axis, 1, count + 1)])
    return np.asarray(np.minimum(inside, 1, out=inside))


def _sum_up(values: Singles, axis: int) -> None:
    """Cumulative sums along an axis, in place. Layer by layer is quicker than along the rows."""
    if axis == values.ndim - 1:
        np.cumsum(values, axis=axis, out=values)
        return
    layers = np.moveaxis(values, axis, 0)
    for before, layer in itertools.pairwise(layers):
        layer += before


def _mixed(by_depth: Singles, by_row: Singles, by_column: Singles) -> Singles:
    """The mean of what rays along the axes of an array, (d, h, w) each, tell; each axis counts by the squared slope of
    their sum along it. On the array's border, where there is nothing, it is `by_depth` itself."""
    total = by_depth + by_row
    total += by_column
    first, *others = _squared_slopes(total)
    mixed, inner = by_depth.copy(), (slice(1, -1),) * 3
    change, total = np.zeros_like(first), first + FLAT
    for weight, inside in zip(others, (by_row, by_column), strict=True):
        total += weight
        weight *= inside[inner] - by_depth[inner]
        change += weight
    mixed[inner] += np.divide(change, total, out=change)
    return mixed


def _squared_slopes(values: Singles) -> list[Singles]:
    """For each axis the squared difference over the neighbours along it, summed over those across it (weights 1, 2, 1);
    all without the array's border, (d - 2, h - 2, w - 2)."""
    by_depth, by_row = _pairs(_pairs(values, 0), 0), _pairs(_pairs(values, 1), 1)
    slopes = []
    for axis, (sums, other) in enumerate(((by_row, 2), (by_depth, 2), (by_depth, 1))):
        sums = _pairs(_pairs(sums, other), other)
        slope = sums[_part_of(axis, 2, None)] - sums[_part_of(axis, None, -2)]
        slopes.append(np.multiply(slope, slope, out=slope))
    return slopes


def _pairs(values: Singles, axis: int) -> Singles:
    """Sums of two neighbours along an axis, one fewer than values."""
    return values[_part_of(axis, 1, None)] + values[_part_of(axis, None, -1)]


def _part_of(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    """The index of a part of an axis."""
    return (slice(None),) * axis + (slice(start, stop),)


def _part(grid: Grid, low: Floats, high: Floats) -> Grid:
    """The samples of a grid that the box from `low` to `high` touches, and three more on every side."""
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
    return np.asarray(np.clip(distance + np.float32(0.5), 0, 1), np.float32)
