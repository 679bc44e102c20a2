"""The lips of the head model, ring by ring from where they part to the rim of the mouth's inside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.model import FACE_PART, MOUTH_PART, HeadModel

RINGS = 7  # of triangles on the inner side of the lips


@dataclass(frozen=True, eq=False)
class LipRings:
    """The inner side of the lips.

    Attributes
    ----------
    edge : (c,) int64 - the vertices where the lips part, in order around the mouth
    inward : (v,) float32 - how many rings inside of the edge a vertex lies: RINGS at the rim, RINGS + 1 in the mouth
    """

    edge: NDArray[np.int64]
    inward: NDArray[np.float32]


@lru_cache(maxsize=2)
def lip_rings(model: HeadModel) -> LipRings:
    """From the rim outwards each vertex is followed by the nearest of the next ring with which it shares a triangle."""
    skin, inside = (model.triangles[model.parts == part] for part in (FACE_PART, MOUTH_PART))
    inward = np.zeros(len(model.neutral), np.float32)
    inward[inside] = RINGS + 1
    edge = np.intersect1d(skin, inside)
    x, y = (model.neutral[edge] - model.neutral[edge].mean(0)).T[:2]
    edge = edge[np.argsort(np.arctan2(y, x))]
    inward[edge] = RINGS
    a, b = np.concatenate([skin[:, [i, j]] for i in range(3) for j in range(3) if i != j]).T
    furthest_first = np.argsort(-np.linalg.norm(model.neutral[a] - model.neutral[b], axis=1))
    a, b, following = a[furthest_first], b[furthest_first], np.arange(len(inward))
    for left in range(RINGS - 1, -1, -1):
        outwards = (inward[a] == left + 1) & (inward[b] == 0)
        following[a[outwards]] = b[outwards]  # the nearest one comes last
        inward[b[outwards]] = left
        edge = following[edge]
    return LipRings(edge, inward)
