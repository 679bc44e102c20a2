"""Evaluation against volumes whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from selfie3d.types.frames import transform
from selfie3d_training import augment, pictures
from selfie3d_training.dataset import Material, VolumeTarget
from selfie3d_training.evaluate import cases, evaluate, report, summary, table, view_cases
from selfie3d_training.metrics import front_map, normal_angle, score, surface_error, surface_of
from selfie3d_training.turn import make_views
from vrn.finder.face import AlignedFace
from vrn.meshing.field import Field
from vrn.network import HourglassConfig

pytestmark = pytest.mark.slow  # each test runs whole networks

GRID = HourglassConfig().grid
CENTRE = np.array([95.5, 95.5, 50.0])


def ball(radius: float, move: tuple[float, float, float] = (0, 0, 0)) -> Field:
    """The signed distance to a ball: positive inside."""
    k, j, i = np.indices(GRID.shape).reshape(3, -1)
    places = transform(GRID.to_crop(), np.stack([i, j, k], 1))
    values = radius - np.linalg.norm(places - CENTRE - move, axis=1)
    return Field(values.reshape(GRID.shape).astype(np.float32), GRID, 0.0)


def on_ball(radius: float, count: int = 68) -> np.ndarray:
    """(count, 3) - points spread over a ball, the outer eye corners (36, 45) opposite each other."""
    n = np.arange(count) + 0.5
    z, angle = 1 - 2 * n / count, np.pi * (1 + 5**0.5) * n
    points = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], 1)
    points[36], points[45] = (-1, 0, 0), (1, 0, 0)
    return points * radius + CENTRE


def truth(radius: float) -> VolumeTarget:
    field = ball(radius)
    hull = np.zeros(GRID.shape[1:], np.uint8)
    hull[40:56, 40:56] = 1
    return VolumeTarget((field.values > 0).astype(np.uint8), front_map(field).astype(np.float32), hull, on_ball(radius))


def test_the_true_volume_scores_perfectly() -> None:
    result = score(ball(40), truth(40), on_ball(40))
    assert result.iou == 1.0
    assert result.front == pytest.approx(0, abs=1e-4)
    assert result.normals == pytest.approx(0, abs=0.1)
    assert result.surface == pytest.approx(0, abs=0.002)


def test_a_smaller_ball_overlaps_by_the_cube_of_its_radius() -> None:
    assert score(ball(36), truth(40), on_ball(40)).iou == pytest.approx(0.9**3, abs=0.01)


def test_a_shift_in_depth_costs_front_depth_but_no_surface_error() -> None:
    result = score(ball(40, (0, 0, 3)), truth(40), on_ball(40))
    assert result.front == pytest.approx(3, abs=0.05)
    assert result.surface == pytest.approx(0, abs=0.003)
    assert result.normals == pytest.approx(0, abs=0.5)


def test_the_surface_error_is_the_distance_over_the_eyes_distance() -> None:
    assert surface_error(surface_of(ball(40)), on_ball(44)) == pytest.approx(4 / 88, rel=0.03)


def test_the_angle_of_normals_is_that_of_a_tilted_plane() -> None:
    y, x = np.indices((96, 96))
    flat, tilted = np.full((96, 96), 50.0), 50 + np.tan(np.radians(20)) * 2.0 * x
    everywhere = np.ones((96, 96), bool)
    assert normal_angle(tilted, flat, everywhere, GRID) == pytest.approx(20, abs=1e-6)
    tilted = np.where(y < 48, np.nan, tilted)
    assert normal_angle(tilted, flat, everywhere, GRID) == pytest.approx(20, abs=1e-6)


def test_the_front_is_read_between_samples() -> None:
    front = front_map(ball(40))
    middle = transform(np.asarray(np.linalg.inv(GRID.to_crop()), np.float64), CENTRE[None])[0]
    row, column = round(middle[1]), round(middle[0])
    assert front[row, column] == pytest.approx(90, abs=0.05)
    assert np.isnan(front[0, 0])


def test_the_surface_is_closed_and_faces_outwards() -> None:
    import trimesh

    surface = surface_of(ball(40))
    assert surface is not None
    flipped = surface.vertices * [1, -1, 1]
    mesh = trimesh.Trimesh(flipped, surface.triangles, process=False)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 40**3, rel=0.02)


def test_an_empty_field_is_no_number_and_no_crash() -> None:
    empty = Field(np.full(GRID.shape, -1, np.float32), GRID, 0.0)
    result = score(empty, truth(40), on_ball(40))
    assert result.iou == 0
    assert np.isnan([result.front, result.normals, result.surface]).all()
    assert (pictures.shaded(surface_of(empty)) == 255).all()


def test_shading_is_bright_towards_the_lamp() -> None:
    picture = pictures.shaded(surface_of(ball(40))).astype(float).mean(-1)
    assert picture[75, 75] > picture[115, 115] + 40
    assert picture[5, 5] == 255


class Oracle:
    """Answers with the true volume of the photo that is asked for next."""

    grid = GRID

    def __init__(self, material: Material) -> None:
        self._material = material
        self.photos: list[int] = []

    def field(self, _: np.ndarray) -> Field:
        source = self._material.of_photo(self.photos.pop(0))
        to_crop = augment.plain_crop(source.landmarks)
        target = self._material.target(source, self._material.vertices([source.photo])[0], to_crop, GRID)
        return Field(target.occupancy.astype(np.float32), GRID, 0.5)


class LandmarkFinder:
    """Finds every face where its labels say, but none in the first photo."""

    def __init__(self, material: Material, photos: list[int]) -> None:
        self._material, self._photos = material, iter(photos)
        self._first = True

    def find(self, _: np.ndarray) -> list[AlignedFace]:
        landmarks = self._material.photos.labels.landmarks[next(self._photos)].astype(float)
        first, self._first = self._first, False
        return [] if first else [AlignedFace(landmarks + 500, 0.9), AlignedFace(landmarks, 0.8)]


def test_faces_are_binned_by_yaw_and_misses_counted(material: Material, tmp_path: Path) -> None:
    photos = material.photos.ids("val").tolist()
    oracle = Oracle(material)
    todo = [
        *cases(material, photos, None, "label"),
        *cases(material, photos, cast(Any, LandmarkFinder(material, photos)), "finder"),
    ]
    oracle.photos = photos + photos[1:]
    outcomes = evaluate(oracle, material, todo)
    rows = {(row["group"], row["yaw"]): row for row in summary(outcomes)}
    assert rows["label", "all"]["faces"] == rows["finder", "all"]["faces"] == len(photos)
    assert (rows["label", "all"]["missed"], rows["finder", "all"]["missed"]) == (0, 1)
    assert rows["label", "all"]["iou"] == rows["finder", "all"]["iou"] == 1.0
    yaw = np.abs(material.photos.labels.yaw[photos])
    assert rows["label", "0-30"]["faces"] == (yaw < 30).sum()
    assert f"| finder | all | {len(photos)} | 1 | 1.000 |" in table(summary(outcomes))
    oracle.photos = photos * 2
    report(oracle, outcomes, tmp_path / "page")
    assert (tmp_path / "page" / "worst.png").stat().st_size > 1000


def test_turned_views_are_cases_too(material: Material) -> None:
    make_views(material.photos, material.head, material.photos.ids("val"), material.views.folder, 3, seed=0)
    material.views.refresh()
    found = list(view_cases(material, 2, None))
    assert len(found) == 2
    assert found[0].source.photo in material.photos.ids("val")
    assert found[0].source.image.shape == (308, 308, 3)
