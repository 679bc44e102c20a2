from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import trimesh

from selfie3d.types.frames import Grid, transform
from selfie3d_training.dataset import phase_grid
from selfie3d_training.head import Head
from selfie3d_training.voxelise import voxelise
from vrn.network import HourglassConfig

NO_PLANES = np.zeros((0, 4))


def in_crop(head: Head, seed: int) -> np.ndarray:
    """The head at a random pose in the middle of the crop."""
    rng = np.random.default_rng(seed)
    turn = trimesh.transformations.random_rotation_matrix(rng.random(3))[:3, :3]
    return head.neutral @ turn.T * 4.3 + [95.3, 96.1, 50.7]


def positions(grid: Grid) -> np.ndarray:
    """(d * h * w, 3) - the grid's samples in crop px."""
    k, j, i = np.indices(grid.shape).reshape(3, -1)
    return transform(grid.to_crop(), np.stack([i, j, k], 1))


@pytest.mark.parametrize("seed", range(5))
def test_occupancy_is_what_trimesh_says(head: Head, seed: int) -> None:
    grid, vertices = Grid.blocks(48, 50), in_crop(head, seed)
    volume, _ = voxelise(vertices, head.triangles, NO_PLANES, grid)
    chosen = np.random.default_rng(0).choice(volume.size, 1000, replace=False)
    mesh = trimesh.Trimesh(vertices, head.triangles, process=False)
    np.testing.assert_array_equal(volume.ravel()[chosen].astype(bool), mesh.contains(positions(grid)[chosen]))


def test_rays_through_vertices_and_edges_cross_once() -> None:
    box = trimesh.creation.box(extents=(32, 32, 40))
    vertices = box.vertices + np.array([64, 64, 50])  # corners and edges lie exactly on columns
    volume, front = voxelise(vertices, np.asarray(box.faces), NO_PLANES, Grid.paper())
    assert volume.sum() == 32 * 32 * 80
    assert np.nanmin(front) == np.nanmax(front) == 70.0
    assert np.isfinite(front).sum() == 32 * 32


def test_overlapping_parts_stay_solid() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=20)
    two: Any = trimesh.util.concatenate([ball.copy().apply_translation([x, 96, 50]) for x in (88, 104)])
    grid = Grid.blocks(48, 50)
    both, _ = voxelise(np.asarray(two.vertices), np.asarray(two.faces), NO_PLANES, grid)
    each = [
        voxelise(ball.vertices + np.array([x, 96, 50]), np.asarray(ball.faces), NO_PLANES, grid)[0] for x in (88, 104)
    ]
    np.testing.assert_array_equal(both, each[0] | each[1])


def test_planes_cut_the_volume_and_the_front(head: Head) -> None:
    grid, vertices = HourglassConfig().grid, in_crop(head, 1)
    planes = np.array([[0.2, 1.0, 0.1, -90.0]])
    whole, _ = voxelise(vertices, head.triangles, NO_PLANES, grid)
    cut, front = voxelise(vertices, head.triangles, planes, grid)
    kept = (positions(grid) @ planes[0, :3] + planes[0, 3] >= 0).reshape(grid.shape)
    np.testing.assert_array_equal(cut, whole & kept)
    y, x = np.nonzero(np.isfinite(front))
    crop = transform(grid.to_crop(), np.stack([x, y, np.zeros(len(x))], 1))
    assert (np.column_stack([crop[:, :2], front[y, x]]) @ planes[0, :3] + planes[0, 3] >= -1e-3).all()


def test_the_front_is_where_a_ray_from_the_viewer_hits(head: Head) -> None:
    grid, vertices = HourglassConfig().grid, in_crop(head, 2)
    _, front = voxelise(vertices, head.triangles, NO_PLANES, grid)
    rows, columns = np.nonzero(np.isfinite(front))
    chosen = np.random.default_rng(0).choice(len(rows), 60, replace=False)
    origins = transform(grid.to_crop(), np.stack([columns, rows, np.zeros(len(rows))], 1))[chosen]
    origins[:, 2] = 300
    mesh = trimesh.Trimesh(vertices, head.triangles, process=False)
    hits, rays, _ = mesh.ray.intersects_location(origins, np.tile([0.0, 0.0, -1.0], (60, 1)), multiple_hits=False)
    np.testing.assert_allclose(front[rows, columns][chosen][rays], hits[:, 2], atol=0.1)


def test_the_four_phases_together_are_the_whole_grid(head: Head) -> None:
    grid, vertices = HourglassConfig().grid, np.round(in_crop(head, 0) * 256) / 256  # exact on both rasters
    whole, front = voxelise(vertices, head.triangles, NO_PLANES, grid)
    for row in (0, 1):
        for column in (0, 1):
            part, part_front = voxelise(vertices, head.triangles, NO_PLANES, phase_grid(grid, (row, column)))
            np.testing.assert_array_equal(part, whole[:, row::2, column::2])
            np.testing.assert_allclose(part_front, front[row::2, column::2], atol=0.05)


def test_what_reaches_out_of_the_grid_is_cut_off_at_its_borders(head: Head) -> None:
    grid = Grid.blocks(24, 25)
    vertices = head.neutral * 20.0 + [95.5, 95.5, 50]
    volume, _ = voxelise(vertices, head.triangles, NO_PLANES, grid)
    chosen = np.random.default_rng(0).choice(volume.size, 1000, replace=False)
    mesh = trimesh.Trimesh(vertices, head.triangles, process=False)
    np.testing.assert_array_equal(volume.ravel()[chosen].astype(bool), mesh.contains(positions(grid)[chosen]))
