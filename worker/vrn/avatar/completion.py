"""Colours for what neither the photo nor the head's other side shows.

Region by region, so that hair does not run into the neck nor skin into the hair: near by from what surrounds it,
further away from the median of the region that the photo shows. Hair gets strands with the contrast of the seen hair.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.hair import Hair
from vrn.avatar.palette import LUMA, medians, nearer
from vrn.avatar.places import Places
from vrn.meshing.colour import FILL_CELL_PX
from vrn.meshing.diffusion import Membrane
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float32]

HAIR_PRIOR, SKIN_PRIOR, BARE_PRIOR = 0.004, 0.001, 0.016  # weight of a region's median colour against a seen vertex
MIDDLE_PRIOR = 1e-5  # the same in the middle of a face, between the side that a profile shows and the one that it lends
MIDDLE_CM = (3.0, 5.0)  # |x| and z on the neutral head
HAIR = (0.25, 0.5)  # as palette.NEARER: a shaded cheek is skin, what is surely hair is not
LIGHT = (0.85, 1.0)  # of the skin's brightness, from where nothing is taken for hair: white hair is near to light skin
BEARD_CM = (2.5, 4.5)  # -y on the neutral head, from where what looks like hair is a beard, which goes on


def completed(places: Places, colours: Floats, sure: Floats, inner: Floats, at: NDArray[np.intp]) -> Floats:
    """(len(at), 3) float32 - colours for the points `at`.

    colours : (n, 3) float32 - sRGB 0..255; sure : (n,) float32 - 0..1, how far they are known
    inner : (n,) float32 - the same, and less towards the end of what is known, so that it goes on from further in
    """
    skin = places.skin
    tones = medians(places, colours, sure)
    hair = Hair.of(places, colours, sure, tones)
    skin_like = nearer(colours, *tones, HAIR)
    skin_like = np.maximum(skin_like, smoothstep(-places.neutral[:, 1], BEARD_CM))
    skin_like = np.maximum(skin_like, smoothstep(colours @ LUMA / np.maximum(tones.skin @ LUMA, 1), LIGHT))
    membrane = Membrane.over(places.points, FILL_CELL_PX, at)
    of_hair, prior = inner * (places.hair > 0.5), np.float32(HAIR_PRIOR)
    hair_fill = _filled(membrane, colours, of_hair, places.hair, hair.tone, prior)
    skin_fill = _filled(membrane, colours, inner * (skin > 0.5) * skin_like, skin, tones.skin, _skin_prior(places))
    hair_fill += hair.strands(places, at)
    share = places.hair[at, None]
    skin_fill *= places.shade[at, None]
    fill = skin_fill + (hair_fill - skin_fill) * share
    return np.asarray(fill, np.float32)


def _skin_prior(places: Places) -> Floats:
    """(n,) - a cheek goes on as it begins, and the middle of a face between its two sides even more; ears and neck, to
    which hair is next, have the whole face's colour."""
    x, _, z = places.neutral.T
    middle = (np.abs(x) < MIDDLE_CM[0]) & (z > MIDDLE_CM[1])
    prior = np.where(middle, np.float32(MIDDLE_PRIOR), np.float32(SKIN_PRIOR))
    return np.where(places.bare, np.float32(BARE_PRIOR), prior)


def _filled(
    membrane: Membrane, colours: Floats, weights: Floats, region: Floats, median: Floats, pull: Floats | np.float32
) -> Floats:
    """(m, 3) - the known colours of a region diffused, and pulled to their median where they are far away.

    pull : (n,) or one - the median's weight
    """
    prior = np.where((weights > 0) | (region < 0.5), np.float32(0), pull)
    total = weights + prior
    known = np.flatnonzero(total)
    mixed = colours.take(known, 0) * weights.take(known)[:, None] + median * prior.take(known)[:, None]
    return membrane.fill(np.concatenate([mixed, total.take(known)[:, None]], 1), known)
