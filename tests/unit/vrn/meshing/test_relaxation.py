"""Vertices spread evenly over a surface that they do not leave."""

import numpy as np
import trimesh
from skimage.measure import marching_cubes

from vrn.meshing.relaxation import relaxed

RADIUS = 20.0


def marched_ball() -> trimesh.Trimesh:
    """Of marching cubes, with slivers; its vertices on the sphere."""
    at = np.linalg.norm(np.mgrid[-25:26, -25:26, -25:26] - np.array([0.3, 0.1, 0.2])[:, None, None, None], axis=0)
    vertices, triangles, _, _ = marching_cubes(RADIUS - at, 0.0)
    away = vertices - 25 - [0.3, 0.1, 0.2]
    away *= RADIUS / np.linalg.norm(away, axis=1, keepdims=True)
    return trimesh.Trimesh(away, triangles[:, ::-1], process=False)


def evenness(mesh: trimesh.Trimesh) -> float:
    """The least angle of a triangle, radians, in the mean over all."""
    return float(mesh.face_angles.min(1).mean())


def relaxed_ball(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    normals = (mesh.vertices / RADIUS).astype(np.float32)
    moved = relaxed(mesh.vertices.astype(np.float32), normals, mesh.faces.astype(np.int32))
    return trimesh.Trimesh(moved, mesh.faces, process=False)


def test_triangles_become_even_and_none_is_a_sliver_or_turned_over() -> None:
    before = marched_ball()
    after = relaxed_ball(before)
    assert evenness(after) > 1.15 * evenness(before)
    assert after.area_faces.min() > 10 * before.area_faces.min()
    assert ((after.face_normals * after.triangles_center).sum(1) > 0).all()


def test_vertices_stay_on_the_surface() -> None:
    after = relaxed_ball(marched_ball())
    away = np.linalg.norm(after.vertices, axis=1) - RADIUS
    assert np.abs(away).max() < 0.02  # along the tangent: half the square of the move over the radius
    assert not (after.vertices.astype(np.float32) == marched_ball().vertices.astype(np.float32)).all(1).any()


def test_an_even_surface_stays_as_it_is() -> None:
    mesh = trimesh.creation.icosahedron()
    vertices = mesh.vertices.astype(np.float32)
    np.testing.assert_allclose(relaxed(vertices, vertices, mesh.faces.astype(np.int32)), vertices, atol=1e-6)
