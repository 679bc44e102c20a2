"""The crop: exact to a hundredth of a pixel, no aliasing, sensible beyond the border."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from selfie3d.types.frames import CROP_CENTRE, CROP_SIZE, Crop, transform
from vrn.crop import TURNING_ROOM, resample, sample


def ramp(height: int, width: int) -> np.ndarray:
    """A photo whose red grows along x, whose green along y, by one grey level per px."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.full_like(x, 7)], -1).astype(np.uint8)


@pytest.mark.parametrize("size_px", [20.0, 47.3, 60.0, 85.9, 90.0])
@pytest.mark.parametrize("pixels", [96, CROP_SIZE])
def test_a_ramp_comes_back_at_the_photo_coordinates_of_every_pixel(size_px: float, pixels: int) -> None:
    crop = Crop.around((127.3, 120.6), size_px)
    square = sample(ramp(255, 255), crop, pixels)
    at_crop = (np.arange(pixels) + 0.5) * CROP_SIZE / pixels - 0.5
    x = (at_crop - crop.offset[0]) / crop.scale
    y = (at_crop - crop.offset[1]) / crop.scale
    assert np.abs(square[..., 0] - x[None, :]).max() < 0.01
    assert np.abs(square[..., 1] - y[:, None]).max() < 0.01
    assert np.abs(square[..., 2] - 7).max() < 0.001
    assert np.abs(resample(ramp(255, 255), crop, pixels) - square).max() <= 0.5


def test_a_shift_by_whole_pixels_at_scale_one_copies_the_photo() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    flat = photo.copy()
    flat[:] = photo[:1]  # only columns differ
    square = resample(flat, Crop(1.0, (-40.0, -50.0)))
    expected = flat[50 : 50 + CROP_SIZE, 39 : 41 + CROP_SIZE].astype(float)
    mean_over_pixel = expected[:, :-2] / 8 + expected[:, 1:-1] * 3 / 4 + expected[:, 2:] / 8
    assert np.abs(square - mean_over_pixel).max() <= 0.51


def test_fine_stripes_become_even_grey_when_scaled_down() -> None:
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    square = resample(stripes, Crop.around((600.0, 600.0), 400.0))
    assert np.abs(square.astype(int) - 127).max() <= 12


def test_beyond_the_border_the_photo_is_mirrored_and_loses_detail_with_the_distance() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    square = resample(noise, Crop.around((0.0, 100.0), 90.0)).astype(float)
    left, inside = square[:, :40], square[:, 110:150]
    assert abs(left.mean() - inside.mean()) < 6
    assert np.abs(np.diff(left, axis=1)).mean() < 0.25 * np.abs(np.diff(inside, axis=1)).mean()


def test_a_photo_of_one_pixel_fills_the_crop_with_its_colour() -> None:
    dot = np.array([[[10, 20, 30]]], np.uint8)
    square = resample(dot, Crop.around((0.0, 0.0), 3.0))
    assert np.array_equal(square, np.broadcast_to(dot, square.shape))


@pytest.mark.parametrize("degrees", [-171.0, -90.0, -31.0, 0.5, 3.2, 45.0, 90.0, 135.0])
@pytest.mark.parametrize("pixels", [31, CROP_SIZE])
def test_a_turned_square_is_turned_out_of_an_upright_one_around_it(degrees: float, pixels: int) -> None:
    photo = np.random.default_rng(2).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    turned = Crop(1.46, (-31.0, 12.5), np.radians(degrees))
    middle = transform(turned.to_photo(), np.array([[CROP_CENTRE, CROP_CENTRE, 0.0]]))[0, :2]
    room = round(pixels * TURNING_ROOM)
    scale = turned.scale * pixels / room
    x, y = (CROP_CENTRE - scale * middle).tolist()
    upright = sample(photo, Crop(scale, (x, y)), room)
    across = np.arange(pixels) - (pixels - 1) / 2
    cos, sin = np.cos(turned.roll), np.sin(turned.roll)
    places = np.stack([sin * across + cos * across[:, None], cos * across - sin * across[:, None]]) + (room - 1) / 2
    expected = np.stack([map_coordinates(upright[..., channel], places, order=1) for channel in range(3)], -1)
    assert np.abs(sample(photo, turned, pixels) - expected).max() < 0.001
