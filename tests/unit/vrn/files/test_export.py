"""Every format is read back by a reader that did not write it and compared vertex for vertex, colour for colour."""

from __future__ import annotations

import json
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
import trimesh
from PIL import Image
from plyfile import PlyData

from selfie3d.types import Format, Mesh, Options
from vrn.files.export import MEDIA_TYPES, encode, encode_scene
from vrn.files.gltf import linear

TOOLS = Path(__file__).parents[3] / "tools"


def gltf_issues(data: bytes, folder: Path) -> Any:
    """What the Khronos validator finds."""
    assert (TOOLS / "node_modules" / "gltf-validator").is_dir(), "run: npm install --prefix tests/tools"
    file = folder / "mesh.glb"
    file.write_bytes(data)
    command = ["node", str(TOOLS / "validate_gltf.mjs"), str(file)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return report["issues"]["messages"]


def read_with_meshio(data: bytes, extension: str, folder: Path) -> Any:
    file = folder / f"mesh{extension}"
    file.write_bytes(data)
    return meshio.read(file)


def texture_at(texture: Any, uv: Any) -> Any:
    """(n, 3) bilinear colours of a picture at (u, v)."""
    height, width = texture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    i, j = np.floor(x).astype(int).clip(0, width - 2), np.floor(y).astype(int).clip(0, height - 2)
    fx, fy = (x - i)[:, None], (y - j)[:, None]
    picture = texture.astype(float)
    top = picture[j, i] * (1 - fx) + picture[j, i + 1] * fx
    return top * (1 - fy) + (picture[j + 1, i] * (1 - fx) + picture[j + 1, i + 1] * fx) * fy


def test_ply_is_what_trimesh_writes_but_for_its_comment(frontal: Mesh) -> None:
    theirs = trimesh.Trimesh(
        frontal.vertices,
        frontal.triangles,
        vertex_normals=frontal.normals,
        vertex_colors=frontal.colours,
        vertex_attributes={"confidence": frontal.confidence},
        process=False,
        validate=False,
    ).export(file_type="ply", vertex_normal=True)
    assert isinstance(theirs, bytes)
    comment = b"comment https://github.com/mikedh/trimesh\n"
    assert encode(frontal, Options()).data == theirs.replace(comment, b"", 1)


def test_ply_is_read_back_exactly(frontal: Mesh) -> None:
    file = encode(frontal, Options(Format.PLY))
    ply = PlyData.read(BytesIO(file.data))
    vertex = ply["vertex"]
    assert ply.byte_order == "<"
    assert not ply.text
    assert (np.stack([vertex[k] for k in "xyz"], 1) == frontal.vertices).all()
    assert (np.stack([vertex[k] for k in ("nx", "ny", "nz")], 1) == frontal.normals).all()
    assert (np.stack([vertex[k] for k in ("red", "green", "blue")], 1) == frontal.colours).all()
    assert vertex["confidence"].dtype == np.uint8
    assert (vertex["confidence"] == frontal.confidence).all()
    assert (np.stack(ply["face"]["vertex_indices"]) == frontal.triangles).all()


def test_obj_is_read_back_within_its_digits(frontal: Mesh, tmp_path: Path) -> None:
    file = encode(frontal, Options(Format.OBJ))
    mesh = read_with_meshio(file.data, ".obj", tmp_path)
    assert np.abs(mesh.points[:, :3] - frontal.vertices).max() < 1e-4
    assert (mesh.cells_dict["triangle"] == frontal.triangles).all()
    rows = [line.split()[1:] for line in file.data.decode().splitlines() if line.startswith("v ")]
    values = np.array(rows, float)
    assert (np.rint(values[:, 3:] * 255) == frontal.colours).all()
    normals = np.array([line.split()[1:] for line in file.data.decode().splitlines() if line.startswith("vn ")], float)
    assert np.abs(normals - frontal.normals).max() < 1e-4


def test_stl_is_read_back_triangle_for_triangle(frontal: Mesh, tmp_path: Path) -> None:
    file = encode(frontal, Options(Format.STL))
    mesh = read_with_meshio(file.data, ".stl", tmp_path)
    corners = mesh.points[mesh.cells_dict["triangle"]]
    assert (corners == frontal.vertices[frontal.triangles]).all()


@pytest.mark.slow
def test_glb_is_read_back_with_linear_colours_in_metres(frontal: Mesh, tmp_path: Path) -> None:
    file = encode(frontal, Options(Format.GLB))
    scene = trimesh.load_scene(BytesIO(file.data), file_type="glb", process=False)
    mesh = scene.geometry["face-1"]
    assert np.abs(mesh.vertices - frontal.vertices).max() == 0
    assert (mesh.faces == frontal.triangles).all()
    assert (mesh.vertex_normals == frontal.normals).all()
    assert scene.extents == pytest.approx(np.array(frontal.size_mm) / 1000, rel=1e-5)
    assert gltf_issues(file.data, tmp_path) == []


def test_glb_colours_come_back_as_the_same_srgb_bytes(frontal: Mesh) -> None:
    tree, binary = glb_parts(encode(frontal, Options(Format.GLB)).data)
    rgba = accessor(tree, binary, tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]) / 65535
    srgb = np.where(rgba <= 0.0031308, rgba * 12.92, 1.055 * rgba ** (1 / 2.4) - 0.055)
    assert (np.rint(srgb[:, :3] * 255) == frontal.colours).all()
    assert (rgba[:, 3] == 1).all()
    confidence = accessor(tree, binary, tree["meshes"][0]["primitives"][0]["attributes"]["_CONFIDENCE"])
    assert (confidence == frontal.confidence).all()


