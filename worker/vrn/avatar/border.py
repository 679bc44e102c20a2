"""Where what is known of the hair and of the skin at the sides of a face ends, and gives way to what is completed.

At the end a photo shows them at a grazing angle: in shade, mixed with each other, collar or background. Up to there
skin would look like a beard with a hard edge, and hair like a patch of what is behind it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.palette import LUMA
from vrn.avatar.places import Places
from vrn.meshing.diffusion import diffuse
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float32]

REACH_PX = 24.0  # head crop px, about how far a border reaches into what is known
SIDE_CM = (3.0, 4.5)  # |x| on the neutral head, over which the middle of a face becomes its sides
SKIN_LEFT, HAIR_LEFT = 0.5, 0.65  # of what lies around a place at the end is known: a half where that is even
OUTER = (0.3, 1.0)  # of the border, where every colour gives way
DARK = (0.8, 1.0)  # of the completed colour's brightness: what is as dark as the first gives way in the whole border


def border(places: Places, known: Floats) -> Floats:
    """(n,) float32 0..1 - how near known hair, or known skin at the sides of a face, is to the end of what is known of
    it; 1 is there.

    known : (n,) float32 - 0..1
    """
    apart = places.bare | places.folded | places.mouth | places.eye
    side = smoothstep(np.abs(places.neutral[:, 0]), SIDE_CM) * (1 - places.hair) * ~apart
    return _ends(places.points, known, side, SKIN_LEFT) + _ends(places.points, known, places.hair * ~apart, HAIR_LEFT)


def _ends(points: Floats, known: Floats, region: Floats, left: float) -> Floats:
    """(n,) 0..1 - `border` of a region, (n,) 0..1, at whose end so much of what lies around is known."""
    answer = np.zeros_like(known)
    of = np.flatnonzero(region)
    some = np.flatnonzero(known[of])
    if len(some):
        ones, at = np.ones(len(of), np.float32), of[some]
        around = diffuse(points.take(of, 0), known[of, None], ones, REACH_PX, some)[:, 0]
        answer[at] = region[at] * np.clip((1 - around) / (1 - left), 0, 1)
    return answer


def given_way(near: Floats, colours: Floats, fill: Floats) -> Floats:
    """(m,) float32 0..1 - how far colours (m, 3) give way to completed ones, (m, 3): the dark ones further inside.

    near : (m,) float32 - what `border` returns
    """
    answer, at = np.zeros_like(near), np.flatnonzero(near)
    dark = 1 - smoothstep(colours.take(at, 0) @ LUMA / np.maximum(fill.take(at, 0) @ LUMA, 1), DARK)
    answer[at] = np.maximum(smoothstep(near[at], OUTER), smoothstep(near[at], (0, 1)) * dark)
    return answer
