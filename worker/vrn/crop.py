"""Cuts a square out of a photo for a network: any scale and roll, sub-pixel exact, without aliasing.

Every output pixel is the mean of the linearly interpolated photo over the area that the pixel covers. Such a mean
gives back linear ramps exactly at every scale, so a crop never shifts the face. Beyond the photo's border the
photo is mirrored, and the further out the more it is blurred: that is how the training photos were padded. A rolled
square is turned out of an upright one of the same resolution that holds it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from selfie3d.types.frames import CROP_CENTRE, CROP_SIZE, Crop, transform

BORDER_BLUR = 0.5  # px of averaging per px beyond the border
TURNING_ROOM = 17 / 12  # side of a square in which another one may be turned by any angle, a little over sqrt(2)


def resample(image: NDArray[np.uint8], crop: Crop, size: int = CROP_SIZE) -> NDArray[np.uint8]:
    """The crop's square of the photo.

    image : (height, width, 3) uint8 - RGB, photo frame
    crop : which square
    size : px of a side; 192 gives the crop frame itself, other sizes cover the same square with other pixels

    Returns (size, size, 3) uint8 RGB; pixel i has its centre at crop ``(i + 0.5) * 192 / size - 0.5``.
    """
    return np.asarray(np.rint(sample(image, crop, size)).clip(0, 255), np.uint8)


def sample(image: NDArray[np.uint8], crop: Crop, size: int = CROP_SIZE) -> NDArray[np.float32]:
    """As `resample`, but not rounded to bytes: (size, size, 3) float32, 0..255."""
    return _rolled(image, crop, size) if crop.roll else _upright(image, crop, size)


def _upright(image: NDArray[np.uint8], crop: Crop, size: int) -> NDArray[np.float32]:
    step = CROP_SIZE / size / crop.scale
    outwards = np.asarray((np.arange(size) - (size - 1) / 2) * step, np.float64)
    x, y = ((CROP_CENTRE - offset) / crop.scale + outwards for offset in crop.offset[:2])  # photo px
    height, width = image.shape[:2]
    rows, row_weights = _taps(y, step, height)
    columns, column_weights = _taps(x, step, width)
    (rows, top, bottom), (columns, left, right) = _within(rows), _within(columns)
    part = torch.from_numpy(image[top:bottom, left:right].astype(np.float32))
    lines = _weighted_sums(part, rows, row_weights)  # (size, width, 3)
    square = _weighted_sums(lines.transpose(0, 1).contiguous(), columns, column_weights)
    return np.asarray(square.transpose(0, 1).numpy())


def _rolled(image: NDArray[np.uint8], crop: Crop, size: int) -> NDArray[np.float32]:
    room = round(size * TURNING_ROOM)
    x, y, _ = transform(crop.to_photo(), np.array([[CROP_CENTRE, CROP_CENTRE, 0.0]]))[0].tolist()
    scale = crop.scale * size / room
    around = Crop(scale, (CROP_CENTRE - scale * x, CROP_CENTRE - scale * y))
    patch = torch.from_numpy(_upright(image, around, room)).permute(2, 0, 1)[None]
    cos, sin = np.cos(crop.roll) * size / room, np.sin(crop.roll) * size / room
    turn = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]], dtype=torch.float32)
    places = functional.affine_grid(turn, [1, 3, size, size], align_corners=False)
    square = functional.grid_sample(patch, places, mode="bilinear", padding_mode="border", align_corners=False)
    return np.ascontiguousarray(square[0].permute(1, 2, 0).numpy())


def _taps(centres: NDArray[np.float64], step: float, length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which photo pixels along one axis make up each output pixel, and how much of each.

    centres : (n,) - photo px; step : width of an output pixel, photo px; length : of the photo, px

    Returns indices and weights, both (n, taps); the weights of an output pixel add up to 1.
    """
    beyond = np.maximum(np.maximum(-centres, centres - (length - 1)), 0.0)
    width = (step + BORDER_BLUR * beyond)[:, None]
    reach = int(np.ceil(width.max() / 2)) + 1
    pixels = np.floor(centres).astype(np.int64)[:, None] + np.arange(-reach, reach + 2)
    away = pixels - centres[:, None]
    weights = (_tent_integral(away + width / 2) - _tent_integral(away - width / 2)) / width
    mirrored = pixels % (2 * length)
    return np.minimum(mirrored, 2 * length - 1 - mirrored), weights.astype(np.float32)


def _tent_integral(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integral up to x of the kernel of linear interpolation, ``max(1 - |x|, 0)``."""
    inside = np.clip(x, -1.0, 1.0)
    return 0.5 + inside - 0.5 * inside * np.abs(inside)


def _within(indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], int, int]:
    """Indices relative to the first one used, and the range [first, end) that is used."""
    first, end = int(indices.min()), int(indices.max()) + 1
    return indices - first, first, end


def _weighted_sums(lines: torch.Tensor, indices: NDArray[np.int64], weights: NDArray[np.float32]) -> torch.Tensor:
    """(length, across, 3) lines -> (n, across, 3) weighted sums of lines."""
    sums = functional.embedding_bag(
        torch.from_numpy(indices), lines.flatten(1), per_sample_weights=torch.from_numpy(weights), mode="sum"
    )
    return sums.reshape(-1, *lines.shape[1:])
