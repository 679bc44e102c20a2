"""Which colours a head shows, and which only its background, hair or clothes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from vrn.avatar.neighbours import row_sums
from vrn.avatar.places import Places
from vrn.meshing.colour import PhotoSampler
from vrn.meshing.delight import LUMINANCE
from vrn.meshing.diffusion import diffuse
from vrn.meshing.visibility import View, smoothstep

Floats = NDArray[np.float32]

CORE_PX = 16.0  # head crop px inside the silhouette, where the photo surely shows the head
FEW = 50  # colours, less make no palette
BIN = 12  # sRGB
RARE = 1.0  # a colour that is less frequent says nothing
BACKGROUND = (0.8, 0.95)  # share of the background in a colour's frequency at which it seems, and is, background
NEARER = (0.5, 0.85)  # share of the squared distance from the other colour at which a colour begins to count, and does
COVER_CELL_PX = 12.0  # head crop px over which it is decided whether hair or clothes cover an ear or the neck
COVERED = (0.6, 0.9)  # share of skin-like colours there: below the first covered, above the second bare
SIDE_PX, SIDE_CELL_PX = (12.0, 26.0), 8.0  # head crop px inside the silhouette where hair may hang beside a face
SIDE_CM, TEMPLE_CM = (3.5, 5.0), (3.0, 4.5)  # |x| and y on the neutral head, where a cheek begins and a temple ends
STRAND_PX = 4.0  # head crop px over which it is decided
NEARER_HAIR = (0.25, 0.5)  # as NEARER: only what is nearer to hair than to skin is hair
LUMA = LUMINANCE  # of sRGB colours as they are: how light they look, near enough to compare
GREY = np.full(3, 128, np.float32)
DARK = np.array([0.40, 0.34, 0.30], np.float32)  # of the skin's colour: hair that the photo does not show


class Tones(NamedTuple):
    """The median colours of skin and of hair, (3,) float32 each, sRGB 0..255."""

    skin: Floats
    hair: Floats


def background(sampler: PhotoSampler, view: View, inset: Floats, colours: Floats, seen: Floats) -> Floats:
    """(n,) float32 0..1 - how likely the photo shows the background where it should show the head.

    inset : (n,) float32 - head crop px from the points to the silhouette

    The skull may be smaller than the model's, and the hair thinner. Near the silhouette a colour is taken for the
    background's when it occurs around the head and hardly ever well inside it.
    """
    answer = np.zeros(len(inset), np.float32)
    core = np.flatnonzero((seen > 0.5) & (inset > CORE_PX))
    doubtful = np.flatnonzero((seen > 0) & (inset <= CORE_PX))
    around = view.around[sampler.inside(view.around)]
    if len(core) < FEW or len(around) < FEW or not len(doubtful):
        return answer
    of_head, of_background = (
        _shares(palette, colours[doubtful]) for palette in (colours[core], sampler.sample(around))
    )
    answer[doubtful] = smoothstep(of_background / (of_head + of_background + RARE), BACKGROUND)
    return answer


def _shares(palette: Floats, colours: Floats) -> Floats:
    """(n,) float32 - how frequent colours (n, 3) are in a palette: 1 is as frequent as if all were alike."""
    bins = (int(256 // BIN) + 1,) * 3
    at = [np.ravel_multi_index((some.clip(0, 255).astype(np.uint8) // BIN).T, bins) for some in (palette, colours)]
    counts = np.bincount(at[0], minlength=int(np.prod(bins))).reshape(bins).astype(np.float32)
    smooth = gaussian_filter(counts, 1.0, mode="constant", truncate=2.0)
    return np.asarray(smooth.ravel()[at[1]] * (counts.size / len(palette)), np.float32)


def skin_around(places: Places, colours: Floats, seen: Floats, tones: Tones, at: NDArray[np.intp]) -> Floats:
    """(len(at),) 0..1 - whether the photo shows skin around vertices, and not hair or clothes that cover them."""
    like = nearer(colours[at], *tones)
    return smoothstep(diffuse(places.points[at], like[:, None], seen[at], COVER_CELL_PX)[:, 0], COVERED)


def hair_beside(places: Places, colours: Floats, seen: Floats, tones: Tones, inset: Floats) -> Floats:
    """(n,) float32 0..1 - how likely the photo shows hair or its shadow at the side of a face, where there is skin.

    A colour near the silhouette is compared with the skin further in, at the same height, and with the hair.
    """
    answer = np.zeros(len(colours), np.float32)
    side = 1 - smoothstep(inset, SIDE_PX)
    side *= smoothstep(np.abs(places.neutral[:, 0]), SIDE_CM) * (1 - smoothstep(places.neutral[:, 1], TEMPLE_CM))
    skin = seen * (places.skin > 0.5) * ~places.bare
    at = np.flatnonzero((skin > 0) & (side > 0) & ~places.folded)
    inner = skin * (1 - side)
    if np.count_nonzero(inner > 0.5) < FEW or not len(at):
        return answer
    of_skin = (diffuse(places.points, colours, inner, SIDE_CELL_PX, at) + tones.skin) * np.float32(0.5)
    like = nearer(colours[at], of_skin, tones.hair, NEARER_HAIR)[:, None]
    answer[at] = side[at] * (1 - smoothstep(diffuse(places.points[at], like, skin[at], STRAND_PX)[:, 0], COVERED))
    return answer


def medians(places: Places, colours: Floats, seen: Floats) -> Tones:
    """The colours of skin and of hair; where no hair is seen, of dark hair.

    The photo's points, those of the other side and what both make together are other colours, each with its medians.
    """
    skin = _median(colours, seen * places.skin * ~places.bare)
    hair = _median(colours, seen * places.hair)
    skin = GREY if skin is None else skin
    return Tones(skin, skin * DARK if hair is None else hair)


def _median(colours: Floats, weights: Floats) -> Floats | None:
    """(3,) - of the colours that count more than half, if there are any."""
    known = np.flatnonzero(weights > 0.5)
    return np.asarray(np.median(np.ascontiguousarray(colours.take(known, 0).T), 1), np.float32) if len(known) else None


def nearer(colours: Floats, one: Floats, other: Floats, edges: tuple[float, float] = NEARER) -> Floats:
    """(n,) 0..1 - how much nearer colours lie to one than to another."""
    to_one, to_other = (row_sums((colours - colour) ** 2) for colour in (one, other))
    return smoothstep(to_other / (to_one + to_other + np.float32(1)), edges)
