"""Cuts a square out of a photo for a network: any scale and roll, sub-pixel exact, without aliasing.

Every output pixel is the mean of the linearly interpolated photo over the area that the pixel covers. Such a mean
gives back linear ramps exactly at every scale, so a crop never shifts the face. Beyond the photo's border the
photo is mirrored, and the further out the more it is blurred: that is how the training photos were padded. A rolled
square is turned out of an upright one of the same resolution that holds it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from selfie3d.types.frames import CROP_CENTRE, CROP_SIZE, Crop, transform

BORDER_BLUR = 0.5  # px of averaging per px beyond the border
BAND_BYTES = 1 << 20  # of the photo in float that are summed at once: what a core's cache holds
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


def _upright(image: NDArray[np.uint8], crop: Crop, size: int, part: slice = slice(None)) -> NDArray[np.float32]:
    """part : rows, and columns, of the square that are wanted"""
    step = CROP_SIZE / size / crop.scale
    outwards = np.asarray((np.arange(size) - (size - 1) / 2) * step, np.float64)
    x, y = (((CROP_CENTRE - offset) / crop.scale + outwards)[part] for offset in crop.offset[:2])  # photo px
    height, width = image.shape[:2]
    rows, row_weights = _taps(y, step, height)
    columns, column_weights = _taps(x, step, width)
    columns, left, right = _within(columns)
    lines = _summed_bands(image[:, left:right], rows, row_weights)  # (size, width, 3)
    turned = np.ascontiguousarray(lines.reshape(len(lines), -1).T)  # three times as quick as transposing whole pixels
    turned = turned.reshape(-1, 3, len(lines))
    return _weighted_sums(turned, columns, column_weights).transpose(2, 0, 1)


def _rolled(image: NDArray[np.uint8], crop: Crop, size: int) -> NDArray[np.float32]:
    room = round(size * TURNING_ROOM)
    x, y, _ = transform(crop.to_photo(), np.array([[CROP_CENTRE, CROP_CENTRE, 0.0]]))[0].tolist()
    scale = crop.scale * size / room
    around = Crop(scale, (CROP_CENTRE - scale * x, CROP_CENTRE - scale * y))
    across = np.arange(size) - (size - 1) / 2
    cos, sin = np.cos(crop.roll), np.sin(crop.roll)
    middle = (room - 1) / 2
    reach = (abs(cos) + abs(sin)) * (size - 1) / 2
    first, end = max(0, int(middle - reach) - 1), int(middle + reach) + 3
    patch = _upright(image, around, room, slice(first, end))
    x, y = cos * across - sin * across[:, None] + middle, sin * across + cos * across[:, None] + middle
    return _bilinear(patch, x.ravel() - first, y.ravel() - first).T.reshape(size, size, 3)


def _bilinear(patch: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
    """(3, n) - a picture, (side, side, 3), between its pixels, channel by channel: numpy is slow along short rows."""
    side = len(patch)
    x, y = (np.clip(place, 0, side - 1) for place in (x, y))
    column, row = (np.minimum(place.astype(np.int64), side - 2) for place in (x, y))
    right, below, first = x - column, y - row, row * side + column
    pixels = np.ascontiguousarray(patch.transpose(2, 0, 1)).reshape(3, -1)
    sums = np.zeros((3, len(x)), np.float32)
    for step, share in (
        (0, (1 - right) * (1 - below)),
        (1, right * (1 - below)),
        (side, (1 - right) * below),
        (side + 1, right * below),
    ):
        sums += pixels.take(first + step, 1) * share.astype(np.float32)
    return sums


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


def _summed_bands(
    image: NDArray[np.uint8], rows: NDArray[np.int64], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`_weighted_sums` of a photo's rows, (height, width, 3) uint8, without ever holding the whole of it in float."""
    at_once = max(1, int(BAND_BYTES // (12 * image.shape[1] * max(1.0, _reach(rows) / len(rows)))))
    sums = []
    for first in range(0, len(rows), at_once):
        band, top, bottom = _within(rows[first : first + at_once])
        sums.append(_weighted_sums(image[top:bottom].astype(np.float32), band, weights[first : first + at_once]))
    return np.concatenate(sums)


def _reach(rows: NDArray[np.int64]) -> int:
    return int(rows.max() - rows.min()) + 1


def _weighted_sums(
    lines: NDArray[np.float32], indices: NDArray[np.int64], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(length, ...) lines -> (n, ...) weighted sums of lines."""
    count, taps = indices.shape
    starts = np.arange(0, count * taps + 1, taps)
    matrix = csr_array((weights.ravel(), indices.ravel(), starts), shape=(count, len(lines)))
    matrix.eliminate_zeros()  # every row has as many taps as the widest
    return np.asarray(matrix @ lines.reshape(len(lines), -1)).reshape(count, *lines.shape[1:])
