"""Eyeballs that turn: spheres behind the lids, with an iris of the photo's colour and white all round.

The photo shows a few pixels of an eye, shaded by the lids; they tell the colours and which way the eyes look, and the
eyeball itself is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import transform
from vrn.avatar.lids import Opening, openings
from vrn.avatar.model import HeadModel
from vrn.avatar.registration import Registration
from vrn.meshing.colour import PhotoSampler

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

NAMES = ("eyeRight", "eyeLeft")  # in the order of `openings`
RADIUS_CM = 1.2
CENTRES_CM = ((-3.127, 3.590, 8.369), (3.127, 3.590, 8.369))  # of the spheres on which the neutral head's eyes lie
RINGS, SEGMENTS = 18, 32
REACH = float(np.radians(105.0))  # from the middle of the iris, how much of the sphere there is
IRIS_CM, PUPIL_CM, EDGE_CM = 0.585, 0.19, 0.05  # radii, which hardly differ between people; softness of the edges
AROUND_CM = (0.68, 1.0)  # from the middle of the iris, where the white is
LIMBUS, PUPIL = 0.72, 0.18  # of the iris's colour: its border's and the pupil's
TURNS_DEGREES = np.linspace(-18.0, 18.0, 13)  # of an eye in a photo, to the side
LEAST_CONTRAST = 15.0  # sRGB, between an iris and its white; less tells nothing
LEAST_SEEN = 30  # samples
SAMPLES = 48  # a side of the patch of an eye that is looked at
BROWN = np.array([0.36, 0.27, 0.22])  # of the white, where the photo tells no colour of the iris
LEAST_WHITE, MOST_WHITE = 1.05, 1.3  # of the skin's brightness, the white of an eye


@dataclass(frozen=True)
class Eyeballs:
    """Both eyes of a head.

    Attributes
    ----------
    centres : (2, 3) float64 - the right one's and the left one's, cm, head frame
    rotation : (3, 3) float64 - how they are turned in the photo, head frame
    iris, white : (3,) float64 - sRGB 0..255
    """

    centres: Floats
    rotation: Floats
    iris: Floats
    white: Floats

    def disc(self, size: int) -> Singles:
        """(size, size, 3) float32 sRGB - the texture of an eyeball, its iris in the middle, up to REACH around."""
        y, x = np.mgrid[:size, :size] * 2 / (size - 1) - 1
        away = RADIUS_CM * REACH * np.hypot(x, y)[..., None]
        ring = _edge(away, IRIS_CM - 0.12, 0.12)
        iris = self.iris * (1 + (LIMBUS - 1) * ring)
        iris += (self.iris * PUPIL - iris) * (1 - _edge(away, PUPIL_CM, EDGE_CM))
        return np.asarray(iris + (self.white - iris) * _edge(away, IRIS_CM, EDGE_CM), np.float32)


def _edge(away: Floats, radius: float, width: float) -> Floats:
    return np.clip((away - radius) / width, 0, 1)


@lru_cache(maxsize=1)
def ball() -> tuple[Singles, NDArray[np.int32], Singles]:
    """Vertices (n, 3), cm, of an eyeball that looks along z, triangles, and places in its disc, (n, 2), -1..1, y up."""
    ring, around = np.mgrid[1 : RINGS + 1, :SEGMENTS]
    tilt, turn = (ring * REACH / RINGS).ravel(), (around * 2 * np.pi / SEGMENTS).ravel()
    flat = np.stack([np.cos(turn), np.sin(turn)], 1)
    vertices = np.concatenate([flat * np.sin(tilt)[:, None], np.cos(tilt)[:, None]], 1)
    index = 1 + np.arange(RINGS * SEGMENTS).reshape(RINGS, SEGMENTS)
    following = np.roll(index, -1, 1)
    fan = np.stack([np.zeros(SEGMENTS, int), index[0], following[0]], 1)
    halves = (index[:-1], index[1:], following[:-1]), (following[:-1], index[1:], following[1:])
    quads = [np.stack(corners, -1).reshape(-1, 3) for corners in halves]
    return (
        np.concatenate([[[0, 0, 1]], vertices]).astype(np.float32) * np.float32(RADIUS_CM),
        np.concatenate([fan, *quads]).astype(np.int32),
        np.concatenate([[[0, 0]], flat * (tilt / REACH)[:, None]]).astype(np.float32),
    )


def eyeballs(found: Registration, sampler: PhotoSampler, skin: Floats) -> Eyeballs:
    """The eyes of a registered head.

    sampler : of the photo, for the registration's crop frame; skin : (3,) sRGB 0..255 - the median
    """
    pairs = list(zip(openings(found.model), CENTRES_CM, strict=True))
    centres = np.array([_centre(found.model, found.head, opening, at) for opening, at in pairs])
    seen = [_seen(found, opening, at, sampler) for (opening, _), at in zip(pairs, centres, strict=True)]
    turn = _turn(seen)
    angle = np.radians(turn or 0.0)
    way = np.array([np.sin(angle), 0.0, np.cos(angle)])
    white, iris = _colours(seen, way, skin, sure=turn is not None)
    cos, sin = np.cos(angle), np.sin(angle)
    return Eyeballs(centres, np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]), iris, white)


def _centre(model: HeadModel, head: Floats, opening: Opening, at: tuple[float, float, float]) -> Floats:
    """(3,) - the sphere's on this head: it went where the eye's vertices went."""
    eye = np.concatenate([opening.inside, opening.loop])
    return np.asarray(np.array(at) + (head[eye] - model.neutral[eye]).mean(0))


def _seen(found: Registration, opening: Opening, centre: Floats, sampler: PhotoSampler) -> tuple[Floats, Singles]:
    """What the photo shows of an eye between the lids: directions (p, 3) in the head frame, and colours (p, 3)."""
    places, gaps, tops = opening.visible(found.head)
    y, x = np.mgrid[-1 : 1 : SAMPLES * 1j, -1 : 1 : SAMPLES * 1j].reshape(2, -1) * RADIUS_CM
    depth = np.sqrt(np.maximum(RADIUS_CM**2 - x * x - y * y, 0))
    points = centre + np.stack([x, y, depth], 1)
    top, gap = (np.interp(points[:, 0], places, values, 0, 0) for values in (tops, gaps))
    shown = (points[:, 1] < top - 0.15 * gap) & (points[:, 1] > top - 0.9 * gap) & (depth > 0)
    turned = (points - centre) @ found.pose.rotation[0][2]
    crop = transform(found.to_crop(), points).astype(np.float32)
    chosen = np.flatnonzero(shown & (turned > 0.3 * RADIUS_CM) & sampler.inside(crop))
    return (points[chosen] - centre) / RADIUS_CM, sampler.sample(crop[chosen])


def _away(at: Floats, way: Floats) -> Floats:
    """(p,) cm - along the sphere from a direction (3,) to directions (p, 3); up and down count half: lids hide it."""
    flat = at - way
    return np.asarray(RADIUS_CM * np.hypot(np.hypot(flat[:, 0], flat[:, 2]), 0.5 * flat[:, 1]))


def _turn(seen: list[tuple[Floats, Singles]]) -> float | None:
    """Degrees to the subject's left by which both eyes look: where it is dark, with white beside; None if nowhere."""
    best, turn = LEAST_CONTRAST, None
    for degrees in TURNS_DEGREES.tolist():
        way = np.array([np.sin(np.radians(degrees)), 0.0, np.cos(np.radians(degrees))])
        contrasts = []
        for at, colours in seen:
            away, light = _away(at, way), colours.mean(1)
            inner, outer = light[away < 0.9 * IRIS_CM], light[(away > AROUND_CM[0]) & (away < AROUND_CM[1])]
            contrasts.append(outer.mean() - inner.mean() if min(len(inner), len(outer)) >= LEAST_SEEN else -np.inf)
        if np.mean(contrasts) > best:
            best, turn = float(np.mean(contrasts)), degrees
    return turn


def _colours(seen: list[tuple[Floats, Singles]], way: Floats, skin: Floats, *, sure: bool) -> tuple[Floats, Floats]:
    """The white of the eyes and the iris, (3,) sRGB each."""
    at, colours = np.concatenate([a for a, _ in seen]), np.concatenate([c for _, c in seen])
    white = np.array(skin, np.float64)
    if len(at) >= LEAST_SEEN:
        light = colours.mean(1)
        white = np.median(colours[light >= np.quantile(light, 0.85)], 0).astype(np.float64)
    grey = white.mean()
    white = grey + 0.35 * (white - grey)  # much of its colour is the skin's, mirrored and blurred
    white *= np.clip(grey, LEAST_WHITE * skin.mean(), MOST_WHITE * skin.mean()) / max(grey, 1.0)
    white = np.minimum(white, 245)
    iris = white * BROWN
    if sure:
        away = _away(at, way)
        iris = np.median(colours[(away > PUPIL_CM) & (away < 0.85 * IRIS_CM)], 0)
    return white, np.asarray(iris, np.float64)
