"""A marched surface moved onto the head that it was marched from, here a ball, whose surface is known."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import trimesh
from skimage.measure import marching_cubes

from selfie3d.types.frames import upright
from vrn.avatar.neighbours import onto_model
from vrn.avatar.whole_head import WholeHead

RADIUS = 60.0
COARSE = 0.15  # of the radius, about: between the vertices of the ball that stands for a head


def ball_head() -> WholeHead:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=RADIUS)
    model: Any = SimpleNamespace(triangles=np.asarray(ball.faces, np.int64))
    return cast(WholeHead, SimpleNamespace(vertices=upright(np.asarray(ball.vertices)), model=model))


def marched(spacing: float) -> tuple[Any, Any]:
    """A ball that marching cubes made of the coarse ball's volume, crop frame: up to a third of a step off."""
    reach = int(RADIUS / spacing) + 3
    at = np.mgrid[-reach : reach + 1, -reach : reach + 1, -reach : reach + 1] * spacing
    ripple = 0.3 * spacing * np.sin(at).prod(0)
    vertices, triangles, _, _ = marching_cubes(RADIUS + ripple - np.linalg.norm(at, axis=0), 0.0)
    return upright(((vertices - reach) * spacing).astype(np.float32)), triangles[:, ::-1].astype(np.int32)


def test_a_coarse_ball_is_round_between_its_vertices() -> None:
    spacing = 3.0
    vertices, triangles = marched(spacing)
    moved, normals, _ = onto_model(ball_head(), vertices, triangles, spacing)
    away = np.linalg.norm(moved, axis=1)
    between_planes = RADIUS / np.cos(COARSE / 2) - RADIUS  # the tangent planes at two vertices cross so far outside
    assert np.abs(away - RADIUS).max() < 0.25 * between_planes
    outwards = moved / away[:, None]
    assert np.degrees(np.arccos(np.clip((normals * outwards).sum(1), -1, 1))).max() < 1.0


def test_a_surface_is_as_smooth_as_its_triangles_allow() -> None:
    spacing = 3.0
    vertices, triangles = marched(spacing)
    moved, _, _ = onto_model(ball_head(), vertices, triangles, spacing)
    mesh = trimesh.Trimesh(upright(moved), triangles, process=False)
    assert mesh.is_watertight
    assert mesh.area_faces.min() > 0
    round_ = trimesh.Trimesh(RADIUS * upright(moved / np.linalg.norm(moved, axis=1)[:, None]), triangles, process=False)
    assert mesh.face_adjacency_angles.mean() < 1.05 * round_.face_adjacency_angles.mean()
