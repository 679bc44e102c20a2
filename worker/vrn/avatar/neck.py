"""An even end for the head model's neck, whose own rim is jagged."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from vrn.avatar.model import CAP_PART, HeadModel
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

NEIGHBOURS = 4  # of the rim, whose moves a vertex shares
RIM_SIGMA = 2.0  # vertices of the rim over which its width is evened
REACH_CM = 2.6  # above the rim, over which the neck gives way


def evened_neck(model: HeadModel, head: NDArray[np.floating]) -> Floats:
    """The head with its neck's rim moved up and down onto one plane and to an even width, and its cap flat on it.

    head : (v, 3) float - cm, head frame. Returns (v, 3) float64.
    """
    rim, cap, nearest, share, away, around = _neck(model)
    even = np.array(head, np.float64)
    level = np.stack([even[:, 0], even[:, 2], np.ones(len(even))], 1)
    plane = np.linalg.lstsq(level[rim], even[rim, 1])[0]
    above = level @ plane - even[:, 1]
    moves = np.zeros((len(rim), 3))
    moves[:, [0, 2]] = _evening(even[rim][:, [0, 2]], around)
    moves[:, 1] = above[rim]
    shared = (moves[nearest] * share[..., None]).sum(1) * (1 - smoothstep(away, (0.0, REACH_CM)))[:, None]
    shared[cap, 1] = above[cap]
    even += shared
    return even


def free_of_neck(model: HeadModel) -> Floats:
    """(v,) float64 - how far each vertex may move with an expression: the neck's rim stays, and its cap."""
    _, cap, _, _, away, _ = _neck(model)
    free = np.asarray(smoothstep(away, (0.0, REACH_CM)), np.float64)
    free[cap] = 0
    return free


def _evening(rim: Floats, around: Integers) -> Floats:
    """(n, 2) - moves of a rim's points, (n, 2), towards or from their middle, so that its width changes evenly.

    around : the points in their order around the middle
    """
    outwards = rim - rim.mean(0)
    width = np.linalg.norm(outwards, axis=1)
    even = np.empty_like(width)
    even[around] = gaussian_filter1d(width[around], RIM_SIGMA, mode="wrap")
    return np.asarray(outwards * (even / width - 1)[:, None])


@lru_cache(maxsize=1)
def _neck(model: HeadModel) -> tuple[Integers, Integers, Integers, Floats, Floats, Integers]:
    """The rim's and the cap's vertices; for every vertex the nearest of the rim, (v, 4), how much each counts, and how
    far away the first is, cm; the rim's in their order around the neck."""
    in_cap = np.unique(model.triangles[model.parts == CAP_PART])
    rim = np.intersect1d(in_cap, model.triangles[model.parts != CAP_PART])
    away, nearest = cKDTree(model.neutral[rim]).query(model.neutral, NEIGHBOURS)
    share = 1 / (away + 1e-3) ** 2
    x, _, z = (model.neutral[rim] - model.neutral[rim].mean(0)).T
    around = np.argsort(np.arctan2(x, z))
    return rim, in_cap, np.asarray(nearest, np.intp), share / share.sum(1, keepdims=True), away[:, 0], around
