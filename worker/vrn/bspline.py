"""The uniform cubic B-spline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cubic_bspline(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Its value at a distance of `x` knots from its middle, sign ignored; 0 from 2 knots on."""
    x = np.abs(x)
    near, far = 2 / 3 - x**2 + x**3 / 2, np.maximum(2 - x, 0) ** 3 / 6
    return np.where(x < 1, near, far)
