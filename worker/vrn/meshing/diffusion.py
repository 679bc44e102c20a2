"""Fill what is unknown from what is known: a smooth membrane by pull and push over coarser and coarser lattices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from vrn.meshing.sums import group_sums

Whole = TypeVar("Whole", bound=np.integer)

Floats32 = NDArray[np.float32]


def diffuse(
    points: Floats32, values: Floats32, weights: Floats32, cell: float, wanted: NDArray[np.intp] | None = None
) -> Floats32:
    """Values everywhere, smooth, equal to the known ones on average within a cell.

    values : (n, c) float32
    weights : (n,) float32 - 0 = unknown

    Returns (len(wanted), c) float32. All weights 0 gives zeros. For the rest see `Membrane.over`.
    """
    return Membrane.over(points, cell, wanted).diffuse(values, weights)


@dataclass(frozen=True)
class Membrane:
    """What diffusions between the same points share.

    Attributes
    ----------
    shape : of the finest lattice
    cells : (n,) - the node next to each point
    between : (m, nodes) - linear interpolation at the wanted points
    """

    shape: tuple[int, int, int]
    cells: NDArray[np.intp]
    between: csr_array

    @classmethod
    def over(cls, points: Floats32, cell: float, wanted: NDArray[np.intp] | None = None) -> Self:
        """points : (n, 3) float32 - any frame
        cell : of the finest lattice, in the points' unit
        wanted : (m,) indices of the points to fill; None = all
        """
        x, y, z = ((column - column.min()) / np.float32(cell) for column in points.T)
        shape = int(x.max()) + 2, int(y.max()) + 2, int(z.max()) + 2
        cells = _flat([np.rint(column).astype(np.intp) for column in (x, y, z)], shape)
        return cls(shape, cells, _between([x, y, z] if wanted is None else [x[wanted], y[wanted], z[wanted]], shape))

    def diffuse(self, values: Floats32, weights: Floats32) -> Floats32:
        """See `diffuse`."""
        known = np.flatnonzero(weights)
        weight = weights.take(known)[:, None]
        return self.fill(np.concatenate([values.take(known, 0) * weight, weight], 1), known)

    def fill(self, parts: Floats32, known: NDArray[np.intp]) -> Floats32:
        """(m, c) float32 - the same from weighted values and, last, the weight, (k, c + 1), of the points `known`."""
        sums = group_sums(self.cells.take(known)[:, None], parts, int(np.prod(self.shape)))
        filled = _filled(np.ascontiguousarray(sums.T, np.float32).reshape(-1, *self.shape))
        nodes = np.ascontiguousarray(filled.reshape(len(filled), -1).T, np.float64)
        return np.asarray(self.between @ nodes, np.float32)


def _between(at: list[Floats32], shape: tuple[int, int, int]) -> csr_array:
    """(n, nodes) float64 - trilinear interpolation; at : three times (n,), in nodes, all below the last."""
    low = [column.astype(np.int32) for column in at]
    above = [(column - first).astype(np.float64) for column, first in zip(at, low, strict=True)]
    first, count = _flat(low, shape), len(at[0])
    nodes, shares = np.empty((count, 8), np.int32), np.empty((count, 8))
    x, y, z = ((1 - share, share) for share in above)
    for corner, (i, j, k) in enumerate(itertools.product((0, 1), repeat=3)):
        nodes[:, corner] = first + np.int32((i * shape[1] + j) * shape[2] + k)
        shares[:, corner] = x[i] * y[j] * z[k]
    rows = np.arange(0, 8 * count + 1, 8, dtype=np.int32)
    return csr_array((shares.ravel(), nodes.ravel(), rows), (count, int(np.prod(shape))))


def _flat(at: Sequence[NDArray[Whole]], shape: tuple[int, int, int]) -> NDArray[Whole]:
    """(n,) - indices into the raveled lattice."""
    return np.asarray((at[0] * shape[1] + at[1]) * shape[2] + at[2])


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


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    """The index of a part of an axis."""
    return (slice(None),) * axis + (part,)


def _enlarge(values: Floats32, shape: tuple[int, ...]) -> Floats32:
    """Linear interpolation to twice the size, cut to `shape`."""
    for axis, size in enumerate(shape, 1):
        near, far = _halves(values.shape[axis], size)
        enlarged = (values * np.float32(0.75)).take(near, axis)
        enlarged += (values * np.float32(0.25)).take(far, axis)
        values = enlarged
    return values


@lru_cache(maxsize=256)
def _halves(coarse: int, fine: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(fine,) both - the coarse node that each fine one is a half of, and the next one on its other side."""
    at = np.arange(fine)
    return at // 2, np.clip(at // 2 + at % 2 * 2 - 1, 0, coarse - 1)
