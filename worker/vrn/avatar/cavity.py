"""The inside of a rigged head's mouth: dark between the lower lip and what the photo shows behind the lips.

The head model's mouth is a bag that grows with the opening, and the photo's teeth would grow with it. So no expression
moves them (`rig.shapes_of`), and what an open jaw stretches below them is painted dark.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.chart_picture import texels
from vrn.avatar.lip_rings import RINGS, lip_rings
from vrn.avatar.model import HeadModel
from vrn.avatar.rig import EXPRESSIONS
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float32]

LOWER_CM = (0.8, 2.0)  # by which an open jaw lowers what belongs to the upper and to the lower lip
DARK = ((0.0, 0.2), (0.9, 1.0))  # of the way from the lips to what keeps its place: where it becomes dark, and ends


def with_cavity(picture: NDArray[np.uint8], model: HeadModel, dark: Floats) -> NDArray[np.uint8]:
    """The texture with the part of the mouth dark that only an open jaw shows.

    dark : (3,) - sRGB 0..255
    """
    at, share = _stretched(model, len(picture))
    picture = picture.copy()
    flat = picture.reshape(-1, 3)
    flat[at] = np.rint(flat[at] + (dark - flat[at]) * share[:, None])
    return picture


@lru_cache(maxsize=4)
def _stretched(model: HeadModel, size: int) -> tuple[NDArray[np.int32], Floats]:
    """The texels, row-major, between the lower lip and what keeps its place, and how dark they are, 0..1."""
    covered, inward = texels(size), lip_rings(model).inward
    inside = np.flatnonzero((inward >= RINGS)[covered.corners].all(1))
    corners, weights = covered.corners[inside], covered.weights[inside]
    lowered = -model.shapes.at()[model.identities + EXPRESSIONS.index("jawOpen"), :, 1]
    way, lower = ((values[corners] * weights).sum(1) for values in (inward - RINGS, smoothstep(lowered, LOWER_CM)))
    share = lower * smoothstep(way, DARK[0]) * (1 - smoothstep(way, DARK[1]))
    dark = np.flatnonzero(share)
    return covered.at[inside[dark]], share[dark]
