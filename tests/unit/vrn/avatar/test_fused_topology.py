"""Several photos of one person, and the head's topology, texture and rig of all of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from selfie3d.types import Format, Mesh, Options
from selfie3d.types.frames import transform
from tests.unit.vrn.avatar.portraits import Portrait, portrait
from tests.unit.vrn.avatar.test_blend import CHEEKS, mesh_of, spotted
from vrn.avatar.chart import load_chart
from vrn.avatar.model import load_model
from vrn.avatar.photo_head import face_vertices
from vrn.avatar.rig import EXPRESSIONS, NAMES

pytestmark = pytest.mark.slow  # each test makes whole heads

RIGGED = Options(Format.GLB, rigged=True)
SMILES = ("mouthSmileLeft", "mouthSmileRight")


@cache
def photos() -> tuple[Portrait, ...]:
    """From both sides without expression, and from the front with a smile; a red cheek and a blue one."""
    smile = np.zeros(len(EXPRESSIONS))
    smile[[EXPRESSIONS.index(name) for name in SMILES]] = 0.7
    identity = np.random.default_rng(4).normal(0, 0.6, 30)
    return tuple(
        portrait(yaw, identity, expression, spotted()) for yaw, expression in ((-45, None), (0, smile), (45, None))
    )


@cache
def together(options: Options) -> Mesh:
    mesh, reference = mesh_of(list(photos()), options)
    assert reference is photos()[1]  # the frontal one
    return mesh


def cheeks(mesh: Mesh) -> NDArray[np.float64]:
    """(2, 3) - the texture's colours in the middle of both cheeks."""
    assert mesh.texture is not None
    picture, chart, neutral = mesh.texture.image, load_chart(), load_model().neutral
    near = [np.argsort(np.linalg.norm(neutral - cheek, axis=1))[:12] for cheek in CHEEKS]
    side = len(picture)
    x = (chart.uv[:, 0] * side).astype(int).clip(0, side - 1)
    y = ((1 - chart.uv[:, 1]) * side).astype(int).clip(0, side - 1)
    return np.array([picture[y[at], x[at]].mean(0) for at in near])


def test_the_texture_has_on_each_side_what_the_photo_from_that_side_shows() -> None:
    found = cheeks(together(RIGGED))
    np.testing.assert_allclose(found, [(210, 70, 60), (90, 90, 200)], atol=20)
    frontal, _ = mesh_of([photos()[1]], RIGGED)
    assert np.abs(cheeks(frontal) - found).max() > 40


def test_the_mesh_has_the_topology_of_the_head_and_lies_where_the_head_is() -> None:
    mesh, model = together(Options(Format.GLB, topology="head")), load_model()  # type: ignore[arg-type]
    assert (mesh.triangles == model.triangles).all()
    assert trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False).is_watertight
    true = photos()[1].whole
    in_photo = transform(true.crop.to_photo(), true.vertices)
    found = transform(mesh.mesh_to_photo, mesh.vertices)
    skin = face_vertices(model)
    away = cKDTree(in_photo).query(found[skin])[0]  # photo px, which are mm
    assert np.median(away) < 1.5
    same = np.linalg.norm(found[skin] - in_photo[skin], axis=1)
    assert np.median(same) < 2.5


def test_the_expression_is_the_frontal_photo_s() -> None:
    mesh = together(RIGGED)
    assert mesh.rig is not None
    weights = dict(zip(NAMES, mesh.rig.weights, strict=True))
    assert min(weights[name] for name in SMILES) > 0.35
    assert sum(weights.values()) - sum(weights[name] for name in SMILES) < 1.0
    assert len(mesh.rig.eyes) == 2


def test_without_expression_the_mouth_is_that_of_the_photos_without_one() -> None:
    def width(mesh: Mesh) -> float:
        at = mesh.landmarks
        return float(np.linalg.norm(at[54] - at[48]) / np.linalg.norm(at[45] - at[36]))  # in eye distances

    calm, _ = mesh_of([photos()[0], photos()[2]], Options(Format.GLB, topology="head"))  # type: ignore[arg-type]
    neutral = together(Options(Format.GLB, neutral=True))
    smiling = together(Options(Format.GLB, topology="head"))  # type: ignore[arg-type]
    assert neutral.rig is None
    assert abs(width(neutral) - width(calm)) < 0.35 * (width(smiling) - width(calm))
    rigged = together(Options(Format.GLB, rigged=True, neutral=True))
    assert rigged.rig is not None
    assert not rigged.rig.weights.any()
