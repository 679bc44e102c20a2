"""Landmarks, scale, pose and frames of a face's mesh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from selfie3d.types import Detail, Mesh, Options
from selfie3d.types.frames import OUTER_EYE_MM, transform
from vrn.finder.face import AlignedFace
from vrn.meshing.head_fit import MEAN_LANDMARKS_MM

POSES = [(0, 0, 0), (30, -10, 12), (-75, 5, -8)]


@pytest.mark.parametrize(("yaw", "pitch", "roll"), POSES)
def test_the_pose_is_that_of_the_head(make_head: Callable[..., Any], yaw: float, pitch: float, roll: float) -> None:
    pose = make_head(yaw=yaw, pitch=pitch, roll=roll).mesh(Options(detail=Detail.PREVIEW)).pose
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=0.1)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), POSES)
def test_landmarks_lie_on_the_mesh_close_to_where_they_were_found(
    make_head: Callable[..., Any], yaw: float, pitch: float, roll: float
) -> None:
    head = make_head(yaw=yaw, pitch=pitch, roll=roll)
    mesh: Mesh = head.mesh()
    assert mesh.landmarks.shape == (68, 3)
    assert (mesh.vertices[mesh.landmark_vertices] == mesh.landmarks).all()
    on_head = head.to_head(transform(head.face.crop.to_crop(), transform(mesh.mesh_to_photo, mesh.landmarks)))
    away = np.linalg.norm(on_head - MEAN_LANDMARKS_MM, axis=1)
    assert np.median(away) < 12  # the ellipsoid is that far from a face
    assert np.linalg.norm(on_head[30] - MEAN_LANDMARKS_MM[30]) < 5  # its nose is not


@pytest.mark.parametrize("shift", [-5000.0, 0.0, 777.0])
def test_the_zero_of_the_landmarks_depth_does_not_matter(make_head: Callable[..., Any], shift: float) -> None:
    head = make_head(yaw=25)
    moved = AlignedFace(head.face.landmarks_px + np.array([0, 0, shift]), 0.9)
    surface = head.surface(Options(detail=Detail.PREVIEW))
    other = type(surface).of(head.field(), moved, Options(detail=Detail.PREVIEW))
    assert np.allclose(surface.landmarks, other.landmarks, atol=1e-3)


def test_the_scale_follows_the_eye_distance(make_head: Callable[..., Any]) -> None:
    small, large = (make_head(yaw=40, px_per_mm=size).mesh(Options(detail=Detail.PREVIEW)) for size in (0.7, 1.5))
    assert small.size_mm == pytest.approx(large.size_mm, rel=0.05)
    eyes = np.linalg.norm(MEAN_LANDMARKS_MM[36] - MEAN_LANDMARKS_MM[45])
    assert small.size_mm[1] == pytest.approx(260 * OUTER_EYE_MM / eyes, rel=0.25)


def test_the_mesh_frame_is_centred_upright_and_looks_along_z(frontal: Mesh) -> None:
    middle = (frontal.vertices.min(0) + frontal.vertices.max(0)) / 2
    assert middle == pytest.approx([0, 0, 0], abs=1e-4)
    chin, nose, brow = frontal.landmarks[[8, 30, 19]]
    assert chin[1] < nose[1] < brow[1]
    assert nose[2] == pytest.approx(frontal.vertices[:, 2].max(), abs=3)
    assert frontal.landmarks[36, 0] < frontal.landmarks[45, 0]  # the subject's right eye is on the left


def test_mesh_to_photo_is_exact(make_head: Callable[..., Any]) -> None:
    head = make_head(yaw=20, roll=9)
    surface = head.surface()
    mesh = surface.coloured(head.photo(), head.face)
    photo = transform(head.face.crop.to_photo(), surface.vertices)
    assert np.abs(transform(mesh.mesh_to_photo, mesh.vertices) - photo).max() < 1e-3


def test_normals_are_unit_and_point_outward(frontal: Mesh) -> None:
    assert np.allclose(np.linalg.norm(frontal.normals, axis=1), 1, atol=1e-5)
    assert (np.einsum("ij,ij->i", frontal.normals, frontal.vertices - frontal.vertices.mean(0)) > 0).mean() > 0.95
    assert frontal.normals[frontal.landmark_vertices[30], 2] > 0.8
