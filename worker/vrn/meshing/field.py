"""A field: the network's occupancy over the crop, before it becomes a surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import Grid


@dataclass(frozen=True)
class Field:
    """Occupancy sampled on a grid of the crop frame.

    Attributes
    ----------
    values : (depth, height, width) float32 - occupancy logit or probability
    grid : Grid - where the samples lie
    level : the value of the surface: 0.0 for logits, 0.5 for probabilities. Above it is inside
    """

    values: NDArray[np.float32]
    grid: Grid
    level: float
