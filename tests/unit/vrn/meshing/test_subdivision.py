import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from vrn.meshing.subdivision import subdivided


def ball() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=3)


def split(mesh: trimesh.Trimesh, chosen: NDArray[np.bool_]) -> trimesh.Trimesh:
    parts = subdivided(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), chosen)
    return trimesh.Trimesh(*parts, process=False)


def test_all_triangles_become_four_as_trimesh_makes_them() -> None:
    whole = ball()
    fine, expected = split(whole, np.ones(len(whole.vertices), bool)), whole.subdivide()
    assert len(fine.faces) == len(expected.faces) == 4 * len(whole.faces)
    assert len(fine.vertices) == len(expected.vertices)
    ours, theirs = (np.unique(mesh.triangles_center.round(5), axis=0) for mesh in (fine, expected))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_chosen_the_same_surface_stays_closed(seed: int) -> None:
    whole = ball()
    chosen = np.random.default_rng(seed).random(len(whole.vertices)) < 0.5
    fine = split(whole, chosen)
    assert fine.is_watertight
    assert fine.is_winding_consistent
    assert fine.volume == pytest.approx(whole.volume, rel=1e-5)
    assert fine.area == pytest.approx(whole.area, rel=1e-5)
    between = chosen[whole.edges_unique].all(1)
    assert len(fine.vertices) == len(whole.vertices) + between.sum()
    np.testing.assert_array_equal(fine.vertices[: len(whole.vertices)], whole.vertices.astype(np.float32))


def test_nothing_chosen_changes_nothing() -> None:
    whole = ball()
    fine = split(whole, np.zeros(len(whole.vertices), bool))
    np.testing.assert_array_equal(fine.faces, whole.faces)
    assert len(fine.vertices) == len(whole.vertices)
