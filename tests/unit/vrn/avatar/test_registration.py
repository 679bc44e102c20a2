"""The head model registered to the surface of a head that is known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from selfie3d.types import Options, Topology
from selfie3d.types.frames import transform
from tests.heads import BUMP_CM, KnownHead, from_bump, known_head
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.registration import Registration, register
from vrn.avatar.rig import EXPRESSIONS

pytestmark = pytest.mark.slow  # each test fits whole heads

SMILE = {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "jawOpen": 0.3}


def registered(known: KnownHead) -> tuple[Registration, HeadSurface]:
    surface = HeadSurface.of_head(known.whole, known.face, Options())
    return register(known.whole, surface.vertices, surface.normals), surface


@pytest.mark.parametrize(("yaw", "roll"), [(0.0, 0.0), (35.0, 20.0), (-70.0, 0.0)])
def test_the_face_lies_on_the_surface_that_the_volume_has(yaw: float, roll: float) -> None:
    known = known_head(1, yaw, roll, expressions=SMILE)
    found, surface = registered(known)
    solid = trimesh.Trimesh(surface.vertices, surface.triangles, process=False)
    face = np.flatnonzero((known.model.neutral[:, 2] > 6) & (np.abs(known.model.neutral[:, 0]) < 6.5))
    hidden = np.unique(known.model.triangles[known.model.parts > 1])
    points = transform(found.to_crop(), found.head)[np.setdiff1d(face, hidden)[::5]]
    _, away, _ = trimesh.proximity.closest_point(solid, points)
    mm = 10 / found.pose.scale[0]
    assert np.median(away) * mm < 0.3
    assert np.quantile(away, 0.95) * mm < 2.0


def test_every_vertex_finds_its_own_place() -> None:
    known = known_head(2, 20.0, expressions=SMILE)
    found, _ = registered(known)
    above = known.whole.vertices @ known.whole.plane[:3] + known.whole.plane[3] > 6
    away = np.linalg.norm(transform(found.to_crop(), found.head) - known.whole.vertices, axis=1)[above]
    mm = 10 / found.pose.scale[0]
    assert away.mean() * mm < 1.0
    assert np.quantile(away, 0.99) * mm < 4.0


def test_what_the_model_does_not_know_is_in_the_displacement() -> None:
    found, _ = registered(known_head(3))
    bump, calm = found.offsets[from_bump(found.model) < 0.8], np.abs(found.offsets[found.model.neutral[:, 2] < 0])
    assert bump[:, 2].mean() > 0.3 * BUMP_CM  # the model's own shapes explain some of it
    assert bump[:, 2].mean() > 3 * calm.mean()
    edges = found.model.triangles[:, :2]
    assert np.linalg.norm(found.offsets[edges[:, 0]] - found.offsets[edges[:, 1]], axis=1).mean() < 0.01


def test_the_expression_is_told_from_the_person() -> None:
    smiling, _ = registered(known_head(4, expressions=SMILE))
    calm, _ = registered(known_head(4))
    for name, weight in SMILE.items():
        assert smiling.expression[EXPRESSIONS.index(name)] == pytest.approx(weight, abs=0.35)
    assert calm.expression.max() < 0.25
    mouth = np.linalg.norm(smiling.model.neutral - np.array([0, -4.0, 10.5]), axis=1) < 3
    apart = np.linalg.norm(smiling.head - calm.head, axis=1)[mouth].mean()
    taken_off = np.linalg.norm(smiling.neutral_head - calm.neutral_head, axis=1)[mouth].mean()
    assert taken_off < 0.4 * apart


def test_a_mirrored_photo_gives_the_mirrored_head() -> None:
    one, _ = registered(known_head(5, 25.0, expressions=SMILE))
    other, _ = registered(known_head(5, 25.0, expressions=SMILE, mirrored=True))
    mirrored = (other.head * [-1, 1, 1])[other.model.mirror]
    assert np.linalg.norm(one.head - mirrored, axis=1).mean() * 10 < 1.0  # mm


def test_the_surface_decides_and_not_the_model_s_opinion() -> None:
    known = known_head(6)
    surface = HeadSurface.of_head(known.whole, known.face, Options(topology=Topology.VOLUME))
    moved = surface.vertices + surface.normals * np.float32(1.9)  # 3 mm fatter, all round
    found = register(known.whole, moved, surface.normals)
    solid = trimesh.Trimesh(moved, surface.triangles, process=False)
    face = np.flatnonzero(known.model.neutral[:, 2] > 9)
    _, away, _ = trimesh.proximity.closest_point(solid, transform(found.to_crop(), found.head)[face[::9]])
    assert np.median(away) * 10 / found.pose.scale[0] < 0.5
