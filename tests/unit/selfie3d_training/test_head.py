from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from selfie3d.types.frames import transform
from selfie3d_training.errors import DataError
from selfie3d_training.head import Head, planes_in, pose_matrix, yaw_degrees


def rotation(yaw: float) -> np.ndarray:
    a = np.radians(yaw)
    return np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])


def test_a_pose_is_the_formula_of_the_labels(head: Head) -> None:
    turn, move = rotation(25), np.array([90.0, -110.0, 7.0])
    expected = 6.0 * head.neutral @ turn.T + move
    expected[:, 1] *= -1
    np.testing.assert_allclose(transform(pose_matrix(6.0, turn, move), head.neutral), expected, atol=1e-4)


@pytest.mark.parametrize("yaw", [-80.0, -10.0, 0.0, 45.0, 90.0])
def test_yaw_is_positive_when_the_nose_points_to_the_right(head: Head, yaw: float) -> None:
    matrix = pose_matrix(6.0, rotation(yaw), np.zeros(3))
    assert yaw_degrees(matrix) == pytest.approx(yaw)
    nose = transform(matrix, head.neutral[[head.neutral[:, 2].argmax()]])[0]
    assert np.sign(round(nose[0], 3)) == np.sign(yaw)


def test_shapes_add_up_to_the_vertices(head: Head) -> None:
    identity, expression = np.array([[1.0, -2.0]], np.float32), np.array([[0.5]], np.float32)
    expected = head.neutral.ravel() + head.identity[0] - 2 * head.identity[1] + 0.5 * head.expression[0]
    np.testing.assert_allclose(head.vertices(identity, expression)[0].ravel(), expected, atol=1e-5)


def test_the_cut_ignores_the_expression_and_follows_the_identity(head: Head) -> None:
    identity = np.array([0.7, 1.1], np.float32)
    face = head.landmarks(head.vertices(identity[None], np.zeros((1, 1), np.float32))[0])
    behind, under = head.face_planes(identity)
    assert behind @ [0, 0, face[[0, 16], 2].mean() - 3.3, 1] == pytest.approx(0, abs=1e-4)
    assert under @ [0, face[8, 1] - 2.4, 0, 1] == pytest.approx(0, abs=1e-4)


def test_planes_keep_the_same_points_in_every_frame(head: Head) -> None:
    matrix, planes = (
        pose_matrix(7.0, rotation(35), np.array([3.0, 4.0, 5.0])),
        head.face_planes(np.zeros(2, np.float32)),
    )
    moved = planes_in(matrix, planes)
    there = transform(matrix, head.neutral)
    before = head.neutral @ planes[:, :3].T + planes[:, 3]
    np.testing.assert_allclose(there @ moved[:, :3].T + moved[:, 3], before, atol=1e-4)


def test_mirrored_vertices_lie_opposite(head: Head) -> None:
    np.testing.assert_allclose(head.neutral[head.mirror], head.neutral * [-1, 1, 1], atol=1e-4)


def test_neighbours_share_an_edge(head: Head) -> None:
    starts, indices = head.neighbours
    edges = {tuple(sorted(e)) for t in head.triangles.tolist() for e in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0]))}
    listed = {tuple(sorted((v, int(u)))) for v in range(len(head.neutral)) for u in indices[starts[v] : starts[v + 1]]}
    assert listed == edges


def test_a_head_that_is_missing_or_incomplete_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        Head.load(tmp_path / "head_model.npz")
    np.savez(tmp_path / "head_model.npz", neutral=np.zeros((3, 3)))
    with pytest.raises(DataError, match="triangles"):
        Head.load(tmp_path / "head_model.npz")


def test_a_membrane_lies_between_its_neighbours_in_every_shape(head: Head) -> None:
    holes = np.zeros(len(head.neutral), bool)
    holes[head.triangles[:6].ravel()] = True
    identity, expression = np.array([[1.5, -1.0]], np.float32), np.array([[0.8]], np.float32)
    closed = head.closed(holes)
    before, after = head.vertices(identity, expression)[0], closed.vertices(identity, expression)[0]
    np.testing.assert_array_equal(after[~holes], before[~holes])
    for vertex in np.flatnonzero(holes):
        corners = np.unique(head.triangles[(head.triangles == vertex).any(1)])
        np.testing.assert_allclose(after[vertex], after[corners[corners != vertex]].mean(0), atol=1e-4)


def test_nostrils_are_what_the_nose_hides_from_the_front(head: Head) -> None:
    assert not head.nostrils.any()
    nose = head.landmarks(head.neutral)[27:36]
    hollow = trimesh.creation.icosphere(1, radius=0.2)
    hollow.apply_translation([nose[:, 0].mean(), nose[:, 1].mean(), nose[:, 2].min() - 0.7])
    vertices = np.concatenate([head.neutral, hollow.vertices]).astype(np.float32)
    triangles = np.concatenate([head.triangles, hollow.faces + len(head.neutral)])
    found = replace(head, neutral=vertices, triangles=triangles).nostrils
    assert np.flatnonzero(found).tolist() == list(range(len(head.neutral), len(vertices)))
