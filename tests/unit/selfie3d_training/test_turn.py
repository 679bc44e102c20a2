from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfie3d.types.frames import Crop, transform
from selfie3d_training import augment
from selfie3d_training.dataset import Material
from selfie3d_training.head import PIVOT_CM, yaw_degrees
from selfie3d_training.turn import make_views, photo_matrix, sample_turn, turn, turned
from selfie3d_training.views import VIEW_SIZE, TurnedView, TurnedViews, write_views


def test_a_turn_adds_its_yaw_about_the_axis_of_the_head(material: Material) -> None:
    matrix = photo_matrix(material.photos, 5)
    new = turned(matrix, 30.0, 0.0)
    assert yaw_degrees(new) == pytest.approx(yaw_degrees(matrix) + 30)
    pivot = np.array([PIVOT_CM])
    np.testing.assert_allclose(transform(new, pivot), transform(matrix, pivot), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(new[:3, :3]), np.linalg.det(matrix[:3, :3]))


def test_pitch_lowers_or_raises_the_nose_only(material: Material) -> None:
    matrix = photo_matrix(material.photos, 5)
    up, down = (turned(matrix, 0.0, degrees)[:3, 2] for degrees in (10.0, -10.0))
    assert up[1] * down[1] < 0
    assert up[0] == pytest.approx(down[0])


def test_a_head_that_is_not_turned_looks_like_its_photo(material: Material) -> None:
    view = view_of(material, 5, 0.0)
    inner = slice(58, 250)
    crop = augment.warp(material.photos.image(5), augment.plain_crop(material.photos.labels.landmarks[5].astype(float)))
    face = np.zeros((192, 192), bool)
    face[60:130, 60:130] = True
    difference = np.abs(view.image[inner, inner].astype(float) - crop)[face]
    assert difference.mean() < 6


def test_a_view_is_framed_by_its_landmarks(material: Material) -> None:
    view = view_of(material, 6, 40.0)
    crop = Crop.of_landmarks(view.landmarks)
    assert crop.scale == pytest.approx(1.0)
    assert crop.offset == pytest.approx((-58, -58))
    head = material.head
    vertices = material.vertices([6])[0]
    np.testing.assert_allclose(transform(view.matrix, head.landmarks(vertices)), view.landmarks, atol=1e-3)


def test_the_turned_head_lies_where_its_matrix_says(material: Material) -> None:
    """The egg is coloured by its normals: the turned picture shows the colour of the vertex at its place."""
    view, vertices = view_of(material, 9, -35.0 if yaw(material, 9) < 0 else 35.0), material.vertices([9])[0]
    nose = vertices[:, 2].argmax()
    near = np.linalg.norm(vertices - vertices[nose], axis=1) < 4
    place = transform(view.matrix, vertices)
    before = transform(photo_matrix(material.photos, 9), vertices)
    photo = material.photos.image(9)
    shown = [
        (view.image[round(y), round(x)].astype(int), photo[round(v), round(u)].astype(int))
        for (x, y, _), (u, v, _) in zip(place[near], before[near], strict=True)
    ]
    assert np.median([np.abs(a - b).max() for a, b in shown]) < 20


def test_turns_go_outwards_and_reach_profiles() -> None:
    rng = np.random.default_rng(0)
    for yaw_degrees_now in (-50.0, -12.0, 9.0, 33.0):
        targets = np.array([yaw_degrees_now + sample_turn(rng, yaw_degrees_now)[0] for _ in range(400)])
        assert (np.sign(targets) == np.sign(yaw_degrees_now)).all()
        assert (np.abs(targets) >= abs(yaw_degrees_now) - 1e-9).all()
        assert np.abs(targets).max() <= 92.0
        assert (np.abs(targets) > 60).mean() > 0.4


def test_the_cache_gives_back_what_was_written_and_grows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 255, (11, 11, 3)), np.ones((28, 28, 1))).astype(np.uint8)
    views = [TurnedView(smooth, n, rng.normal(size=(4, 4)), rng.normal(size=(68, 3))) for n in range(3)]
    cache = TurnedViews(tmp_path)
    assert len(cache) == 0
    write_views(tmp_path, views[:2])
    assert len(cache) == 0
    cache.refresh()
    write_views(tmp_path, views[2:])
    cache.refresh()
    assert len(cache) == len(TurnedViews(tmp_path)) == 3
    assert cache.photos.tolist() == [0, 1, 2]
    for n, view in enumerate(views):
        np.testing.assert_allclose(cache[n].matrix, view.matrix, rtol=1e-6)
        np.testing.assert_allclose(cache[n].landmarks, view.landmarks, rtol=1e-6)
        assert np.abs(cache[n].image.astype(int) - view.image).mean() < 3
    with pytest.raises(IndexError):
        cache[3]


def test_the_same_seed_makes_the_same_views(material: Material, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_views(material.photos, material.head, material.photos.ids("train"), tmp_path / name, 5, seed=3)
    first, second = TurnedViews(tmp_path / "a"), TurnedViews(tmp_path / "b")
    assert len(first) == 5
    for n in range(5):
        np.testing.assert_array_equal(first[n].image, second[n].image)
        assert first[n].image.shape == (VIEW_SIZE, VIEW_SIZE, 3)


def yaw(material: Material, photo: int) -> float:
    return yaw_degrees(photo_matrix(material.photos, photo))


def view_of(material: Material, photo: int, degrees: float) -> TurnedView:
    vertices = material.vertices([photo])[0]
    image = material.photos.image(photo)
    return turn(material.head, image, vertices, photo_matrix(material.photos, photo), degrees, 0.0, photo)
