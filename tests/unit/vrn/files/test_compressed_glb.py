"""Quantised and compressed GLBs as others read them: the Khronos validator, pygltflib, three.js, and our page."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest
from numpy.typing import NDArray

from selfie3d.types import Compression, Format, Mesh, Options
from tests.unit.vrn.files.test_export import gltf_issues
from tests.unit.vrn.files.test_rigged_glb import BROWSER, mesh
from vrn.avatar.rig import NAMES
from vrn.files.export import encode, encode_scene
from vrn.files.gltf_storage import LEAST_MM, STEP_MM

SMALL = (Compression.QUANTISED, Compression.MESHOPT)
ROUNDED_MM = 0.51 * STEP_MM  # along each axis, and what floats add


@cache
def data(compression: Compression) -> bytes:
    return encode(mesh(), Options(Format.GLB, rigged=True, compression=compression)).data


@cache
def tree(compression: Compression) -> pygltflib.GLTF2:
    found = pygltflib.GLTF2.load_from_bytes(data(compression))
    assert found is not None
    return found


def column(found: pygltflib.GLTF2, at: int, kind: str, columns: int) -> NDArray[Any]:
    """A dense or sparse accessor of what is not compressed, as the specification says, without our own code."""
    accessor, blob = found.accessors[at], found.binary_blob()
    stored = np.zeros((accessor.count, columns), kind)
    if accessor.bufferView is not None:
        view = found.bufferViews[accessor.bufferView]
        wide = view.byteStride or columns * np.dtype(kind).itemsize
        return np.ndarray(stored.shape, kind, blob, view.byteOffset, (wide, np.dtype(kind).itemsize))
    where, what = (found.bufferViews[part.bufferView] for part in (accessor.sparse.indices, accessor.sparse.values))
    moved = np.frombuffer(blob, "<u2", accessor.sparse.count, where.byteOffset)
    stored[moved] = np.frombuffer(blob, kind, columns * len(moved), what.byteOffset).reshape(-1, columns)
    return stored


def parsed(files: list[bytes], folder: Path) -> list[Any]:
    """What the page's own reader makes of files."""
    paths = [folder / f"{number}.glb" for number in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file)
    command = ["node", str(BROWSER / "parse.mjs"), *map(str, paths)]
    found: list[Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


@pytest.mark.slow
def test_the_khronos_validator_finds_no_mistake(tmp_path: Path, frontal: Mesh) -> None:
    plain = encode(frontal, Options(Format.GLB, compression=Compression.QUANTISED)).data
    assert gltf_issues(plain, tmp_path) == []
    assert gltf_issues(data(Compression.QUANTISED), tmp_path) == []
    issues = gltf_issues(data(Compression.MESHOPT), tmp_path)
    assert [issue["code"] for issue in issues] == ["UNSUPPORTED_EXTENSION"]  # it does not know the extension: a hint
    assert issues[0]["severity"] == 2


def test_the_shapes_keep_their_names_and_weights() -> None:
    plain = tree(Compression.NONE).meshes[0]
    for compression in SMALL:
        face = tree(compression).meshes[0]
        assert face.extras == plain.extras
        assert face.extras["targetNames"] == list(NAMES)
        assert face.weights == plain.weights
        names = [node.name for node in tree(compression).nodes]
        assert names == [node.name for node in tree(Compression.NONE).nodes]


def test_quantised_places_err_by_no_more_than_half_a_step() -> None:
    found, texture, rig = tree(Compression.QUANTISED), mesh().texture, mesh().rig
    assert texture is not None
    assert rig is not None
    face = next(node for node in found.nodes if node.name == "face-1")
    primitive = found.meshes[0].primitives[0]
    steps = column(found, primitive.attributes.POSITION, "<i2", 3)
    places = np.array(face.translation or [0, 0, 0]) + np.array(face.scale) * steps
    assert np.abs(places - mesh().vertices[texture.source]).max() < ROUNDED_MM
    assert face.scale == [STEP_MM] * 3
    for target, deltas in zip(primitive.targets, rig.deltas, strict=True):
        moved = face.scale[0] * column(found, target["POSITION"], "<i2", 3)
        expected = deltas[texture.source]
        kept = np.abs(expected).max(1) > LEAST_MM
        assert np.abs(moved - expected)[kept].max() < ROUNDED_MM
        assert not moved[~kept].any()


def test_a_mesh_of_many_metres_is_quantised_in_coarser_steps(frontal: Mesh) -> None:
    huge = replace(frontal, vertices=frontal.vertices * np.float32(100))
    file = encode(huge, Options(Format.GLB, compression=Compression.QUANTISED)).data
    found = pygltflib.GLTF2.load_from_bytes(file)
    assert found is not None
    face = next(node for node in found.nodes if node.name == "face-1")
    steps = column(found, found.meshes[0].primitives[0].attributes.POSITION, "<i2", 3)
    places = np.array(face.translation or [0, 0, 0]) + np.array(face.scale) * steps
    assert np.abs(places - huge.vertices).max() < np.ptp(huge.vertices, axis=0).max() / 60_000


@pytest.mark.slow
@pytest.mark.parametrize("compression", SMALL)
def test_the_page_reads_it_as_it_reads_the_large_file(compression: Compression, tmp_path: Path) -> None:
    plain, small = parsed([data(Compression.NONE), data(compression)], tmp_path)
    for name, most in {"positions": ROUNDED_MM, "normals": 0.5 / 127, "uvs": 1 / 65535, "confidence": 0.0}.items():
        np.testing.assert_allclose(small[name], plain[name], rtol=0, atol=most + 1e-6)
    assert small["indices"] == plain["indices"]
    assert small["texture"] == plain["texture"]
    for one, other in zip(plain["rig"]["targets"], small["rig"]["targets"], strict=True):
        assert list(one["vertices"]) == list(other["vertices"])
        np.testing.assert_allclose(other["deltas"], one["deltas"], atol=ROUNDED_MM)
    for one, other in zip(plain["rig"]["eyes"], small["rig"]["eyes"], strict=True):
        for name in ("translation", "positions", "rotation"):
            np.testing.assert_allclose(other[name], one[name], atol=ROUNDED_MM)


@pytest.mark.slow
def test_a_face_with_vertex_colours_and_a_scene_are_compressed_too(frontal: Mesh, tmp_path: Path) -> None:
    plain, small = (Options(Format.GLB, compression=each) for each in (Compression.NONE, Compression.MESHOPT))
    files = [encode(frontal, plain).data, encode(frontal, small).data]
    one, other = parsed(files, tmp_path)
    np.testing.assert_allclose(other["positions"], one["positions"], atol=ROUNDED_MM)
    assert other["colours"] == one["colours"]
    assert other["indices"] == one["indices"]
    assert len(files[1]) < 0.5 * len(files[0])
    scene = pygltflib.GLTF2.load_from_bytes(encode_scene([frontal, frontal], small).data)
    assert scene is not None
    assert [node.name for node in scene.nodes] == ["face-1", "face-2", "selfie3d"]


@pytest.mark.slow
@pytest.mark.parametrize("compression", SMALL)
def test_three_js_shows_it_and_every_shape_moves_it(compression: Compression, tmp_path: Path) -> None:
    path = tmp_path / "face.glb"
    path.write_bytes(data(compression))
    shown = subprocess.run(["node", str(BROWSER / "gltf.mjs"), str(path)], check=True, capture_output=True, text=True)
    found = json.loads(shown.stdout)
    assert found["names"] == list(NAMES)
    assert found["size"] == pytest.approx(np.array(mesh().size_mm) / 1000, rel=1e-3)
    assert found["drawn"] > 5000
    assert min(found["changed"].values()) > 20
    assert found["turned"] > 20


def test_it_is_as_small_as_it_should_be() -> None:
    sizes = {compression: len(data(compression)) for compression in Compression}
    assert sizes[Compression.QUANTISED] < 0.65 * sizes[Compression.NONE]
    assert sizes[Compression.MESHOPT] < 1_000_000
