"""Colours in and around an open mouth: lips keep their own, and what lies between them goes on behind them.

The photo lies on the head to a pixel or so, and lips are some pixels high. Where they part, the head's lip would take
the teeth's colours or its teeth the lip's. So both look for their colours a little away from where the lips part. What
the lips hide is like what is seen beside it, and darker the further away it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

from vrn.avatar.lip_rings import RINGS, lip_rings
from vrn.avatar.places import Places
from vrn.avatar.whole_head import WholeHead
from vrn.meshing.colour import Confidence, Paint, PhotoSampler
from vrn.meshing.visibility import View, smoothstep

Floats = NDArray[np.float32]

OPEN_PX = (1.95, 2.3)  # head crop px between the lips, in the mean: shut below the first, open above the second
STEP_PX, AROUND_PX = 0.5, 10.0  # head crop px, of the picture of the opening, and how far it goes on around it
INSET = 0.22  # of the gap, inside of where open lips part, from where the photo surely shows the mouth's inside
OUTSET_PX = 1.0  # head crop px outside of it, from where it surely shows the lips
DEEPEST = 0.3  # of the gap, inside of that, where the colours of what the lips hide are looked for at most
REACH_PX = ((0.5, 3.0), (2.5, 9.0))  # head crop px behind shut and open lips over which the mouth becomes dark
MOUTH_SHADE = np.array([0.36, 0.20, 0.19], np.float32)  # of the skin's colour, deep in the mouth
LIP_SHADE = 0.5  # of the lips' colour, on their inner side where the mouth begins
VISIBLE_PX = 6.0  # head crop px behind the front of the surface at which the photo shows the lips
ERROR_PX = 2.0  # head crop px, the most by which the photo's opening is looked for above and below the head's
DOUBT = 3.0  # sRGB levels that its contrast to the lips must gain for a square px of that
LIP_PX = 2.0  # head crop px around the opening with which it is compared
ALONG_PX = (2.0, 7.0)  # head crop px around it over which the lips still and no more move along with it


@dataclass(frozen=True)
class Region:
    """A part of the picture plane, and how far it is.

    Attributes
    ----------
    low : (2,) float32 - head crop px of the first sample
    away : (h, w) float32 - head crop px from each sample to the part, 0 in it
    nearest : (2, h, w) - row and column of the part's nearest sample
    """

    low: Floats
    away: Floats
    nearest: NDArray[np.integer]

    @classmethod
    def of(cls, low: Floats, mask: NDArray[np.bool_]) -> Self:
        away, nearest = distance_transform_edt(~mask, sampling=STEP_PX, return_indices=True)
        return cls(low, away.astype(np.float32), nearest)

    def into(self, points: Floats) -> tuple[Floats, Floats]:
        """Points (n, 3), those outside of it moved to its nearest place, and how far in px, (n,)."""
        rows, columns = self._sample(points)
        away, moved = self.away[rows, columns], points.copy()
        out = np.flatnonzero(away)
        for axis, nearest in zip((1, 0), self.nearest, strict=True):
            moved[out, axis] = self.low[axis] + STEP_PX * nearest[rows[out], columns[out]]
        return moved, away

    def distance(self, points: Floats) -> Floats:
        """(n,) float32 - px from points (n, 3) to it."""
        return self.away[self._sample(points)]

    def _sample(self, points: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The row and the column that are nearest to points."""
        columns, rows = np.rint((points[:, :2] - self.low) / STEP_PX).astype(np.intp).T
        height, width = self.away.shape
        return rows.clip(0, height - 1), columns.clip(0, width - 1)


@dataclass(frozen=True)
class MouthOpening:
    """Between the lips: what surely belongs to the mouth's inside in the photo, and what to the lips.

    inner, outer : of the head, a little inside and outside of where its lips part
    gap : head crop px between the lips, in the mean
    share : 0..1, how open it is
    lower : head crop px by which the photo's opening lies lower than the head's
    """

    inner: Region
    outer: Region
    gap: float
    share: float
    lower: float

    @classmethod
    def of(cls, edge: NDArray[np.floating], sampler: PhotoSampler) -> Self:
        """edge : (c, 2) - where the head's lips part, in order, head crop px."""
        low = np.floor(edge.min(0) - AROUND_PX).astype(np.float32)
        size = np.ceil((edge.max(0) + AROUND_PX - low) / STEP_PX).astype(int)
        picture = Image.new("1", tuple(size.tolist()))
        ImageDraw.Draw(picture).polygon([tuple(xy) for xy in ((edge - low) / STEP_PX).tolist()], fill=1)
        mask = np.asarray(picture)
        gap = float(mask.sum() * STEP_PX**2 / np.ptp(edge[:, 0]))
        share = float(smoothstep(np.array(gap), OPEN_PX))
        if not share:
            return cls(Region.of(low, mask), Region.of(low, ~mask), gap, share, 0.0)
        inside, outside = (distance_transform_edt(part, sampling=STEP_PX) for part in (mask, ~mask))
        inner, outer = inside > INSET * gap * share, outside > OUTSET_PX * share
        lower = share * _lower(low, mask, ~mask & (outside <= LIP_PX), sampler)
        return cls(Region.of(low, inner), Region.of(low, outer), gap, share, lower)

    def mirrored(self, points: Floats) -> tuple[Floats, Floats]:
        """Points (n, 3), those behind the lips moved as far inside of the lips' edge, and how far they lie behind."""
        edge, away = self.inner.into(points)
        inside = edge + (edge - points) * np.minimum(1, self.gap * DEEPEST / np.maximum(away, 1e-6))[:, None]
        return self.inner.into(inside)[0], away

    def near(self, points: Floats) -> NDArray[np.bool_]:
        """(n,) - which points (n, 3) may move: none where the lips are shut, else those around them."""
        low, size = self.inner.low, np.array(self.inner.away.shape[::-1], np.float32) * STEP_PX
        around = [(points[:, k] > low[k]) & (points[:, k] < low[k] + size[k]) for k in (0, 1)]
        return np.asarray(around[0] & around[1] & (self.share > 0))

    def along(self, points: Floats) -> Floats:
        """(n,) 0..1 - how far points (n, 3) in and around the opening move along with it."""
        return 1 - smoothstep(self.inner.distance(points), ALONG_PX)

    def in_photo(self, points: Floats) -> Floats:
        """Where the photo shows points (n, 3) of the head, in and around the opening."""
        moved = points.copy()
        if self.lower:
            moved[:, 1] += np.float32(self.lower) * self.along(points)
        return moved


