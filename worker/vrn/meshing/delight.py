"""Take the light out of a photo's face: smooth shading, estimated from normals and colours, divided away.

The skin of a face has nearly one colour, so how its brightness goes with the direction of the surface is the light:
nine spherical harmonics of the normal say what a matt surface shows of any distant light (Ramamoorthi and Hanrahan, An
efficient representation for irradiance environment maps, 2001). Cast shadows and highlights stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from selfie3d.types.frames import CROP_SIZE, Crop, transform
from vrn.meshing.colour import PhotoSampler
from vrn.meshing.diffusion import pull_push

Floats = NDArray[np.float32]

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of linear RGB, ITU-R BT.709
FEWEST = 200  # points of skin under which nothing can be said about the light
STEPS = 4  # of the robust fit
OUTLIER = 0.35  # relative difference of brightness at which a point counts half: brows, lips, shadows
DAMPING = 1e-3  # of all but the constant harmonic
GAINS = (0.5, 2.0)  # the least and the most by which light is changed
CELL_PX = 4.0  # crop px of the lattice of gains
LINES = 256  # of the photo, changed at a time


def evened(
    photo: NDArray[np.uint8], crop: Crop, points: Floats, normals: Floats, skin: Floats, spacing: float
) -> NDArray[np.uint8]:
    """The photo with even light on the face; as it was where too little skin is seen.

    photo : (H, W, 3) uint8 - sRGB
    points, normals : (n, 3) float32 - of the surface, crop frame; spacing : px between the points
    skin : (n,) float32 - 0..1, how well the photo shows skin there
    """
    at = np.flatnonzero(skin > 0.5)
    if len(at) < FEWEST:
        return photo
    sampler = PhotoSampler.around(photo, crop, spacing)
    brightness = linear(sampler.sample(points[at])) @ LUMINANCE
    light = _light(harmonics(normals[at]), brightness, skin[at])
    seen = np.flatnonzero(skin > 0)
    shade = np.maximum(harmonics(normals[seen]) @ light, 1e-3)
    gains = np.clip(np.average(shade, weights=skin[seen]) / shade, *GAINS).astype(np.float32)
    return _changed(photo, crop, _lattice(points[seen], gains, skin[seen]))


def harmonics(normals: Floats) -> Floats:
    """(n, 9) float32 - the first nine real spherical harmonics, without their constant factors."""
    x, y, z = normals.T
    columns = [np.ones_like(x), x, y, z, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]
    return np.stack(columns, 1).astype(np.float32)


def _light(basis: Floats, brightness: Floats, weights: Floats) -> Floats:
    """(9,) float32 - coefficients whose shading fits the brightness, what differs much counting little."""
    damping = DAMPING * len(basis) * np.diag([0.0] + [1.0] * 8)
    sure = weights
    for _ in range(STEPS):
        weighted = basis * sure[:, None]
        light = np.linalg.solve(weighted.T @ basis + damping, weighted.T @ brightness)
        shade = np.maximum(basis @ light, 1e-3)
        sure = (weights / (1 + ((brightness - shade) / (OUTLIER * shade)) ** 2)).astype(np.float32)
    return np.asarray(light, np.float32)


def _lattice(points: Floats, gains: Floats, weights: Floats) -> Floats:
    """(h, w) float32 - the gains all over the crop, smooth, one in CELL_PX px."""
    size = int(CROP_SIZE / CELL_PX) + 1
    x, y = np.rint(points[:, :2].T / CELL_PX).astype(np.intp).clip(0, size - 1)
    sums = [np.bincount(y * size + x, values, size * size) for values in (gains * weights, weights)]
    return pull_push(np.stack(sums, -1).astype(np.float32).reshape(size, size, 2))[..., 0]


def _changed(photo: NDArray[np.uint8], crop: Crop, gains: Floats) -> NDArray[np.uint8]:
    """The photo with the light of the crop's square changed by gains."""
    corners = np.array([[x, y, 0.0] for x in (0.0, CROP_SIZE) for y in (0.0, CROP_SIZE)])
    square = transform(crop.to_photo(), corners)[:, :2]
    height, width = photo.shape[:2]
    left, top = np.floor(square.min(0)).astype(int).clip(0, (width, height))
    right, bottom = np.ceil(square.max(0)).astype(int).clip(0, (width, height))
    matrix, out = crop.to_crop(), photo.copy()
    for first in range(top, bottom, LINES):
        rows = slice(first, min(first + LINES, bottom))
        y, x = np.mgrid[rows, left:right]
        in_crop = [matrix[k, 0] * x + matrix[k, 1] * y + matrix[k, 3] for k in (1, 0)]
        gain = map_coordinates(gains, [place / CELL_PX for place in in_crop], order=1, mode="nearest")
        part = linear(photo[rows, left:right].astype(np.float32)) * gain[..., None]
        out[rows, left:right] = np.rint(encoded(part))
    return out


def linear(colours: Floats) -> Floats:
    """sRGB 0..255 to linear light 0..1 (IEC 61966-2-1)."""
    share = colours / np.float32(255)
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encoded(light: Floats) -> Floats:
    """Linear light to sRGB 0..255, cut to what it can hold."""
    light = np.clip(light, 0, 1)
    share = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(share * 255, np.float32)
