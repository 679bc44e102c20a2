"""Strands of hair all over the scalp, as a pattern without colours: noise that is smeared along the way hair lies.

The pattern belongs to places of the neutral head and to nothing else. So the same place has the same strand in every
photo's head, and there is neither a seam nor symmetry nor repetition. Smearing noise along a flow: Cabral and Leedom,
Imaging vector fields using line integral convolution, 1993; by doubling the way: Hlawatsch et al., Hierarchical line
integration, 2011.

Disc
    Two angles in radians, to the left of the crown and in front of it: a place lies as far from the centre as its
    direction from `CROWN_CENTRE` lies from straight up. Pictures of it have NODES along each axis, left first.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from vrn.avatar.places import scalp

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

WIDTHS_CM = (2.4, 1.2, 0.6)  # of a light and a dark strand side by side, on the neutral head
NODES, REACH = 320, 2.9  # of the disc, radians: the scalp reaches down to 2.35, and strands go on for 0.5 below it
CROWN_CENTRE = np.array([0.0, 4.0, 0.5], np.float32)  # inside the neutral head, under the crown, cm
PER_RADIAN = (NODES - 1) / (2 * REACH)
RADIUS_CM = 9.5  # about the scalp's
WHORL = (0.10, -0.45)  # where hair begins to lie, behind the crown
FAR, BEND = (0.0, 0.35), 0.9  # where it seems to come from so far away from the whorl: down and back at the sides
TWIST, TWISTED = 1.1, 0.5  # radians by which hair is turned at the whorl, and how far away from it by 1 / e of that
WAVE, WAVE_CM = 0.25, 9.0  # radians by which hair is wavy, and the waves' width
STEP_CM, DOUBLINGS = 0.16, 5  # of the way along a strand, which is 2 ** 5 steps long
CELLS = 5.0  # of the noise in a strand's width
LATTICE = 48  # cells after which the noise repeats: turned into strands, which differ, nothing does
CARRIED = 0.7  # spacings of the places over which the pattern is smoothed: they do not carry thinner strands
STEPS = 4  # of spacings between one and its double
SOFT = 1 / 7  # of a strand's width, over which it is smoothed: where strands meet in the whorl they get too thin


def strands(neutral: Singles, locks: float, spacing_cm: float) -> Singles:
    """(n,) float32 - how light hair is at places (n, 3) of the neutral head: mean 0, deviation 1, like a normal.

    locks : how much the widest strands have to say against each of the others
    spacing_cm : between the places: what is too thin for them is left out
    """
    pictures, covariance = _carried(round(STEPS * np.log2(spacing_cm)))
    shares = np.array([locks, 1, 1], np.float32)
    picture = np.tensordot(shares / np.sqrt(shares @ covariance @ shares), pictures, 1)
    x, y, z = (neutral - CROWN_CENTRE).T
    out = np.hypot(x, z)
    nodes = np.stack([x, z]) * (np.float32(PER_RADIAN) * np.arctan2(out, y) / np.maximum(out, np.float32(1e-6)))
    nodes += np.float32((NODES - 1) / 2)
    return np.asarray(map_coordinates(picture, nodes, np.float32, order=1, mode="nearest"))


@lru_cache(maxsize=4)
def _carried(step: int) -> tuple[Singles, Singles]:
    """The pattern as points 2 ** (step / STEPS) cm apart carry it, and the covariance of its widths, (3, 3)."""
    soft = CARRIED * 2 ** (step / STEPS) / RADIUS_CM * PER_RADIAN
    pictures = np.stack([gaussian_filter(each, soft) for each in pattern()])
    return pictures, np.einsum("ixy,jxy,xy->ij", pictures, pictures, _area())


@lru_cache(maxsize=1)
def pattern() -> Singles:
    """(3, NODES, NODES) float32 - of each width, over the disc; mean 0 and deviation 1 on the scalp."""
    disc = _disc()
    smeared = _smeared(np.stack([_noise(disc, width) for width in WIDTHS_CM]), _flow(disc))
    for each, width in zip(smeared, WIDTHS_CM, strict=True):
        each[:] = _standard(gaussian_filter(each, SOFT * width / RADIUS_CM * PER_RADIAN))
    return smeared.astype(np.float32)


def _standard(picture: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean 0 and deviation 1 on the scalp."""
    share = _area()
    picture = picture - np.vdot(share, picture)
    return np.asarray(picture / np.sqrt(np.vdot(share, picture * picture)))


@lru_cache(maxsize=1)
def _area() -> Singles:
    """(NODES, NODES) float32 - each node's share of the scalp of a ball."""
    disc = _disc()
    on_scalp = scalp((CROWN_CENTRE + RADIUS_CM * _directions(disc).reshape(3, -1).T).astype(np.float32))
    area = on_scalp.reshape(NODES, NODES) * np.abs(np.sinc(np.hypot(*disc) / np.pi))
    return np.asarray(area / area.sum(), np.float32)


def _disc() -> Floats:
    """(2, NODES, NODES) radians - where the nodes are."""
    side = np.linspace(-REACH, REACH, NODES)
    return np.stack(np.meshgrid(side, side, indexing="ij"))


def _directions(disc: Floats) -> Floats:
    """(3, NODES, NODES) - from the crown's centre, of length 1: left, up, front."""
    away = np.hypot(*disc)
    ring = np.sinc(away / np.pi)  # sin(away) / away
    return np.stack([disc[0] * ring, np.cos(away), disc[1] * ring])


def _noise(disc: Floats, width_cm: float) -> Floats:
    """(NODES, NODES) - smooth noise on the ball, alike in all directions and everywhere; deviation 1."""
    rng = np.random.default_rng(round(100 * width_cm))
    at = _directions(disc) * (RADIUS_CM * CELLS / width_cm) + LATTICE * rng.random((3, 1, 1))
    noise = map_coordinates(rng.normal(size=(LATTICE,) * 3), at, order=3, prefilter=False, mode="grid-wrap")
    return np.asarray(noise / noise.std())


def _flow(disc: Floats) -> Floats:
    """(2, NODES, NODES) - the way hair lies, of length 1."""
    whorl, far = (np.reshape(place, (2, 1, 1)) for place in (WHORL, FAR))
    away = np.hypot(*(disc - whorl))
    left, front = disc - far - (whorl - far) * np.exp(-((away / BEND) ** 2))
    turned = TWIST * np.exp(-away / TWISTED) + WAVE * _noise(disc, WAVE_CM)
    angle = np.arctan2(front, left) + turned
    return np.stack([np.cos(angle), np.sin(angle)])


def _smeared(noise: Floats, flow: Floats) -> Floats:
    """The noise (k, NODES, NODES) summed along the flow, downwards from each node."""
    nodes = np.indices(flow.shape[1:]).astype(np.float64)
    ahead = STEP_CM / RADIUS_CM * PER_RADIAN * flow  # after 1, 2, 4 ... steps
    for _ in range(DOUBLINGS):
        there = nodes + ahead
        noise = noise + _moved(noise, there)
        ahead = ahead + _moved(ahead, there)
    return noise


def _moved(pictures: Floats, nodes: Floats) -> Floats:
    return np.stack([map_coordinates(each, nodes, order=1, mode="nearest") for each in pictures])
