"""Colours for what neither the photo nor the head's other side shows.

Region by region, so that hair does not run into the neck nor skin into the hair: near by from what surrounds it,
further away from the median of the region that the photo shows, with the contrast of the seen hair.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vrn.avatar.palette import medians, nearer
from vrn.avatar.places import Places, scalp_angles
from vrn.meshing.colour import FILL_CELL_PX
from vrn.meshing.diffusion import Membrane, diffuse

Floats = NDArray[np.float32]

PRIOR = 0.004  # weight of a region's median colour against a seen vertex
MOUTH_SHADE = np.array([0.36, 0.20, 0.19], np.float32)  # of the skin's colour, deep in the mouth
LEAST_HAIR = 50  # vertices of which the hair's contrast is taken
LEAST_SPAN = 0.02  # radians, of the seen hair
STRAND_CELL_PX = 6.0  # head crop px under which differences of colour are the hair's texture
EVERY = 2  # one in so many of the seen hair's vertices lends its contrast
STRAND_STRENGTH = 0.8


def completed(places: Places, colours: Floats, sure: Floats, at: NDArray[np.intp]) -> Floats:
    """(len(at), 3) float32 - colours for the points `at`.

    colours : (n, 3) float32 - sRGB 0..255; sure : (n,) float32 - 0..1, how far they are known
    """
    skin = places.skin
    skin_median, hair_median = medians(places, colours, sure)
    skin_like = nearer(colours, skin_median, hair_median)
    membrane = Membrane.over(places.points, FILL_CELL_PX, at)
    hair_fill = _filled(membrane, colours, sure * (places.hair > 0.5), places.hair, hair_median)
    skin_fill = _filled(membrane, colours, sure * (skin > 0.5) * skin_like, skin, skin_median)
    hair_fill += _continued(places, colours, sure, at)
    share = places.hair[at, None]
    skin_fill *= places.shade[at, None]
    fill = skin_fill + (hair_fill - skin_fill) * share
    inside = np.flatnonzero(places.mouth[at])
    fill[inside] = _mouth(places, colours, sure, skin_median, at[inside])
    return np.asarray(fill, np.float32)


def _mouth(places: Places, colours: Floats, sure: Floats, skin: Floats, at: NDArray[np.intp]) -> Floats:
    """(len(at), 3) - inside the mouth: what is seen there goes on; where nothing is, it is dark."""
    inside = np.flatnonzero(places.mouth)
    if not (sure[inside] > 0.5).any():
        return np.broadcast_to(skin * MOUTH_SHADE, (len(at), 3))
    of = np.searchsorted(inside, at)
    return diffuse(places.points[inside], colours[inside], sure[inside], FILL_CELL_PX, of)


def _filled(membrane: Membrane, colours: Floats, weights: Floats, region: Floats, median: Floats) -> Floats:
    """(m, 3) - the known colours of a region diffused, and pulled to their median where they are far away."""
    prior = np.where((weights > 0) | (region < 0.5), np.float32(0), np.float32(PRIOR))
    total = weights + prior
    known = np.flatnonzero(total)
    mixed = colours.take(known, 0) * weights.take(known)[:, None] + median * prior.take(known)[:, None]
    return membrane.fill(np.concatenate([mixed, total.take(known)[:, None]], 1), known)


def _continued(places: Places, colours: Floats, sure: Floats, at: NDArray[np.intp]) -> Floats:
    """(len(at), 3) - the contrast of the seen hair, continued over the scalp by reflecting it again and again.

    On the scalp a place has an angle from the crown and one around it. Both are folded into the range that the photo
    shows.
    """
    source = np.flatnonzero(sure * places.hair > 0.9)
    wanted = np.flatnonzero(places.hair[at] > 0)
    contrast = np.zeros((len(at), 3), np.float32)
    if len(source) < LEAST_HAIR or not len(wanted):
        return contrast
    smooth = diffuse(places.points, colours, sure * places.hair, STRAND_CELL_PX, source)
    known, angles = scalp_angles(places.neutral[source]), scalp_angles(places.neutral[at[wanted]])
    low, high = np.quantile(known, (0.1, 0.9), axis=0)
    span = np.maximum(high - low, LEAST_SPAN)
    folded = low + np.abs((angles - low + span) % (2 * span) - span)
    nearest = EVERY * cKDTree(known[::EVERY]).query(folded)[1]
    strands = colours[source] - smooth
    most = 2 * np.median(np.abs(strands), axis=0)
    contrast[wanted] = STRAND_STRENGTH * np.clip(strands, -most, most)[nearest]
    return contrast
