"""Fill what is unknown from what is known: a smooth membrane by pull and push over coarser and coarser lattices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Floats32 = NDArray[np.float32]


def diffuse(
    points: Floats32, values: Floats32, weights: Floats32, cell: float, wanted: NDArray[np.intp] | None = None
) -> Floats32:
    """Values everywhere, smooth, equal to the known ones on average within a cell.

    points : (n, 3) float32 - any frame
    values : (n, c) float32
    weights : (n,) float32 - 0 = unknown
    cell : the finest lattice, in the points' unit
    wanted : indices of the points to fill; None = all

    Returns (len(wanted), c) float32. All weights 0 gives zeros.
    """
    at = [(column - column.min()) / np.float32(cell) for column in points.T]
    shape = tuple(int(column.max()) + 2 for column in at)
    cells = np.zeros(len(points), np.intp)
    for column, size in zip(at, shape, strict=True):
        cells = cells * size + np.rint(column).astype(np.intp)
    size = int(np.prod(shape))
    sums = np.empty((values.shape[1] + 1, size), np.float32)
    for channel, w in zip(sums, (*(values * weights[:, None]).T, weights), strict=True):
        channel[:] = np.bincount(cells, w, size)
    lattice = _filled(sums.reshape(-1, *shape))
    places = np.stack(at if wanted is None else [column[wanted] for column in at])
    return np.stack([map_coordinates(channel, places, order=1, mode="nearest") for channel in lattice], -1)


def pull_push(sums: Floats32) -> Floats32:
    """Fill a lattice of weighted sums.

    sums : (..., c + 1) float32 - c weighted sums and, last, the weight; 0 = unknown

    Returns (..., c) float32. Source: Gortler et al., The Lumigraph, 1996, section 3.4.
    """
    return np.moveaxis(_filled(np.ascontiguousarray(np.moveaxis(sums, -1, 0), np.float32)), 0, -1)


def _filled(sums: Floats32) -> Floats32:
    """The same with the channels first, (c + 1, ...) to (c, ...): each of them is contiguous, which is quicker."""
    shape, weight = sums.shape[1:], sums[-1]
    own: Floats32 = sums[:-1] / np.maximum(weight, np.float32(1e-12))
    if max(shape) <= 1:
        return own
    coarse = _enlarge(_filled(_halve(sums)), shape)
    trust = np.minimum(weight, np.float32(1))
    own *= trust
    coarse *= 1 - trust
    own += coarse
    return own


def _halve(sums: Floats32) -> Floats32:
    """Add up blocks of two along each spatial axis."""
    for axis in range(1, sums.ndim):
        even, odd = (sums[_along(axis, slice(start, None, 2))] for start in (0, 1))
        sums = even.copy()
        sums[_along(axis, slice(odd.shape[axis]))] += odd
    return sums


def _enlarge(values: Floats32, shape: tuple[int, ...]) -> Floats32:
    """Linear interpolation to twice the size, cut to `shape`."""
    but_first, but_last, first, last = slice(1, None), slice(None, -1), slice(1), slice(-1, None)
    for axis, size in enumerate(shape, 1):
        near, far = values * np.float32(0.75), values * np.float32(0.25)
        pairs = np.empty((*values.shape[:axis], 2 * values.shape[axis], *values.shape[axis + 1 :]), np.float32)
        even, odd = (pairs[_along(axis, slice(start, None, 2))] for start in (0, 1))
        for target, source in ((but_first, but_last), (first, first)):
            np.add(near[_along(axis, target)], far[_along(axis, source)], out=even[_along(axis, target)])
        for target, source in ((but_last, but_first), (last, last)):
            np.add(near[_along(axis, target)], far[_along(axis, source)], out=odd[_along(axis, target)])
        values = pairs[_along(axis, slice(size))]
    return values


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    """The index of a part of an axis."""
    return (slice(None),) * axis + (part,)
