"""Several faces in one file: each where it is in the photo."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import trimesh
from plyfile import PlyData

from selfie3d.types import Detail, Format, Options
from selfie3d.types.frames import transform
from vrn.files.export import encode_scene
from vrn.meshing.scene import placed

PREVIEW = Options(detail=Detail.PREVIEW)


@pytest.fixture(scope="module")
def pair(make_head: Callable[..., Any]) -> list[Any]:
    """A large face and a smaller, turned one to its lower right."""
    large = make_head(px_per_mm=1.2, centre=(150.0, 150.0)).mesh(PREVIEW)
    small = make_head(yaw=30, px_per_mm=0.6, centre=(330.0, 260.0)).mesh(PREVIEW)
    return [large, small]


def test_placed_meshes_project_where_they_were(pair: list[Any]) -> None:
    for before, after in zip(pair, placed(pair), strict=True):
        xy = transform(before.mesh_to_photo, before.vertices)[:, :2]
        assert np.abs(transform(after.mesh_to_photo, after.vertices)[:, :2] - xy).max() < 1e-3


def test_the_first_keeps_its_frame_and_the_others_share_it(pair: list[Any]) -> None:
    first, second = placed(pair)
    assert first is pair[0]
    shared = first.mesh_to_photo[:3, :3]
    assert np.allclose(second.mesh_to_photo[:3, :3], shared)
    assert np.allclose(second.mesh_to_photo[:2, 3], first.mesh_to_photo[:2, 3])
    assert second.size_mm[1] == pytest.approx(pair[1].size_mm[1] / 2, rel=0.02)
    assert second.vertices[:, 0].mean() > first.vertices[:, 0].max()
    assert second.vertices[:, 1].mean() < first.vertices[:, 1].mean()


@pytest.mark.parametrize(
    "format", [format for format in Format if format is not Format.USDZ]
)  # which trimesh does not read
def test_every_format_holds_all_faces(pair: list[Any], format: Format) -> None:
    data = encode_scene(placed(pair), Options(format)).data
    scene = trimesh.load_scene(BytesIO(data), file_type=str(format), process=False)
    mesh = scene.to_mesh()
    mesh.merge_vertices()
    assert mesh.body_count == 2
    assert len(mesh.faces) == sum(len(m.triangles) for m in pair)


def test_a_glb_scene_names_the_faces(pair: list[Any]) -> None:
    scene = trimesh.load_scene(BytesIO(encode_scene(placed(pair), Options(Format.GLB)).data), file_type="glb")
    assert sorted(scene.geometry) == ["face-1", "face-2"]


def test_a_ply_scene_keeps_colours_and_confidence(pair: list[Any]) -> None:
    vertex = PlyData.read(BytesIO(encode_scene(placed(pair), Options()).data))["vertex"]
    assert (vertex["confidence"] == np.concatenate([m.confidence for m in pair])).all()
    assert (vertex["red"] == np.concatenate([m.colours[:, 0] for m in pair])).all()


def test_printable_faces_lie_on_one_plane_beside_each_other(make_head: Callable[..., Any]) -> None:
    options = Options(printable=True, detail=Detail.PREVIEW)
    heads = [make_head(yaw=20, px_per_mm=1.2, centre=(120.0, 150.0)), make_head(px_per_mm=0.6, centre=(330.0, 260.0))]
    first, second = placed([head.mesh(options) for head in heads])
    assert second.vertices[:, 2].min() == pytest.approx(first.vertices[:, 2].min(), abs=1e-3)
    assert (second.normals[:, 2] < -0.99).mean() > 0.1