def test_glb_shows_the_colours_unlit_and_carries_the_matrix(frontal: Mesh) -> None:
    tree, _ = glb_parts(encode(frontal, Options(Format.GLB)).data)
    assert tree["materials"][0]["extensions"] == {"KHR_materials_unlit": {}}
    extras = tree["meshes"][0]["extras"]
    assert np.reshape(extras["mesh_to_photo"], (4, 4)).tolist() == frontal.mesh_to_photo.tolist()
    assert np.allclose(extras["landmarks"], frontal.landmarks)


@pytest.mark.slow
def test_a_textured_glb_shows_the_vertex_colours(textured: Mesh, tmp_path: Path) -> None:
    file = encode(textured, Options(Format.GLB, textured=True))
    tree, binary = glb_parts(file.data)
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    assert "COLOR_0" not in attributes  # it would be multiplied with the texture
    position, uv = (accessor(tree, binary, attributes[name]) for name in ("POSITION", "TEXCOORD_0"))
    source = textured.texture.source  # type: ignore[union-attr]
    assert (position == textured.vertices[source]).all()
    view = tree["bufferViews"][tree["images"][0]["bufferView"]]
    picture = np.asarray(Image.open(BytesIO(binary[view["byteOffset"] :][: view["byteLength"]])))
    error = np.abs(texture_at(picture, uv * [1, -1] + [0, 1]) - textured.colours[source]).mean(1)
    assert np.median(error) < 4
    assert np.percentile(error, 95) < 12
    assert gltf_issues(file.data, tmp_path) == []


@pytest.mark.slow
def test_a_textured_obj_is_a_zip_of_obj_mtl_and_jpeg(textured: Mesh, tmp_path: Path) -> None:
    file = encode(textured, Options(Format.OBJ, textured=True))
    assert (file.extension, file.media_type) == (".zip", "application/zip")
    archive = zipfile.ZipFile(BytesIO(file.data))
    assert sorted(archive.namelist()) == ["face-1.jpeg", "face.mtl", "face.obj"]
    archive.extractall(tmp_path)
    assert "map_Kd face-1.jpeg" in (tmp_path / "face.mtl").read_text()
    mesh = meshio.read(tmp_path / "face.obj")
    texture = textured.texture
    assert texture is not None
    assert np.abs(mesh.points - textured.vertices[texture.source]).max() < 1e-4
    assert (mesh.cells_dict["triangle"] == texture.triangles).all()
    rows = [line.split()[1:] for line in (tmp_path / "face.obj").read_text().splitlines() if line.startswith("vt ")]
    picture = np.asarray(Image.open(tmp_path / "face-1.jpeg"))
    error = np.abs(texture_at(picture, np.array(rows, float)) - textured.colours[texture.source]).mean(1)
    assert np.median(error) < 4


def test_a_texture_keeps_every_triangle_and_closes_where_the_mesh_does(textured: Mesh) -> None:
    texture = textured.texture
    assert texture is not None
    assert (texture.source[texture.triangles] == textured.triangles).all()
    assert texture.uv.min() >= 0
    assert texture.uv.max() <= 1
    assert texture.image.shape[0] & (texture.image.shape[0] - 1) == 0
    assert texture.image.shape[1] & (texture.image.shape[1] - 1) == 0


@pytest.mark.parametrize("textured_too", [False, True])
@pytest.mark.parametrize("format", list(Format))
def test_the_same_mesh_gives_the_same_bytes(textured: Mesh, frontal: Mesh, format: Format, textured_too: bool) -> None:
    mesh = textured if textured_too or Options(format).needs_texture else frontal
    first, second = (encode(mesh, Options(format)) for _ in range(2))
    assert first.data == second.data
    assert first.sha256 == second.sha256
    if not (textured_too and format is Format.OBJ):
        assert first.media_type == MEDIA_TYPES[format]
        assert first.extension == f".{format}"
    assert first.size == len(first.data)


def test_linear_light_follows_the_srgb_curve() -> None:
    assert linear(np.array([0, 10, 188, 255], np.uint8)) == pytest.approx([0, 0.003035, 0.502886, 1], abs=1e-6)


@pytest.mark.parametrize("format", [Format.PLY, Format.GLB, Format.OBJ])
def test_a_scene_of_one_is_the_mesh(frontal: Mesh, format: Format) -> None:
    assert encode_scene([frontal], Options(format)).data == encode(frontal, Options(format)).data


def glb_parts(data: bytes) -> tuple[Any, bytes]:
    """The JSON tree and the binary chunk."""
    length = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def accessor(tree: Any, binary: bytes, index: int) -> Any:
    """An accessor's values, (n,) or (n, c)."""
    found = tree["accessors"][index]
    view = tree["bufferViews"][found["bufferView"]]
    dtype = {5126: "<f4", 5123: "<u2", 5125: "<u4"}[found["componentType"]]
    columns = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[found["type"]]
    values = np.frombuffer(binary, dtype, found["count"] * columns, view["byteOffset"])
    return values.reshape(-1, columns).squeeze()
