"""Heads that are balls: places of the scalp as dense as one likes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.guide import PX_PER_CM
from vrn.avatar.neighbours import Neighbours
from vrn.avatar.places import Places, scalp
from vrn.avatar.strands import CROWN_CENTRE

Singles = NDArray[np.float32]

RADIUS_CM = 9.5


def ball(count: int) -> Singles:
    """(count, 3) cm - evenly on a ball, as Fibonacci's spiral has it."""
    height = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    out = np.sqrt(1 - height**2)
    directions = np.stack([out * np.sin(angle), height, out * np.cos(angle)], 1)
    return np.asarray(CROWN_CENTRE + RADIUS_CM * directions, np.float32)


def ball_places(count: int) -> Places:
    """A head of that many points: scalp above the hairline, skin below."""
    neutral = ball(count)
    none = np.zeros(count, bool)
    normals = (neutral - CROWN_CENTRE) / np.float32(RADIUS_CM)
    ones = np.ones(count, np.float32)
    near = Neighbours(np.zeros((count, 1), np.intp), np.ones((count, 1), np.float32))
    at, flat = neutral * np.float32(PX_PER_CM), np.zeros(count, np.float32)
    return Places(at, normals, near, neutral, scalp(neutral), ones, none, none, none, flat, none, none)
