"""Colours of a whole head: seen in the photo, else from the head's other side, else completed.

Every point of the surface has its place on the neutral head, so the other side is found through the head model, also
where an expression or the pose makes the two sides differ, and it is known what is scalp, ear, neck, eye and mouth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.border import border, given_way
from vrn.avatar.completion import completed
from vrn.avatar.mouth import with_mouth
from vrn.avatar.palette import background, hair_beside, medians, skin_around
from vrn.avatar.places import Places
from vrn.avatar.whole_head import WholeHead
from vrn.meshing.colour import LIGHT_CELL_PX, Confidence, Paint, PhotoSampler
from vrn.meshing.diffusion import diffuse
from vrn.meshing.head_fit import Plane
from vrn.meshing.visibility import View, smoothstep

Floats = NDArray[np.float32]

FOLD_PX = 4.0  # head crop px behind the depth buffer, the depth of a fold of the skin that the photo still shows
SMALL_FOLD_PX = 3.0  # the same at eyes and lips, whichever way the skin faces there
NOSTRIL_PX = 5.0  # the same at nostrils and the nose's wings, measured from the surface beside them as well
TURNED_AWAY = (-0.5, -0.1)  # cosine between normal and view: below the first a nostril is hidden, above the second seen
SETTLED = (0.0, 0.6)  # how well the points around are seen: below the first a point is a mere speck
LIGHT_PRIOR = np.float32(0.02)  # weight of no difference in light between the sides, against a point that both show
SEAM_CELL_PX = 6.0  # head crop px, over which a difference at the seam between the sides fades away
MIRROR_TOLERANCE_PX = 4.0  # head crop px between a mirrored point and the front of the surface whose colour it takes
SKIN_RIM_PX = (3.0, 8.0)  # head crop px inside the silhouette, where the photo may already show the background
HAIR_RIM_PX = (4.0, 10.0)  # the same of the scalp: hair and skull do not end at the same place
INNER = 3  # power of the distance from a border: what is completed goes on from what is further in


class Painter(Protocol):
    """What has colours for the surface of a head."""

    @property
    def coarser(self) -> int:
        """A texture's pixels, along a side, to one of the colours that are made for it."""
        ...

    def paint(
        self,
        photo: NDArray[np.uint8],
        whole: WholeHead,
        places: Places,
        view: View,
        symmetry: Plane,
        spacing: float,
    ) -> Paint:
        """See `paint_head`."""
        ...


@dataclass(frozen=True)
class OnePhoto:
    """Colours of the photo over which the surface lies, and of no other."""

    coarser: int = 4

    def paint(
        self,
        photo: NDArray[np.uint8],
        whole: WholeHead,
        places: Places,
        view: View,
        symmetry: Plane,
        spacing: float,
    ) -> Paint:
        """See `paint_head`."""
        return paint_head(photo, whole, places, view, symmetry, spacing)


def paint_head(
    photo: NDArray[np.uint8], whole: WholeHead, places: Places, view: View, symmetry: Plane, spacing: float
) -> Paint:
    """Colour the surface of a head all round.

    photo : (H, W, 3) uint8 - sRGB, photo frame
    places : the surface's points
    view, symmetry : head crop frame, as is `spacing`, the px between points
    """
    sampler = PhotoSampler.around(photo, whole.crop, spacing)
    colours, seen = shown(sampler, view, places, places.points, places.normals)
    paint = finished(places, colours, seen, *mirrored(sampler, whole, places, view, symmetry, seen, colours))
    return with_mouth(paint, sampler, view, whole, places)


def finished(places: Places, colours: Floats, seen: Floats, by_mirror: Floats, other: Floats) -> Paint:
    """The colours all round: those that are seen, those of the other side, and the rest completed."""
    known = seen + by_mirror
    colours = (colours * seen[:, None] + other * by_mirror[:, None]) / np.maximum(known, 1e-6)[:, None]
    near, sure = border(places, known), known * known
    at = np.flatnonzero((sure < 1) | (near > 0))
    fill = completed(places, colours, sure, sure * (1 - near) ** INNER, at)
    own, kept = colours.take(at, 0), np.ones_like(known)
    kept[at] -= given_way(near[at], own, fill)
    colours[at] = fill + (own - fill) * (sure * kept)[at, None]
    seen = seen * kept
    confidence = np.full(len(colours), Confidence.FILLED, np.uint8)
    confidence[known * kept >= 0.5] = Confidence.MIRRORED
    confidence[seen >= 0.5] = Confidence.SEEN
    return Paint(np.clip(colours, 0, 255, out=colours), confidence, seen, places.points)


def shown(sampler: PhotoSampler, view: View, places: Places, points: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """The photo's colours (n, 3) at points, which belong to the same places, and how well it shows them, (n,) 0..1."""
    inset = view.inset_at(points)
    skin_rim, hair_rim = smoothstep(inset, SKIN_RIM_PX), smoothstep(inset, HAIR_RIM_PX)
    seen = unhidden(view, places, points, normals) * sampler.inside(points)
    seen *= skin_rim + (hair_rim - skin_rim) * places.hair
    colours = np.zeros_like(points)
    at = np.flatnonzero(seen)
    colours[at] = sampler.sample(points.take(at, 0))
    behind = places.smoothed(background(sampler, view, inset, colours, seen))
    seen *= smoothstep(places.smoothed(seen), SETTLED) * (1 - behind)
    tones, at = medians(places, colours, seen), np.flatnonzero(places.bare)
    seen[at] *= skin_around(places, colours, seen, tones, at)
    seen *= 1 - hair_beside(places, colours, seen, tones, inset)
    return colours, np.asarray(seen, np.float32)


def unhidden(view: View, places: Places, points: Floats, normals: Floats) -> Floats:
    """(n,) 0..1 - `View.seen`, and more generous where the skin has small folds: eyes, lips and nostrils."""
    seen = view.seen(points, normals, FOLD_PX)
    at = np.flatnonzero(places.folded)
    seen[at] = np.maximum(seen[at], view.on_surface(points[at], SMALL_FOLD_PX))
    at = np.flatnonzero(places.nostril)
    turned = smoothstep(normals[at, 2], TURNED_AWAY)
    seen[at] = np.maximum(seen[at], turned * view.beside_surface(points[at], NOSTRIL_PX))
    return seen


def mirrored(
    sampler: PhotoSampler, whole: WholeHead, places: Places, view: View, symmetry: Plane, seen: Floats, colours: Floats
) -> tuple[Floats, Floats]:
    """Weight (n,) and colours (n, 3) that the head's other side lends to what is not well seen; as
    `vrn.meshing.colour`, without the difference in light between the two sides, nor what is left of it at the seam."""
    vertices = whole.vertices.astype(np.float32)
    images = vertices.take(whole.model.mirror[places.nearest], 0)
    images += symmetry.reflect_directions(places.points - vertices.take(places.nearest, 0))
    other, weight = shown(sampler, view, places, images, symmetry.reflect_directions(places.normals))
    weight *= view.on_surface(images, MIRROR_TOLERANCE_PX)
    at = np.flatnonzero(weight)
    if len(at):
        both = weight[at] * seen[at]
        sure = both + LIGHT_PRIOR
        taken = (both / sure)[:, None]
        other[at] += diffuse(places.points[at], (colours[at] - other[at]) * taken, sure, LIGHT_CELL_PX)
        lent = np.flatnonzero(seen[at] < 1)
        other[at[lent]] += diffuse(places.points[at], (colours[at] - other[at]) * taken, sure, SEAM_CELL_PX, lent)
    return weight * (1 - seen), other
