"""Which point takes the place of which when a picture is mirrored."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vrn.finder import dense_points

# Of the Multi-PIE 68-point scheme
JAW, BROWS, NOSE = range(16, -1, -1), range(26, 16, -1), (*range(27, 31), *range(35, 30, -1))
EYES = (45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40)
LIPS = (*range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65)
LANDMARKS = np.array([*JAW, *BROWS, *NOSE, *EYES, *LIPS])

Partners = NDArray[np.intp]


@lru_cache(maxsize=1)
def of_dense() -> tuple[Partners, Partners]:
    """Of the third look's points those whose partner is among them, and the partners, both as rows of its answer."""
    row = {point: index for index, point in enumerate(dense_points.INDICES)}
    partner = _partners()
    return np.array([row[point] for point in partner]), np.array([row[point] for point in partner.values()])


def _partners() -> dict[int, int]:
    """By the numbers of the face mesh topology."""
    lips, (first, *oval) = dense_points.LIPS, dense_points.OVAL
    lines = (lips[:11], lips[11:20], lips[20:31], lips[31:], oval)  # each from one side to the other
    halves = [(part[: len(part) // 2], part[len(part) // 2 :]) for part in (dense_points.EYES, dense_points.BROWS)]
    pairs = [*dense_points.PAIRS, *(pair for half in halves for pair in zip(*half, strict=True))]
    partners = {one: other for line in lines for one, other in zip(line, line[::-1], strict=True)}
    partners |= {point: point for point in (first, *dense_points.MIDDLE)}
    return partners | dict(pairs) | {other: one for one, other in pairs}
