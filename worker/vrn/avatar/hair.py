"""The contrast of the seen hair, and hair of that contrast where none is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from vrn.avatar.guide import PX_PER_CM
from vrn.avatar.palette import LUMA, Tones
from vrn.avatar.places import Places, under_fringe
from vrn.avatar.strands import strands
from vrn.meshing.diffusion import diffuse
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float32]

SURE = 0.5  # from which on a point shows hair
LEAST_CM2 = 4.0  # of seen hair, from which its contrast is taken
SCALP_CM2 = 610.0  # of the neutral head
FINE_CM, COARSE_CM = 0.6, 1.6  # cells within which colours differ by strands, and by locks
FINEST = 1.5  # the first cell at least, in spacings of the points
LOCKS = (0.5, 1.5)  # the least and the most that locks have to say against strands
MOST = 3.0  # in medians of a contrast's size: hairlines and glints contrast more
LEVELS = 16  # of the seen contrast, from dark to light
STEPS = 256  # between LEVELS
DARK = 10.0  # sRGB: differences between colours darker than this say little
HAIRY = (-2.4, -2.0)  # of the sum of logarithms in `hairiness`, from bald heads to hair
GRAIN, SPREAD = 0.003, 0.02  # of the brightness, added to both contrasts: every photo has that much
STRANGE = (10.0, 20.0)  # sRGB by which green or blue are above red: less may be hair, more is a cap
WHITE = (222.0, 236.0)  # sRGB, of the darkest channel: less may be hair, more is a cap or overexposed
UNLIKE = 0.08  # in logarithms, difference of hue or darkness: less is skin between the hair
SHADED = 0.15  # logarithm by which skin may be darker than its median


@dataclass(frozen=True)
class Hair:
    """What a photo shows on the scalp.

    Attributes
    ----------
    tone : (3,) float32 - its colour far from what is seen, sRGB 0..255
    hairy : 0..1 - whether it is hair, and neither a bald head nor a cap
    fine : (m, 3) float32 - what strands add to the colours of hair, place by place; none where too little was seen
    locks : how much locks have to say against strands
    spacing : cm between the points of the scalp
    """

    tone: Floats
    hairy: np.float32
    fine: Floats
    locks: float
    spacing: float

    @classmethod
    def of(cls, places: Places, colours: Floats, sure: Floats, tones: Tones) -> Self:
        """colours : (n, 3) float32 - sRGB 0..255; sure : (n,) float32 - 0..1, how far they are known"""
        spacing = float(np.sqrt(SCALP_CM2 / (1 + np.count_nonzero(places.hair > 0.5))))
        on_scalp = sure * places.hair > SURE
        if np.count_nonzero(on_scalp) < max(LEAST_CM2 / spacing**2, LEVELS):
            return cls(tones.hair, np.float32(0), np.zeros((0, 3), np.float32), 1.0, spacing)
        source = np.flatnonzero(on_scalp)
        seen = colours.take(source, 0)
        fine, coarse = _bands(places.points[source], seen, spacing)
        hairy, cap = hairiness(seen, fine, tones), capped(tones.hair)
        fringed = colours[on_scalp | ((sure > SURE) & under_fringe(places.neutral) & ~places.bare)]
        bald = _without_highlights(seen, tones)
        tone = bald + (_unlike_skin(fringed, tones) - bald) * hairy
        tone += (tones.hair - tone) * cap
        return cls(tone, hairy * (1 - cap), fine, _locks(fine, coarse), spacing)

    def strands(self, places: Places, at: NDArray[np.intp]) -> Floats:
        """(len(at), 3) float32 - sRGB by which strands differ from the hair around them; 0 where there is no hair."""
        contrast, wanted = np.zeros((len(at), 3), np.float32), np.flatnonzero(places.hair[at])
        if self.hairy and len(wanted):
            pattern = strands(places.neutral[at[wanted]], self.locks, self.spacing)
            contrast[wanted] = self.hairy * _toned(self.fine, pattern)
        return contrast


def hairiness(seen: Floats, fine: Floats, tones: Tones) -> np.float32:
    """0..1 - whether the colours (m, 3) of a scalp are hair's, and not a bald head's.

    fine : (m, 3) - what strands would add to them

    Light shades a skull smoothly, so that little of its contrast is as fine as strands, and makes it lighter than the
    face. And it is red with blood, which hair is not, however fair.
    """
    light = np.maximum(seen @ LUMA, 0) + DARK
    level = np.log(light)
    middle = np.median(level)
    texture = np.log((np.median(np.abs(fine @ LUMA) / light) + GRAIN) / (np.median(np.abs(level - middle)) + SPREAD))
    lighter = middle - np.log(tones.skin @ LUMA + DARK)
    red, green, _ = np.median(_off_skin(seen, tones), 0)
    return np.float32(smoothstep(texture - lighter + green - red, HAIRY))


def capped(tone: Floats) -> np.float32:
    """0..1 - whether the colour (3,) of a scalp is a cap's: bluer or greener than hair, or as white as paper."""
    strange, white = smoothstep(tone[1:].max() - tone[0], STRANGE), smoothstep(tone.min(), WHITE)
    return np.float32(max(strange, white))


