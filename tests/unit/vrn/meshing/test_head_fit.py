"""Pose and the plane of symmetry from landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfie3d.types import Pose
from vrn.meshing.head_fit import MEAN_LANDMARKS_MM, HeadFit, Plane

angles = st.builds(Pose, st.floats(-100, 100), st.floats(-60, 60), st.floats(-90, 90))


@given(angles)
def test_a_pose_comes_back_from_its_rotation(pose: Pose) -> None:
    found = Pose.of_rotation(pose.rotation)
    assert np.allclose(found.rotation, pose.rotation)
    assert (found.yaw, found.pitch, found.roll) == pytest.approx((pose.yaw, pose.pitch, pose.roll), abs=1e-6)


@pytest.mark.parametrize(
    ("pose", "nose_points_to"),
    [
        (Pose(90, 0, 0), (1, 0, 0)),  # the right of the photo
        (Pose(0, 90, 0), (0, 1, 0)),  # up
        (Pose(0, 0, 45), (0, 0, 1)),
    ],
)
def test_the_nose_points_where_the_angles_say(pose: Pose, nose_points_to: tuple[float, float, float]) -> None:
    assert pose.rotation[:, 2] == pytest.approx(nose_points_to, abs=1e-12)


def test_positive_roll_tilts_the_head_clockwise_in_the_photo() -> None:
    crown = Pose(0, 0, 30).rotation[:, 1]
    assert crown[0] == pytest.approx(0.5)


@given(angles, st.floats(0.01, 50))
def test_a_fit_finds_pose_scale_and_centre(pose: Pose, scale: float) -> None:
    fit = HeadFit.of(scale * MEAN_LANDMARKS_MM @ pose.rotation.T + [300.0, -200.0, 7.0])
    assert np.allclose(fit.rotation, pose.rotation)
    assert fit.scale == pytest.approx(scale)
    assert fit.centre == pytest.approx([300.0, -200.0, 7.0], abs=1e-6 * max(scale, 1))


def test_a_mirrored_face_does_not_turn_the_fit_inside_out() -> None:
    fit = HeadFit.of(MEAN_LANDMARKS_MM * [1, 1, -1])
    assert np.linalg.det(fit.rotation) == pytest.approx(1)


def test_noise_on_the_landmarks_hardly_moves_the_pose() -> None:
    noise = np.random.default_rng(0).normal(0, 3, (68, 3))
    found = HeadFit.of(MEAN_LANDMARKS_MM @ Pose(30, -10, 5).rotation.T + noise).pose
    assert (found.yaw, found.pitch, found.roll) == pytest.approx((30, -10, 5), abs=2)


def test_the_mean_landmarks_are_symmetric_and_mirrored_onto_each_other() -> None:
    mirrored = HeadFit.of(MEAN_LANDMARKS_MM).symmetry.reflect(MEAN_LANDMARKS_MM.astype(np.float32))
    distances = np.linalg.norm(mirrored[:, None] - MEAN_LANDMARKS_MM, axis=2)
    assert distances.min(1).max() < 1e-3
    assert distances.argmin(1)[[0, 36, 48]].tolist() == [16, 45, 54]


def test_a_plane_reflects_points_and_directions() -> None:
    plane = Plane(np.array([0.0, 0.0, 5.0]), np.array([0.0, 0.0, 1.0]))
    points = np.array([[1, 2, 7]], np.float32)
    assert plane.reflect(points).tolist() == [[1, 2, 3]]
    assert plane.reflect_directions(points).tolist() == [[1, 2, -7]]
