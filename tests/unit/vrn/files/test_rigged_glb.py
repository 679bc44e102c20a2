"""A rigged GLB as others read it: the Khronos validator, pygltflib, trimesh, and three.js in a real browser."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest
import trimesh
from numpy.typing import NDArray
from PIL import Image

from selfie3d.types import Format, Mesh, MeshFile, Options
from tests.heads import known_head
from tests.unit.vrn.files.test_export import TOOLS, gltf_issues
from vrn.avatar.rig import NAMES
from vrn.files.export import encode
from vrn.files.gltf import LOOK_DEGREES
from vrn.files.gltf_storage import LEAST_MM

BROWSER = Path(__file__).parents[3] / "browser"
OPTIONS = Options(Format.GLB, rigged=True)


@cache
def mesh() -> Mesh:
    return known_head(9, 15.0, expressions={"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6, "jawOpen": 0.3}).mesh(
        OPTIONS
    )


@cache
def file() -> MeshFile:
    return encode(mesh(), OPTIONS)


@cache
def tree() -> pygltflib.GLTF2:
    loaded = pygltflib.GLTF2.load_from_bytes(file().data)
    assert loaded is not None
    return loaded


def values(accessor: int) -> NDArray[Any]:
    """A float accessor of three columns, sparse or dense, as the specification says, without our own code."""
    found = tree().accessors[accessor]
    blob = tree().binary_blob()
    dense = np.zeros((found.count, 3), np.float32)
    if found.bufferView is not None:
        start = tree().bufferViews[found.bufferView].byteOffset
        dense = np.frombuffer(blob, "<f4", 3 * found.count, start).reshape(-1, 3).copy()
    if found.sparse is not None:
        start = tree().bufferViews[found.sparse.indices.bufferView].byteOffset
        at = np.frombuffer(blob, "<u2", found.sparse.count, start)
        start = tree().bufferViews[found.sparse.values.bufferView].byteOffset
        dense[at] = np.frombuffer(blob, "<f4", 3 * found.sparse.count, start).reshape(-1, 3)
    return dense


@pytest.mark.slow
def test_the_khronos_validator_finds_nothing(tmp_path: Path) -> None:
    assert gltf_issues(file().data, tmp_path) == []


def test_the_shapes_have_arkit_s_names_and_the_photo_s_weights() -> None:
    face = tree().meshes[0]
    rig = mesh().rig
    assert rig is not None
    assert face.extras["targetNames"] == list(NAMES)
    np.testing.assert_allclose(face.weights, rig.weights, atol=1e-4)
    assert max(face.weights) > 0.4
    assert len(face.primitives[0].targets) == len(NAMES)


def test_the_shapes_move_the_vertices_as_the_mesh_says() -> None:
    rig, texture = mesh().rig, mesh().texture
    assert rig is not None
    assert texture is not None
    primitive = tree().meshes[0].primitives[0]
    np.testing.assert_array_equal(values(primitive.attributes.POSITION), mesh().vertices[texture.source])
    for target, deltas in zip(primitive.targets, rig.deltas, strict=True):
        position = target["POSITION"]
        found = values(position)
        np.testing.assert_allclose(found, deltas[texture.source], atol=LEAST_MM)
        np.testing.assert_allclose(tree().accessors[position].max, found.max(0), atol=1e-6)
        np.testing.assert_allclose(tree().accessors[position].min, found.min(0), atol=1e-6)


def test_the_eyes_are_nodes_that_turn_where_the_eyes_are() -> None:
    rig = mesh().rig
    assert rig is not None
    nodes = {node.name: node for node in tree().nodes}
    assert [tree().nodes[child].name for child in nodes["face-1"].children] == ["eyeRight", "eyeLeft"]
    for eye in rig.eyes:
        np.testing.assert_allclose(nodes[eye.name].translation, eye.centre)
        assert np.linalg.norm(nodes[eye.name].rotation) == pytest.approx(1)
    looks = tree().meshes[0].extras["eyeLook"]
    assert len(looks) == 8
    inwards = {name: look for name, look in looks.items() if "In" in name}
    # a turn about y takes an eye that looks along z to +x, the subject's left: inwards for the right eye
    assert inwards["eyeLookInRight"] == {"node": "eyeRight", "axis": [0, 1, 0], "degrees": LOOK_DEGREES}
    assert inwards["eyeLookInLeft"]["degrees"] == -LOOK_DEGREES


def test_the_landmarks_are_vertices_of_the_file_the_same_for_everybody() -> None:
    extras = tree().meshes[0].extras
    vertices = values(tree().meshes[0].primitives[0].attributes.POSITION)
    np.testing.assert_allclose(vertices[extras["landmark_vertices"]], extras["landmarks"], atol=1e-4)
    assert len(extras["dense_vertices"]) == 478


def test_trimesh_reads_the_head_in_metres_with_its_texture() -> None:
    scene = trimesh.load_scene(BytesIO(file().data), file_type="glb", process=False)
    face = scene.geometry["face-1"]
    assert scene.extents == pytest.approx(np.array(mesh().size_mm) / 1000, rel=1e-3)
    assert set(scene.geometry) == {"face-1", "eyeRight", "eyeLeft"}
    picture = face.visual.material.baseColorTexture
    assert isinstance(picture, Image.Image)
    assert picture.size == (1024, 1024)
    assert face.visual.material.name == "face-1"


def test_the_file_is_small_enough() -> None:
    assert file().size < 3_000_000


@pytest.mark.slow
def test_three_js_shows_the_face_and_every_shape_moves_it(tmp_path: Path) -> None:
    assert (TOOLS / "node_modules" / "playwright-core").is_dir(), "run: npm install --prefix tests/tools"
    path = tmp_path / "face.glb"
    path.write_bytes(file().data)
    shown = subprocess.run(["node", str(BROWSER / "gltf.mjs"), str(path)], check=True, capture_output=True, text=True)
    found = json.loads(shown.stdout)
    assert found["names"] == list(NAMES)
    assert found["weights"] == tree().meshes[0].weights
    assert {name: of["textured"] for name, of in found["meshes"].items()} == dict.fromkeys(
        ("face-1", "eyeRight", "eyeLeft"), True
    )
    assert found["size"] == pytest.approx(np.array(mesh().size_mm) / 1000, rel=1e-4)
    assert found["drawn"] > 5000
    assert min(found["changed"].values()) > 20
    assert found["turned"] > 20
