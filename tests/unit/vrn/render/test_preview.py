"""Preview pictures: right side up, right side out, and of every kind."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from selfie3d.types import Detail, Mesh, Options
from vrn.render.preview import (
    PREVIEW_PX,
    PREVIEW_YAW,
    SHEET_PX,
    draw_preview,
    preview_sheet,
    turntable,
    view,
)
from vrn.render.render import rasterise


def picture(data: bytes) -> Any:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


def test_the_sheet_shows_four_views_in_colour_and_as_clay(frontal: Mesh) -> None:
    sheet = picture(preview_sheet(frontal))
    assert sheet.shape == (2 * SHEET_PX, 4 * SHEET_PX, 3)
    coloured, clay = sheet[:SHEET_PX], sheet[SHEET_PX:]
    assert (np.ptp(coloured, axis=2) > 60).mean() > 0.1
    assert np.ptp(clay, axis=2).max() < 40  # grey
    for column in np.split(coloured, 4, axis=1):
        covered = (np.ptp(column, axis=2) > 30).mean()
        assert 0.1 < covered < 0.6


def test_the_front_view_is_the_head_whatever_its_pose(make_head: Callable[..., Any]) -> None:
    options = Options(detail=Detail.PREVIEW)
    straight, turned = (make_head(**pose).mesh(options) for pose in ({}, {"yaw": 30, "pitch": -8, "roll": 20}))
    front, other = (view(mesh, 0.0, 160)[0].astype(int) for mesh in (straight, turned))
    both = (np.ptp(front, axis=2) > 60) & (np.ptp(other, axis=2) > 60)
    assert both.mean() > 0.15
    assert np.abs(front - other)[both].mean() < 25


def test_a_positive_yaw_turns_the_nose_to_the_right(frontal: Mesh) -> None:
    pictures = [view(frontal, yaw, 200)[0].astype(int) for yaw in (85.0, -85.0)]
    right, left = (np.argwhere(np.ptp(picture, axis=2) > 60)[:, 1] for picture in pictures)
    assert right.max() > 199 - left.min() - 3  # the nose's end, mirrored
    rows = [np.flatnonzero(np.ptp(pictures[0][row], axis=1) > 60).max() for row in (45, 95, 145)]
    assert rows[1] > max(rows[0], rows[2]) + 3


@pytest.mark.parametrize(("kind", "magic"), [("WEBP", b"RIFF"), ("GIF", b"GIF89a")])
def test_the_turntable_goes_round(frontal: Mesh, kind: str, magic: bytes) -> None:
    data = turntable(frontal, size=64, frames=8, kind=kind)
    animation: Any = Image.open(BytesIO(data))
    assert data.startswith(magic)
    assert animation.n_frames == 8
    assert animation.info["loop"] == 0
    first = np.asarray(animation.convert("RGB")).astype(int)
    animation.seek(4)
    assert np.abs(np.asarray(animation.convert("RGB")).astype(int) - first).mean() > 2


@pytest.mark.parametrize("yaw", [25, -25])
def test_the_picture_of_a_result_shows_the_head_from_the_side_that_the_photo_shows(
    make_head: Callable[..., Any], yaw: float
) -> None:
    mesh = make_head(yaw=yaw).mesh(Options(detail=Detail.PREVIEW))
    preview = draw_preview(mesh)
    image = Image.open(BytesIO(preview.data))
    assert (image.format, image.size) == ("WEBP", (PREVIEW_PX, PREVIEW_PX)) == ("WEBP", (preview.width, preview.height))
    assert preview.size < 60_000
    shown = picture(preview.data)
    assert 0.1 < (np.ptp(shown, axis=2) > 30).mean() < 0.6
    distances = {side: np.abs(shown - view(mesh, side * PREVIEW_YAW, PREVIEW_PX)[0]).mean() for side in (1, -1)}
    assert distances[int(np.sign(yaw))] < 0.5 * distances[-int(np.sign(yaw))]


def test_pictures_are_the_same_every_time(frontal: Mesh) -> None:
    assert preview_sheet(frontal, 80) == preview_sheet(frontal, 80)
    assert draw_preview(frontal) == draw_preview(frontal)


def test_the_nearer_of_two_triangles_wins_and_back_faces_are_culled() -> None:
    square = [[2, 2], [2, 12], [12, 2]]  # x, y down; counter-clockwise seen from the viewer with y up
    points = np.array([[*p, 0] for p in square] + [[*p, 5] for p in square], np.float32)
    near_last = rasterise(points, np.array([[0, 1, 2], [3, 4, 5]], np.int32), 16)
    near_first = rasterise(points, np.array([[3, 4, 5], [0, 1, 2]], np.int32), 16)
    assert set(near_last.triangle) == {1}
    assert set(near_first.triangle) == {0}
    assert len(rasterise(points, np.array([[0, 2, 1]], np.int32), 16).at) == 0


def test_a_rasterised_square_has_no_gap_and_no_overhang() -> None:
    points = np.array([[1.5, 1.5, 0], [1.5, 9.5, 0], [9.5, 1.5, 0], [9.5, 9.5, 0]], np.float32)
    fragments = rasterise(points, np.array([[0, 1, 2], [2, 1, 3]], np.int32), 12)
    mask = np.zeros((12, 12), bool)
    mask.ravel()[fragments.at] = True
    expected = np.zeros((12, 12), bool)
    expected[2:10, 2:10] = True
    assert (mask == expected).all()
    assert np.allclose(fragments.weights.sum(1), 1)


def test_what_lies_outside_the_picture_is_cut() -> None:
    points = np.array([[-50, -50, 0], [-50, 70, 0], [70, -50, 0]], np.float32)
    fragments = rasterise(points, np.array([[0, 1, 2]], np.int32), 16)
    assert fragments.at.min() >= 0
    assert fragments.at.max() < 256
    assert len(fragments.at) > 100
