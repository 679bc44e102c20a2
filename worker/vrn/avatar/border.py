"""Where what is known of the skin at the sides of a face ends, and gives way to what is completed behind it.

At the end a photo shows skin at a grazing angle: in shade, mixed with hair, collar or background. Up to there it would
look like a beard with a hard edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.places import Places
from vrn.meshing.diffusion import diffuse
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float32]

REACH_PX = 24.0  # head crop px, about how far a border reaches into what is known
SIDE_CM = (3.0, 4.5)  # |x| on the neutral head, over which the middle of a face becomes its sides
HALF = 0.5  # of what lies around a place at an even border is known
OUTER = (0.3, 1.0)  # of the border, where every colour gives way
DARK = (0.8, 1.0)  # of the completed colour's brightness: what is as dark as the first gives way in the whole border
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def border(places: Places, known: Floats) -> Floats:
    """(n,) float32 0..1 - how near known skin at the sides of a face is to the end of what is known; 1 is there.

    known : (n,) float32 - 0..1
    """
    answer, x = np.zeros_like(known), np.abs(places.neutral[:, 0])
    apart = places.bare | places.folded | places.mouth | places.eye
    of = np.flatnonzero((x > SIDE_CM[0]) & (places.hair < 1) & ~apart)
    some = np.flatnonzero(known[of])
    if len(some):
        ones, at = np.ones(len(of), np.float32), of[some]
        around = diffuse(places.points.take(of, 0), known[of, None], ones, REACH_PX, some)[:, 0]
        answer[at] = smoothstep(x[at], SIDE_CM) * (1 - places.hair[at]) * np.clip((1 - around) / (1 - HALF), 0, 1)
    return answer


def given_way(near: Floats, colours: Floats, fill: Floats) -> Floats:
    """(m,) float32 0..1 - how far colours (m, 3) give way to completed ones, (m, 3): the dark ones further inside.

    near : (m,) float32 - what `border` returns
    """
    answer, at = np.zeros_like(near), np.flatnonzero(near)
    dark = 1 - smoothstep(colours.take(at, 0) @ LUMA / np.maximum(fill.take(at, 0) @ LUMA, 1), DARK)
    answer[at] = np.maximum(smoothstep(near[at], OUTER), smoothstep(near[at], (0, 1)) * dark)
    return answer
