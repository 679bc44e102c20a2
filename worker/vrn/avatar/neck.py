"""An even end for the head model's neck, whose own rim is jagged."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vrn.avatar.model import CAP_PART, HeadModel
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

NEIGHBOURS = 4  # of the rim, whose moves a vertex shares
REACH_CM = 2.6  # above the rim, over which the neck gives way


def evened_neck(model: HeadModel, head: NDArray[np.floating]) -> Floats:
    """The head with its neck's rim moved up and down onto one plane, and its cap flat on it.

    head : (v, 3) float - cm, head frame. Returns (v, 3) float64.
    """
    rim, cap, nearest, share, away = _neck(model)
    even = np.array(head, np.float64)
    level = np.stack([even[:, 0], even[:, 2], np.ones(len(even))], 1)
    plane = np.linalg.lstsq(level[rim], even[rim, 1])[0]
    above = level @ plane - even[:, 1]
    lift = (above[rim][nearest] * share).sum(1) * (1 - smoothstep(away, (0.0, REACH_CM)))
    lift[cap] = above[cap]
    even[:, 1] += lift
    return even


def free_of_neck(model: HeadModel) -> Floats:
    """(v,) float64 - how far each vertex may move with an expression: the neck's rim stays, and its cap."""
    _, cap, _, _, away = _neck(model)
    free = np.asarray(smoothstep(away, (0.0, REACH_CM)), np.float64)
    free[cap] = 0
    return free


@lru_cache(maxsize=1)
def _neck(model: HeadModel) -> tuple[Integers, Integers, Integers, Floats, Floats]:
    """The rim's and the cap's vertices; for every vertex the nearest of the rim, (v, 4), how much each counts, and how
    far away the first is, cm."""
    in_cap = np.unique(model.triangles[model.parts == CAP_PART])
    rim = np.intersect1d(in_cap, model.triangles[model.parts != CAP_PART])
    away, nearest = cKDTree(model.neutral[rim]).query(model.neutral, NEIGHBOURS)
    share = 1 / (away + 1e-3) ** 2
    return rim, in_cap, np.asarray(nearest, np.intp), share / share.sum(1, keepdims=True), away[:, 0]
