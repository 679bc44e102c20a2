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
    sums = [np.bincount(cells, w, size) for w in (*(values * weights[:, None]).T, weights)]
    lattice = pull_push(np.stack(sums, -1).astype(np.float32).reshape(*shape, -1))
    places = np.stack(at if wanted is None else [column[wanted] for column in at])
    found = [map_coordinates(lattice[..., c], places, order=1, mode="nearest") for c in range(values.shape[1])]
    return np.asarray(np.stack(found, -1), np.float32)


def pull_push(sums: Floats32) -> Floats32:
    """Fill a lattice of weighted sums.

    sums : (..., c + 1) float32 - c weighted sums and, last, the weight; 0 = unknown

    Returns (..., c) float32. Source: Gortler et al., The Lumigraph, 1996, section 3.4.
    """
    shape, weight = sums.shape[:-1], sums[..., -1:]
    own = np.asarray(sums[..., :-1] / np.maximum(weight, 1e-12), np.float32)
    if max(shape) <= 1:
        return own
    coarse = _enlarge(pull_push(_halve(sums)), shape)
    trust = np.minimum(weight, 1.0)
    return np.asarray(trust * own + (1 - trust) * coarse, np.float32)


def _halve(sums: Floats32) -> Floats32:
    """Add up blocks of two along each spatial axis."""
    for axis in range(sums.ndim - 1):
        if sums.shape[axis] % 2:
            sums = np.concatenate([sums, np.zeros_like(np.take(sums, [0], axis))], axis)
        first = np.moveaxis(sums, axis, 0)
        sums = np.moveaxis(first[0::2] + first[1::2], 0, axis)
    return sums


def _enlarge(values: Floats32, shape: tuple[int, ...]) -> Floats32:
    """Linear interpolation to twice the size, cut to `shape`."""
    for axis, size in enumerate(shape):
        first = np.moveaxis(values, axis, 0)
        before, after = np.concatenate([first[:1], first[:-1]]), np.concatenate([first[1:], first[-1:]])
        pairs = np.stack([0.75 * first + 0.25 * before, 0.75 * first + 0.25 * after], 1).astype(np.float32)
        values = np.moveaxis(pairs.reshape(-1, *first.shape[1:])[:size], 0, axis)
    return values
