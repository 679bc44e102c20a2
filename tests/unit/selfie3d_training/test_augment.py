from __future__ import annotations

import cv2
import numpy as np
import pytest

from selfie3d.types.frames import CROP_CENTRE, FACE_SIZE, transform
from selfie3d_training import augment


def face(seed: int) -> np.ndarray:
    """(68, 3) - points that fill a box of about 90 x 110 px of a picture of 240 x 240."""
    return np.random.default_rng(seed).uniform([75, 65, 0], [165, 175, 60], (68, 3))


@pytest.mark.parametrize("seed", range(12))
def test_landmarks_move_exactly_with_the_picture(seed: int) -> None:
    landmarks = face(seed)
    matrix = augment.jittered_crop(np.random.default_rng(seed), landmarks)
    for x, y, _ in landmarks[:6]:
        picture = np.zeros((240, 240, 3), np.uint8)
        spot = (round(x), round(y))
        picture[spot[1] - 2 : spot[1] + 3, spot[0] - 2 : spot[0] + 3] = 255
        expected = transform(matrix, np.array([[*spot, 0.0]]))[0, :2]
        if (expected < 8).any() or (expected > 183).any():
            continue
        crop = augment.warp(picture, matrix, cv2.BORDER_CONSTANT)[..., 0].astype(float)
        found = np.array([(crop.sum(axis) * np.arange(192)).sum() / crop.sum() for axis in (0, 1)])
        np.testing.assert_allclose(found, expected, atol=0.25)


def test_a_plain_crop_follows_the_rule() -> None:
    crop = transform(augment.plain_crop(face(0)), face(0))[:, :2]
    size = np.ptp(crop, axis=0)
    assert np.sqrt(np.prod(size)) == pytest.approx(FACE_SIZE)
    np.testing.assert_allclose((crop.min(0) + crop.max(0)) / 2, CROP_CENTRE)


def test_the_jitter_covers_the_finder_and_stays_near_it() -> None:
    landmarks, rng = face(1), np.random.default_rng(0)
    centres, sizes, mirrored, angles = [], [], [], []
    for _ in range(600):
        matrix = augment.jittered_crop(rng, landmarks)
        crop = transform(matrix, landmarks)[:, :2]
        centres.append((crop.min(0) + crop.max(0)) / 2 - CROP_CENTRE)
        sizes.append(np.sqrt(np.prod(np.ptp(crop, axis=0))) / FACE_SIZE)
        mirrored.append(np.linalg.det(matrix[:2, :2]) < 0)
        angles.append(np.degrees(np.arctan2(matrix[1, 0], matrix[1, 1])))
    assert 0.06 < np.quantile(np.abs(centres), 0.95) / FACE_SIZE < 0.11
    assert np.abs(centres).max() / FACE_SIZE < 0.15
    assert 0.09 < np.quantile(np.abs(np.log(sizes)), 0.95) < 0.15
    assert 0.4 < np.mean(mirrored) < 0.6
    assert 9 < np.median(np.abs(angles)) * 1.48 < 18
    assert np.abs(angles).max() > 35


@pytest.mark.parametrize("change", [change for _, change in augment.CHANGES], ids=lambda change: change.__name__)
def test_each_change_is_decided_by_its_generator_and_changes_the_picture(change: object) -> None:
    picture = np.kron(np.random.default_rng(0).integers(30, 220, (24, 24, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    before, landmarks = picture.copy(), face(2) - [24, 24, 0]
    results = [change(np.random.default_rng(5), picture, landmarks) for _ in range(2)]  # type: ignore[operator]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(picture, before)
    assert results[0].shape == (192, 192, 3)
    assert results[0].dtype == np.uint8
    assert not np.array_equal(results[0], picture)


def test_occluders_cover_the_face_but_never_all_of_it() -> None:
    white, rng = np.full((192, 192, 3), 255, np.uint8), np.random.default_rng(0)
    changed = [(augment.change_picture(rng, white, face(3) - [24, 24, 0]) != 255).mean() for _ in range(60)]
    assert np.mean([share > 0 for share in changed]) > 0.7
