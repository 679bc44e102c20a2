import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from vrn.meshing.cut import cut


def ball() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=4, radius=10.0)


def plane_of(normal: list[float], below: float) -> NDArray[np.float64]:
    unit = np.array(normal) / np.linalg.norm(normal)
    return np.array([*unit, below])


@pytest.mark.parametrize("below", [0.0, 3.3, -4.0])
@pytest.mark.parametrize("normal", [[0, 1, 0], [0.3, 1, -0.2], [1, 1, 1]])
def test_a_cut_ball_is_closed_and_has_the_volume_and_area_of_its_cap(normal: list[float], below: float) -> None:
    whole, plane = ball(), plane_of(normal, below)
    part = cut(whole.vertices.astype(np.float32), whole.faces.astype(np.int32), plane, 0.5)
    ours = trimesh.Trimesh(part.vertices, part.triangles, process=False)
    assert ours.is_watertight
    assert ours.is_winding_consistent
    assert ours.area_faces.min() > 0
    height = 10.0 + below
    assert ours.volume == pytest.approx(np.pi * height**2 * (30 - height) / 3, rel=0.01)
    assert ours.area == pytest.approx(2 * np.pi * 10 * height + np.pi * (100 - below**2), rel=0.01)
    distance = part.vertices @ plane[:3] + plane[3]
    assert distance.min() > -1e-4
    np.testing.assert_allclose(distance[part.flat], 0, atol=1e-4)
    away = np.linalg.norm(part.vertices[~part.flat] - whole.vertices[part.source[~part.flat]], axis=1)
    assert away.max() < whole.edges_unique_length.max()


def test_a_plane_that_touches_nothing_cuts_nothing() -> None:
    whole = ball()
    part = cut(whole.vertices.astype(np.float32), whole.faces.astype(np.int32), plane_of([0, 1, 0], 11.0), 0.5)
    np.testing.assert_array_equal(part.triangles, whole.faces)
    assert not part.flat.any()


def test_two_holes_are_closed_apart() -> None:
    ring = trimesh.creation.torus(10.0, 3.0)
    part = cut(ring.vertices.astype(np.float32), ring.faces.astype(np.int32), plane_of([1, 0.001, 0.002], 1.0), 0.5)
    ours = trimesh.Trimesh(part.vertices, part.triangles, process=False)
    assert ours.is_watertight
    assert part.flat.sum() > 2
    assert ours.volume == pytest.approx(ring.volume / 2, rel=0.1)
