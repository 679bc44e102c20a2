"""Lying and hanging heads are turned by quarters for the network of the face."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from selfie3d.types.frames import Grid
from vrn.crop import resample
from vrn.finder.face import AlignedFace
from vrn.meshing.field import Field
from vrn.network.upright import upright_field

FACE = np.zeros((68, 3))
FACE[36:42], FACE[42:48], FACE[27], FACE[8], FACE[0], FACE[16] = (
    [190, 110, 0],
    [250, 110, 0],
    [220, 112, 0],
    [220, 190, 0],
    [170, 120, 0],
    [270, 120, 0],
)
FACE[(FACE == 0).all(1)] = [220, 140, 0]


def of_brightness(crop: NDArray[np.uint8]) -> Field:
    """A network that answers with the crop itself, block by block."""
    blocks = crop[..., 0].reshape(96, 2, 96, 2).mean((1, 3), dtype=np.float32)
    return Field(np.repeat(blocks[None], 100, 0), Grid.blocks(96, 100), 0.5)


@pytest.mark.parametrize(("quarters", "degrees"), [(0, 40.0), (1, 50.0), (1, 90.0), (2, 180.0), (-1, -90.0)])
def test_the_network_sees_the_head_upright_and_its_answer_lies_over_the_crop(quarters: int, degrees: float) -> None:
    photo = skimage.data.astronaut()
    angle, middle = np.radians(degrees), np.array([220, 140])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # clockwise, since y is down
    landmarks = FACE.copy()
    landmarks[:, :2] = (FACE[:, :2] - middle) @ turn.T + middle
    face, shown = AlignedFace(landmarks, 1.0), []

    def network(crop: NDArray[np.uint8]) -> Field:
        shown.append(crop)
        return of_brightness(crop)

    field = upright_field(network, photo, face)
    crop = resample(photo, face.crop)
    assert np.cos(face.roll - angle) == pytest.approx(1)
    assert np.array_equal(shown[0], np.rot90(crop, quarters))
    assert np.array_equal(field.values, of_brightness(crop).values)
