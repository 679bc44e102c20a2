"""The contrast of the seen hair, and hair of that contrast where none is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from vrn.avatar.guide import PX_PER_CM
from vrn.avatar.palette import Tones
from vrn.avatar.places import Places
from vrn.avatar.strands import strands
from vrn.meshing.delight import LUMINANCE
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
DARK = 10.0  # sRGB: differences between colours darker than this say little about their hue
HUE = (0.05, 0.10)  # difference of hue, in logarithms, of hair from skin: less is a bald head, more is hair
SMOOTH = (0.008, 0.02)  # of the brightness: with less contrast a scalp is bald in bright light, or wears a cap
DARKER = 0.15  # logarithm by which a bald head may be darker than a face


def grown(places: Places, colours: Floats, sure: Floats, tones: Tones, at: NDArray[np.intp]) -> Floats:
    """(len(at), 3) float32 - sRGB by which strands differ from the hair around them; 0 where no hair was seen.

    colours : (n, 3) float32 - sRGB 0..255; sure : (n,) float32 - 0..1, how far they are known
    """
    contrast = np.zeros((len(at), 3), np.float32)
    source, wanted = np.flatnonzero(sure * places.hair > SURE), np.flatnonzero(places.hair[at])
    spacing = float(np.sqrt(SCALP_CM2 / (1 + np.count_nonzero(places.hair > 0.5))))
    if len(source) < max(LEAST_CM2 / spacing**2, LEVELS) or not len(wanted) or not hairiness(tones):
        return contrast
    fine, coarse = _bands(places.points[source], colours[source], spacing)
    pattern = strands(places.neutral[at[wanted]], _locks(fine, coarse), spacing)
    contrast[wanted] = hairiness(tones) * _roughness(fine, tones) * _toned(fine, pattern)
    return contrast


def hairiness(tones: Tones) -> np.float32:
    """0..1 - 0 where the scalp has the skin's colour, as a bald head; a light may make it lighter."""
    skin, hair = (np.log(np.maximum(tone, 0) + DARK) for tone in tones)
    hue, darker = np.ptp(hair - skin), np.mean(skin - hair) - DARKER
    return np.float32(smoothstep(hue + np.maximum(darker, 0), HUE))


def _roughness(fine: Floats, tones: Tones) -> np.float32:
    """0..1 - whether the contrast of strands (m, 3) is more than a smooth scalp's."""
    return np.float32(smoothstep(np.median(np.abs(fine @ LUMINANCE)) / (tones.hair @ LUMINANCE + DARK), SMOOTH))


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
    ranked = np.array_split(seen[np.argsort(seen @ LUMINANCE)], LEVELS)
    tones = np.stack([level.mean(0) for level in ranked]) - seen.mean(0)
    values = ndtri((np.arange(LEVELS) + 0.5) / LEVELS)
    steps = np.linspace(values[0], values[-1], STEPS)
    between = np.stack([np.interp(steps, values, tone) for tone in tones.T], 1).astype(np.float32)
    nearest = (pattern - values[0]) * ((STEPS - 1) / (values[-1] - values[0])) + 0.5
    return np.asarray(between.take(np.clip(nearest, 0, STEPS - 1).astype(np.intp), 0), np.float32)
