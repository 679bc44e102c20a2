"""Sums over what shares an index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array


def incidence(indices: NDArray[np.integer], count: int) -> csc_array:
    """(count, m) - which rows of indices, (m, k) int below `count`, have each index. Times values of the rows it sums
    them up; `numpy.bincount` takes one column at a time, and as many values as indices."""
    rows, each = indices.shape
    begins = np.arange(0, rows * each + 1, each, dtype=np.int32)
    return csc_array((np.ones(rows * each), indices.ravel().astype(np.int32), begins), (count, rows))


def group_sums(indices: NDArray[np.integer], values: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """(count, c) float64 - for each index the sum of the values of the rows that have it.

    indices : (m, k) int - below `count`; values : (m, c) float - of each row
    """
    return np.asarray(incidence(indices, count) @ values.astype(np.float64))