def _lower(low: Floats, mask: NDArray[np.bool_], lips: NDArray[np.bool_], sampler: PhotoSampler) -> float:
    """Head crop px by which the opening has to move down so that its colours differ most from those around it."""
    steps = round(ERROR_PX / STEP_PX)
    rows, columns = (slice(max(each.min(), steps), each.max() + 1) for each in np.nonzero(lips | mask))
    y, x = np.mgrid[rows.start - steps : rows.stop + steps, columns].astype(np.float32) * STEP_PX
    points = np.stack([x.ravel() + low[0], y.ravel() + low[1], 0 * x.ravel()], 1)
    colours = sampler.sample(points).reshape(*x.shape, 3)
    parts = [part[rows, columns].ravel() / part.sum() for part in (mask, lips)]
    difference = np.asarray(parts[0] - parts[1], np.float32)

    def score(step: int) -> float:
        moved = colours[steps + step : steps + step + rows.stop - rows.start].reshape(-1, 3)
        return float(np.linalg.norm(difference @ moved)) - DOUBT * (step * STEP_PX) ** 2

    return STEP_PX * max(range(-steps, steps + 1), key=score)


def with_mouth(paint: Paint, sampler: PhotoSampler, view: View, whole: WholeHead, places: Places) -> Paint:
    """The paint, in place, with the colours of the mouth's inside, and of the lips' edge where they are open.

    view, whole : head crop frame, the photo's; places : the surface's points
    """
    skin = paint.colours[places.folded & (places.inward == 0)].mean(0)
    paint = replace(paint, at=paint.at.copy())
    opening = MouthOpening.of(whole.vertices[lip_rings(whole.model).edge, :2], sampler)
    _paint_lips(paint, sampler, view, opening, places)
    _paint_inside(paint, sampler, opening, places, skin * MOUTH_SHADE)
    return paint


def _paint_lips(paint: Paint, sampler: PhotoSampler, view: View, opening: MouthOpening, places: Places) -> None:
    """The lips' colours up to where they part, and on their inner side, darker where the mouth begins."""
    lip = np.flatnonzero(places.folded & ~places.eye & ((places.inward > 0) | opening.near(places.points)))
    beside, away = opening.outer.into(places.points[lip])
    looked, inward = opening.in_photo(beside), places.inward[lip]
    moved = paint.seen[lip] * opening.along(beside) if opening.lower else np.zeros(len(lip), np.float32)
    share = np.where(inward > 0, 1, np.where(away > 0, opening.share, moved))
    share *= sampler.inside(looked) & view.on_surface(beside, VISIBLE_PX)
    shade = 1 - (1 - LIP_SHADE) * opening.share * np.minimum(inward / RINGS, 1)
    paint.colours[lip] += (sampler.sample(looked) * shade[:, None] - paint.colours[lip]) * share[:, None]
    paint.seen[lip] = np.where(shade < 1, 0, np.maximum(paint.seen[lip], share))
    paint.confidence[lip[share > 0.5]] = Confidence.SEEN
    paint.at[lip[share > 0]] = looked[share > 0]


def _paint_inside(paint: Paint, sampler: PhotoSampler, opening: MouthOpening, places: Places, dark: Floats) -> None:
    """What the photo shows between the lips, and the same darker behind them."""
    inside = np.flatnonzero(places.inward > RINGS - 1)
    beside, away = opening.mirrored(places.points[inside])
    looked = opening.in_photo(beside)
    reach = tuple(np.interp(opening.share, (0, 1), each) for each in zip(*REACH_PX, strict=True))
    share = (1 - smoothstep(away, (reach[0], reach[1]))) * sampler.inside(looked)
    of_mouth = smoothstep(places.inward[inside], (RINGS - 1, RINGS + 1))
    colours = dark + (sampler.sample(looked) - dark) * share[:, None]
    paint.colours[inside] += (colours - paint.colours[inside]) * of_mouth[:, None]
    paint.seen[inside] = of_mouth * (share >= 1)
    paint.confidence[inside] = np.where(share > 0.5, Confidence.SEEN, Confidence.FILLED)
    paint.at[inside] = looked
