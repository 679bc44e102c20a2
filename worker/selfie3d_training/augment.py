"""Augmentation: of the geometry (picture and head together) and of the picture alone.

Every function takes the random generator and is decided by it alone.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import CROP_CENTRE, CROP_SIZE, Crop, transform
from selfie3d_training.photos import Image, decode, encode

Floats = NDArray[np.float64]
Rng = np.random.Generator

ROLL_DEGREES = 12.0  # standard deviation of the rotation in the picture
ROLL_TAIL, ROLL_TAIL_DEGREES = 0.15, 45.0  # share and range of the rotations that are uniform instead
SCALE_SPREAD, SCALE_MOST = 0.06, 0.18  # of the logarithm of the scale: standard deviation and bound
ASPECT_SPREAD, ASPECT_MOST = 0.03, 0.09  # of the logarithm of width over height: wider and narrower heads
SHIFT_SPREAD, SHIFT_MOST = 3.6, 9.0  # px of the crop; the finder is within 8 % of the face's 90 px
BORDERS = (cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101)


def plain_crop(landmarks: Floats) -> Floats:
    """The (4, 4) matrix from picture to crop as the crop rule has it."""
    return Crop.of_landmarks(landmarks).to_crop()


def jittered_crop(rng: Rng, landmarks: Floats) -> Floats:
    """A (4, 4) matrix from picture to crop: rolled, cropped by the rule, then changed at random.

    After the rule it is scaled, made wider or narrower, shifted and mirrored.
    landmarks : (68, 3) float64 - picture frame
    """
    tail = rng.random() < ROLL_TAIL
    angle = rng.uniform(-ROLL_TAIL_DEGREES, ROLL_TAIL_DEGREES) if tail else rng.normal(0, ROLL_DEGREES)
    roll = _roll(np.radians(angle))
    scale = np.exp(np.clip(rng.normal(0, SCALE_SPREAD), -SCALE_MOST, SCALE_MOST))
    shift = np.clip(rng.normal(0, SHIFT_SPREAD, 2), -SHIFT_MOST, SHIFT_MOST)
    stretch = np.exp(np.clip(rng.normal(0, ASPECT_SPREAD), -ASPECT_MOST, ASPECT_MOST) / 2)
    jitter = np.diag([scale * stretch, scale / stretch, scale, 1.0])
    jitter[:2, 3] = CROP_CENTRE * (1 - np.diag(jitter)[:2]) + shift
    matrix = jitter @ plain_crop(transform(roll, landmarks)) @ roll
    return _mirror() @ matrix if rng.random() < 0.5 else matrix


def warp(image: Image, matrix: Floats, border: int = cv2.BORDER_REPLICATE) -> Image:
    """The crop that a (4, 4) matrix from picture to crop describes: (192, 192, 3) uint8."""
    flat = matrix[:2][:, [0, 1, 3]]
    return np.asarray(cv2.warpAffine(image, flat, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderMode=border))


def random_border(rng: Rng) -> int:
    """How to fill what lies outside the photo."""
    return BORDERS[int(rng.choice(3, p=[0.2, 0.5, 0.3]))]


def change_picture(rng: Rng, image: Image, landmarks: Floats) -> Image:
    """Occlusion, light, colour, sharpness, noise and compression, each with its own probability.

    image : (192, 192, 3) uint8 RGB; landmarks : (68, 3) float64 - crop frame
    """
    for probability, change in CHANGES:
        if rng.random() < probability:
            image = change(rng, image, landmarks)
    return image


def _sunglasses(rng: Rng, image: Image, landmarks: Floats) -> Image:
    tint = rng.integers(0, 70, 3).tolist()
    out, size = image.copy(), rng.uniform(0.75, 1.15)
    for eye in (slice(36, 42), slice(42, 48)):
        centre, width = landmarks[eye, :2].mean(0), np.ptp(landmarks[eye, 0])
        axes = (max(int(size * width), 3), max(int(size * rng.uniform(0.6, 0.9) * width), 3))
        cv2.ellipse(out, _point(centre), axes, 0, 0, 360, tint, -1, cv2.LINE_AA)
    ends = landmarks[[36, 45], :2]
    cv2.line(out, _point(ends[0]), _point(ends[1]), tint, int(rng.integers(1, 5)), cv2.LINE_AA)
    return _mix(image, out, rng.uniform(0.6, 1.0))


def _mask(rng: Rng, image: Image, landmarks: Floats) -> Image:
    outline = np.concatenate([landmarks[2:15, :2], landmarks[rng.integers(27, 31), :2][None]])
    out = image.copy()
    cv2.fillPoly(out, [np.rint(outline).astype(np.int32)], rng.integers(0, 256, 3).tolist(), cv2.LINE_AA)
    return _mix(image, out, rng.uniform(0.8, 1.0))


def _patches(rng: Rng, image: Image, _: Floats) -> Image:
    """Rectangles, ellipses and bars (hands, microphones) in a plain colour or with a piece of the same picture."""
    out = image.copy()
    for _n in range(int(rng.integers(1, 4))):
        shape = np.zeros(image.shape[:2], np.uint8)
        centre, axes = rng.uniform(20, CROP_SIZE - 20, 2), rng.uniform(6, 34, 2)
        if rng.random() < 0.5:
            cv2.ellipse(shape, _point(centre), _point(axes), float(rng.uniform(0, 180)), 0, 360, 1, -1)
        else:
            box = (tuple(centre.tolist()), tuple((axes * [1, rng.uniform(1, 3)]).tolist()), float(rng.uniform(0, 180)))
            cv2.fillPoly(shape, [np.rint(cv2.boxPoints(box)).astype(np.int32)], 1)
        fill = np.roll(image, rng.integers(0, CROP_SIZE, 2), (0, 1)) if rng.random() < 0.6 else rng.integers(0, 256, 3)
        out = np.where(shape[..., None] > 0, fill, out).astype(np.uint8)
    return out


def _strands(rng: Rng, image: Image, _: Floats) -> Image:
    """Hair: a bundle of thin curves of one colour, from the top."""
    out, colour = image.copy(), rng.integers(0, 160, 3)
    start, end = rng.uniform([20, -10], [172, 60]), rng.uniform([10, 60], [182, 190])
    middle = (start + end) / 2 + rng.normal(0, 25, 2)
    t = np.linspace(0, 1, 12)[:, None]
    curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    for offset in rng.normal(0, rng.uniform(2, 14), (int(rng.integers(5, 40)), 2)):
        shade = np.clip(colour + rng.integers(-25, 25), 0, 255).tolist()
        spread = offset * np.linspace(0.4, 1.6, 12)[:, None]
        cv2.polylines(
            out, [np.rint(curve + spread).astype(np.int32)], False, shade, int(rng.integers(1, 3)), cv2.LINE_AA
        )
    return out


def _light(rng: Rng, image: Image, _: Floats) -> Image:
    """Light from one side, and shadows with soft borders."""
    field = cv2.resize(
        rng.normal(0, 0.25, (3, 3)).astype(np.float32), (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC
    )
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        place = np.linspace(-1, 1, CROP_SIZE, dtype=np.float32)
        ramp = np.cos(angle) * place[None, :] + np.sin(angle) * place[:, None]
        field += np.float32(rng.uniform(0.3, 0.9)) * np.tanh(ramp * np.float32(rng.uniform(1, 5)))
    return np.clip(image * np.exp(field)[..., None], 0, 255).astype(np.uint8)


def _tone(rng: Rng, image: Image, _: Floats) -> Image:
    """Brightness, contrast, gamma and colour balance in one table."""
    level = np.arange(256)[:, None] / 255
    gamma = np.exp(rng.normal(0, 0.25))
    contrast, brightness = np.exp(rng.normal(0, 0.2)), rng.normal(0, 0.08)
    balance = np.exp(rng.normal(0, 0.1, 3))
    table = ((level**gamma - 0.5) * contrast + 0.5 + brightness) * balance
    return np.asarray(cv2.LUT(image, np.clip(table * 255, 0, 255).astype(np.uint8)[:, None, :]))


def _grey(rng: Rng, image: Image, _: Floats) -> Image:
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.25:  # a yellowed print
        grey = np.clip(grey * np.array([1.0, rng.uniform(0.8, 1), rng.uniform(0.55, 0.9)]), 0, 255).astype(np.uint8)
    return np.asarray(grey)


def _blur(rng: Rng, image: Image, _: Floats) -> Image:
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.5)))
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    reach, angle = (length - 1) / 2, rng.uniform(0, np.pi)
    arm = np.array([np.cos(angle), np.sin(angle)]) * reach
    cv2.line(kernel, _point(reach - arm), _point(reach + arm), 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()))


def _low_resolution(rng: Rng, image: Image, _: Floats) -> Image:
    size = int(rng.uniform(48, 150))
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    back = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(small, (CROP_SIZE, CROP_SIZE), interpolation=back))


def _noise(rng: Rng, image: Image, _: Floats) -> Image:
    grain = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 14))
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def _compress(rng: Rng, image: Image, _: Floats) -> Image:
    return decode(encode(image, int(rng.integers(15, 75))))


CHANGES: tuple[tuple[float, Callable[[Rng, Image, Floats], Image]], ...] = (
    (0.06, _sunglasses),
    (0.05, _mask),
    (0.15, _strands),
    (0.20, _patches),
    (0.25, _light),
    (0.85, _tone),
    (0.15, _grey),
    (0.20, _blur),
    (0.15, _low_resolution),
    (0.25, _noise),
    (0.15, _compress),
)


def _point(xy: NDArray[np.floating]) -> tuple[int, int]:
    return (round(float(xy[0])), round(float(xy[1])))


def _mix(image: Image, over: Image, share: float) -> Image:
    return np.asarray(cv2.addWeighted(image, 1 - share, over, share, 0))


def _roll(radians: float) -> Floats:
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]]
    return matrix


def _mirror() -> Floats:
    matrix = np.diag([-1.0, 1.0, 1.0, 1.0])
    matrix[0, 3] = CROP_SIZE - 1
    return matrix
