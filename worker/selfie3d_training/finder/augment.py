"""What happens to a picture between face and file: light, colour, blur, few pixels, noise, JPEG, things in front."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from selfie3d_training.photos import Image

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_NEAREST)

Singles = NDArray[np.float32]
Rng = np.random.Generator


def degraded(image: Image, rng: Rng) -> Image:
    """The picture in other light and quality; nothing moves."""
    if rng.random() < 0.3:
        image = coarser(image, rng, 0.3, 0.9)
    light = image.astype(np.float32)
    light = toned(light, rng)
    if rng.random() < 0.25:
        light = blurred(light, rng)
    if rng.random() < 0.3:
        shape = (*light.shape[:2], 1 if rng.random() < 0.5 else 3)
        light += rng.normal(0, rng.uniform(1, 14), shape).astype(np.float32)
    image = light.clip(0, 255).astype(np.uint8)
    return compressed(image, int(rng.integers(15, 85))) if rng.random() < 0.25 else image


def toned(light: Singles, rng: Rng) -> Singles:
    """Contrast, brightness, colour balance, gamma, light from one side, grey. light : (h, w, 3) 0..255."""
    gain = np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.06, 3))
    light = ((light - 110) * gain + 110 + rng.normal(0, 22)).astype(np.float32)
    if rng.random() < 0.3:
        gamma = float(np.exp(rng.normal(0, 0.35)))
        light = np.asarray(255 * (light.clip(0, 255) / 255) ** gamma, np.float32)
    if rng.random() < 0.2:
        height, width = light.shape[:2]
        y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
        slope = rng.normal(0, 0.45, 2).astype(np.float32)
        light = light * np.exp(slope[0] * x + slope[1] * y)[..., None]
    if rng.random() < 0.15:
        light = np.repeat((light @ GREY)[..., None], 3, 2)
    return np.asarray(light, np.float32)


def blurred(light: Singles, rng: Rng) -> Singles:
    """Out of focus, or moved along a line."""
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(light, (0, 0), rng.uniform(0.5, 1.8)), np.float32)
    length, angle = int(rng.integers(3, 8)), rng.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    reach = (length - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(v) for v in np.rint((length - 1) / 2 + sign * reach)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return np.asarray(cv2.filter2D(light, -1, kernel / kernel.sum()), np.float32)


def coarser(image: Image, rng: Rng, least: float, most: float) -> Image:
    """As if taken with `least` to `most` times as many pixels a side, and enlarged again."""
    height, width = image.shape[:2]
    scale = float(np.exp(rng.uniform(np.log(least), np.log(most))))
    few = cv2.resize(image, (max(2, int(width * scale)), max(2, int(height * scale))), interpolation=cv2.INTER_AREA)
    how = INTERPOLATIONS[int(rng.choice(4, p=[0.55, 0.1, 0.25, 0.1]))]
    return np.asarray(cv2.resize(few, (width, height), interpolation=how), np.uint8)


def compressed(image: Image, quality: int) -> Image:
    """After a JPEG of that quality."""
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def covered(image: Image, cover: Image, centre: NDArray[np.float64], size: float, rng: Rng) -> Image:
    """Something in front of part of a face.

    cover : picture whose texture the thing has; centre (x, y) and size : of the face, px
    """
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.float32)
    at = centre + rng.uniform(-0.6, 0.6, 2) * size
    axes = np.exp(rng.uniform(np.log(0.08), np.log(0.35), 2)) * size
    turn = rng.uniform(0, 180)
    if rng.random() < 0.5:
        cv2.ellipse(mask, (tuple(at.tolist()), tuple((2 * axes).tolist()), turn), 1.0, -1)
    else:
        corners = cv2.boxPoints((tuple(at.tolist()), tuple((2 * axes).tolist()), turn))
        cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 1.0)
    share = np.asarray(cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, 2.0)), np.float32)[..., None]
    texture = cv2.resize(cover, (width, height)).astype(np.float32)
    if rng.random() < 0.5:
        texture = np.broadcast_to(texture.mean((0, 1)), texture.shape)
    return np.asarray(image * (1 - share) + texture * share, np.float32).clip(0, 255).astype(np.uint8)
