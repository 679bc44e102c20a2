"""From a field to a closed surface: smooth, keep the box around the solid, close it, marching cubes, largest body."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import label
from skimage.measure import marching_cubes

from selfie3d.types import Detail
from selfie3d.types.frames import CROP_SIZE, DEPTH_RANGE, DEPTH_STEP, Grid
from vrn.bspline import cubic_bspline
from vrn.errors import FieldError
from vrn.meshing.field import Field

Floats32 = NDArray[np.float32]
Triangles = NDArray[np.int32]


STEPS_PX = {  # (x, y, depth) crop px between two samples
    Detail.PREVIEW: (5.0, 5.0, 5.0),
    Detail.STANDARD: (CROP_SIZE / 86, CROP_SIZE / 86, DEPTH_RANGE / 90),
    Detail.FULL: (1.0, 1.0, DEPTH_STEP),
}
LEAST_VOLUME_PX = 30.0**3  # crop px^3; a whole head has about 700,000
SURE = 4.0  # logit; how much surer the network is must not move the surface
KERNEL_REACH = 3  # steps from the solid to the last sample that may still matter to its surface
NUDGE = 0.0005  # share of the value range that keeps vertices off the samples, so that no triangle degenerates


def extract_surface(field: Field, detail: Detail = Detail.STANDARD) -> tuple[Floats32, Triangles]:
    """The largest closed surface of a field.

    Returns (n, 3) float32 vertices in crop px (x, y, depth) and (m, 3) int32 triangles, counter-clockwise seen from
    outside in a frame with y up. Raises FieldError when the field holds no solid of a face's size.
    """
    return march(solidify(field, detail))


def solidify(field: Field, detail: Detail = Detail.STANDARD) -> Field:
    """The smoothed field on the lattice of `detail`, cut to its largest solid and wrapped in an empty layer; level 0.

    A cubic B-spline of the coarser of the two lattices filters and interpolates in one step, so that terraces of the
    network's lattice do not show and a coarser lattice is averaged, not skipped.
    """
    _check(field)
    reach = [KERNEL_REACH * max(1.0, out / step) for out, step in zip(STEPS_PX[detail], field.grid.step, strict=True)]
    values, grid = _cut(field, [int(np.ceil(samples)) for samples in reach])
    values = np.clip(values - np.float32(field.level), -SURE, SURE)
    values, grid = _resample(values, grid, STEPS_PX[detail])
    if not (values > 0).any():
        raise FieldError("The network's volume holds only specks: try a sharper or closer photo of the face.")
    return closed(Field(values, grid, 0.0))


def closed(field: Field) -> Field:
    """The largest solid of a field of level 0, without cavities, in its box and wrapped in an empty layer.

    No value is left so close to the level that a triangle of the surface could degenerate. Raises FieldError.
    """
    values, grid = _close(*_cut(field, [1, 1, 1]))
    least = NUDGE * np.float32(np.abs(values).max())
    values = np.where(_largest_solid(values > 0), np.maximum(values, least), np.minimum(values, -least))
    volume = np.count_nonzero(values > 0) * float(np.prod(grid.step))
    if volume < LEAST_VOLUME_PX:
        raise FieldError(
            f"The largest solid in the network's volume has {volume:.0f} px³, a face at least {LEAST_VOLUME_PX:.0f}: "
            "try a sharper or closer photo of the face."
        )
    return Field(values, grid, 0.0)


def march(solid: Field) -> tuple[Floats32, Triangles]:
    """Marching cubes on what :func:`solidify` returns: as extract_surface."""
    vertices, triangles, _, _ = marching_cubes(solid.values, 0.0, mask=_crossed(solid.values > 0))
    step, origin = np.array(solid.grid.step, np.float32), np.array(solid.grid.origin, np.float32)
    return vertices[:, ::-1] * step + origin, np.ascontiguousarray(triangles[:, ::-1], np.int32)


def _crossed(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """At the last corner of every cell, whether the surface goes through it: the others need not be looked at."""
    some, every = inside, inside
    for axis in range(3):
        before, after = _but(axis, -1), _but(axis, 0)
        some, every = some[before] | some[after], every[before] & every[after]
    crossed = np.zeros_like(inside)
    crossed[1:, 1:, 1:] = some & ~every
    return crossed


def _but(axis: int, end: int) -> tuple[slice, ...]:
    """The index of all but the first (0) or the last (-1) along an axis."""
    return (slice(None),) * axis + (slice(None, -1) if end else slice(1, None),)


def _check(field: Field) -> None:
    low, high = float(field.values.min()), float(field.values.max())  # nan if one value is
    if np.isnan(low):
        raise FieldError("The network's volume holds values that are no numbers: verify the weights.")
    if high <= field.level:
        raise FieldError("The network's volume is empty: try a sharper or closer photo of the face.")
    if low > field.level:
        raise FieldError("The network's volume is full, so it has no surface: try another photo of the face.")


def _cut(field: Field, margin: Sequence[int]) -> tuple[Floats32, Grid]:
    """The box of the samples above the level, `margin` (x, y, depth) samples wider where the field goes on."""
    inside: NDArray[np.bool_] = np.asarray(field.values > field.level)
    box = []
    rows, columns = inside.any(0), inside.any(2)
    occupied = np.any(columns, 1), np.any(rows, 1), np.any(rows, 0)
    for axis, size in enumerate(inside.shape):
        at = np.flatnonzero(occupied[axis])
        more = margin[2 - axis]
        box.append(slice(max(int(at[0]) - more, 0), min(int(at[-1]) + 1 + more, size)))
    start = [side.start for side in box[::-1]]
    return _placed(np.ascontiguousarray(field.values[tuple(box)]), field.grid, start, field.grid.step)


def _placed(values: Floats32, grid: Grid, start: ArrayLike, step: ArrayLike) -> tuple[Floats32, Grid]:
    """Values with the grid that begins at sample `start` (x, y, depth; may be a fraction) of `grid`."""
    origin = np.array(grid.origin) + np.array(grid.step) * start
    shape = (values.shape[0], values.shape[1], values.shape[2])
    return values, Grid(shape, tuple(origin.tolist()), tuple(np.array(step, float).tolist()))


def _resample(values: Floats32, grid: Grid, step_out: tuple[float, float, float]) -> tuple[Floats32, Grid]:
    """Filter and interpolate onto another lattice over the same blocks, axis by axis."""
    start = []
    for axis, out in enumerate(step_out):  # x, y, depth: array axes 2, 1, 0
        size, step = values.shape[2 - axis], grid.step[axis]
        count = max(round(size * step / out), 1)
        at = ((np.arange(count) + 0.5) * out / step) - 0.5  # in samples of the field
        weights = cubic_bspline((at[:, None] - np.arange(size)) * step / max(step, out))
        weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
        if axis == 0:  # along the rows a product takes less than tensordot, which turns the whole array around
            values = values @ weights.T
        else:
            values = np.moveaxis(np.tensordot(weights, values, (1, 2 - axis)), 0, 2 - axis)
        start.append(at[0])
    return _placed(np.ascontiguousarray(values), grid, start, step_out)


def _close(values: Floats32, grid: Grid) -> tuple[Floats32, Grid]:
    """One more layer on every side, below the level: solids at the border get a flat cap half a step outside."""
    padded = np.pad(values, 1, mode="edge")
    for axis in range(3):
        for side in (0, -1):
            layer = np.moveaxis(padded, axis, 0)[side]
            np.copyto(layer, -np.abs(layer))
    return _placed(padded, grid, [-1, -1, -1], grid.step)


def _largest_solid(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest of the connected solids, without its cavities. The first sample must lie outside."""
    solids, count = label(inside)
    if count > 1:
        inside = solids == np.bincount(solids.ravel())[1:].argmax() + 1
    outsides, count = label(~inside)
    return inside if count == 1 else outsides != outsides[0, 0, 0]