def _off_skin(seen: Floats, tones: Tones) -> Floats:
    """(m, 3) - logarithms of colours (m, 3) over the skin's."""
    return np.asarray(np.log(np.maximum(seen, 0) + DARK) - np.log(tones.skin + DARK), np.float32)


def _unlike_skin(seen: Floats, tones: Tones) -> Floats:
    """(3,) - the median of those colours (m, 3) that are hair's, and not of skin between it."""
    off = _off_skin(seen, tones)
    mean = off.mean(1)
    unlike = np.linalg.norm(off - mean[:, None], axis=1) + np.maximum(-mean - SHADED, 0)
    own = seen[unlike > UNLIKE]
    return np.asarray(np.median(own, 0), np.float32) if len(own) >= LEVELS else tones.hair


def _without_highlights(seen: Floats, tones: Tones) -> Floats:
    """(3,) - the median of colours (m, 3); if that is lighter than skin, towards that of their darker half."""
    light = seen @ LUMA
    dark = np.median(seen[light <= np.median(light)], 0)
    low, high, wanted = (float(tone @ LUMA) for tone in (dark, tones.hair, tones.skin))
    share = np.clip((high - wanted) / max(high - low, 1), 0, 1)
    return np.asarray(tones.hair + (dark - tones.hair) * share, np.float32)


def _bands(points: Floats, colours: Floats, spacing: float) -> tuple[Floats, Floats]:
    """(m, 3) both - what strands and what locks add to the colours of hair.

    points : (m, 3) float32 - head crop frame; spacing : cm between them
    """
    cell = max(FINE_CM, FINEST * spacing) * PX_PER_CM
    all_sure = np.ones(len(points), np.float32)
    fine = diffuse(points, colours, all_sure, cell)
    return colours - fine, fine - diffuse(points, colours, all_sure, cell * COARSE_CM / FINE_CM)


def _locks(fine: Floats, coarse: Floats) -> float:
    """How much locks have to say against strands."""
    size = [float(np.median(np.abs(contrast))) for contrast in (coarse, fine)]
    return float(np.clip(size[0] / max(size[1], 1e-6), *LOCKS))


def _toned(seen: Floats, pattern: Floats) -> Floats:
    """(n, 3) float32 - the seen contrast (m, 3) from dark to light, shared out to a pattern (n,) of normal values."""
    most = MOST * np.median(np.abs(seen), axis=0)
    seen = np.clip(seen, -most, most)
    ranked = np.array_split(seen[np.argsort(seen @ LUMA)], LEVELS)
    tones = np.stack([level.mean(0) for level in ranked]) - seen.mean(0)
    values = ndtri((np.arange(LEVELS) + 0.5) / LEVELS)
    steps = np.linspace(values[0], values[-1], STEPS)
    between = np.stack([np.interp(steps, values, tone) for tone in tones.T], 1).astype(np.float32)
    nearest = (pattern - values[0]) * ((STEPS - 1) / (values[-1] - values[0])) + 0.5
    return np.asarray(between.take(np.clip(nearest, 0, STEPS - 1).astype(np.intp), 0), np.float32)
