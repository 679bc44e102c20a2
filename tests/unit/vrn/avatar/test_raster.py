"""The numpy rasteriser, against trimesh and against volumes that are known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from selfie3d.types.frames import Grid, transform
from vrn.avatar.model import load_model
from vrn.avatar.raster import crossings, foremost, soft_occupancy

EVERYWHERE = np.array([0.0, 1.0, 0.0, 1000.0])
TO_PICTURE = np.diag([1.0, -1.0, 1.0])  # y down: triangles stay counter-clockwise in a frame with y up


def ball(radius: float, centre: float) -> trimesh.Trimesh:
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    sphere.vertices = sphere.vertices @ TO_PICTURE + centre
    return sphere


def test_a_ray_through_vertices_and_edges_crosses_a_closed_mesh_exactly_twice() -> None:
    box = trimesh.creation.box(extents=(4, 4, 4))
    found = crossings(box.vertices @ TO_PICTURE + [4.0, 4.0, 0.0], np.asarray(box.faces, np.int64), 9, 9)
    per_column = np.bincount(found.column, minlength=81)
    assert set(per_column.tolist()) == {0, 2}
    assert (per_column == 2).sum() == 16  # top and left edges belong to it, bottom and right do not
    assert np.allclose(np.sort(found.depth), np.repeat([-2.0, 2.0], 16))
    assert (found.front == (found.depth > 0)).all()


def test_the_foremost_triangle_is_the_one_that_the_viewer_sees() -> None:
    sphere = ball(10.0, 15.0)
    shown, weights, depth = foremost(crossings(sphere.vertices, np.asarray(sphere.faces, np.int64), 31, 31), 31, 31)
    y, x = np.nonzero(shown >= 0)
    away = np.hypot(x - 15, y - 15)
    inner = away < 9
    np.testing.assert_allclose(depth[y, x][inner], 15 + np.sqrt(100 - away[inner] ** 2), atol=0.1)
    corners = sphere.vertices[sphere.faces[shown[y, x]]]
    share = np.column_stack([1 - weights[y, x].sum(1), weights[y, x]])
    np.testing.assert_allclose((corners * share[..., None]).sum(1)[:, :2], np.column_stack([x, y]), atol=1e-2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_balls_surface_has_no_steps_whichever_way_it_faces(axis: int) -> None:
    from skimage.measure import marching_cubes

    sphere = ball(20.0, 24.3)
    field = soft_occupancy(
        sphere.vertices, np.asarray(sphere.faces, np.int64), EVERYWHERE, Grid((49,) * 3, (0.0,) * 3, (1.0,) * 3)
    )
    vertices = marching_cubes(field.values, field.level)[0][:, ::-1] + np.array(field.grid.origin) - 24.3
    radius = np.linalg.norm(vertices, axis=1)
    cap = np.abs(vertices[:, axis]) > 17
    assert radius[cap].mean() == pytest.approx(20.0, abs=0.15)
    assert radius[cap].std() < 0.08


def test_what_lies_inside_a_head_agrees_with_trimesh_away_from_the_surface() -> None:
    model = load_model()
    matrix = np.eye(4)
    matrix[:3, :3] = 2.0 * TO_PICTURE
    matrix[:3, 3] = 32.0
    vertices = transform(matrix, model.neutral)
    field = soft_occupancy(vertices, model.triangles, EVERYWHERE, Grid((64,) * 3, (0.0,) * 3, (1.0,) * 3))
    rng = np.random.default_rng(0)
    at = rng.integers(0, field.values.shape, (300, 3))
    values = field.values[tuple(at.T)]
    sure = np.abs(values - 0.5) > 0.45
    inside = trimesh.Trimesh(vertices, model.triangles, process=False).contains(
        at[sure][:, ::-1] + np.array(field.grid.origin)
    )
    assert (inside == (values[sure] > 0.5)).mean() > 0.99


def test_the_plane_cuts_clean() -> None:
    sphere = ball(20.0, 24.0)
    plane = np.array([0.0, -1.0, 0.0, 30.0])  # keeps y <= 30
    field = soft_occupancy(
        sphere.vertices, np.asarray(sphere.faces, np.int64), plane, Grid((49,) * 3, (0.0,) * 3, (1.0,) * 3)
    )
    inside = field.values > 0.5
    y = np.nonzero(inside.any((0, 2)))[0] + field.grid.origin[1]
    assert y.max() in (29, 30)
