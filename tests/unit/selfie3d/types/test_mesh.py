"""The PLY reader against trimesh's writer and against files that are wrong; the Mesh around it."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from selfie3d import Mesh, MeshFile, MeshUnreadable, Pose
from selfie3d.types.ply import read_ply

TYPES = {"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d"}


def mesh_of(data: bytes, format: str = "ply") -> Mesh:
    file = MeshFile.of(data, format, "model/x", f".{format}")
    return Mesh.of_file(file, np.eye(4), np.zeros(68, np.int32), Pose(0.0, 0.0, 0.0))


@pytest.fixture
def sphere() -> Any:
    sphere = trimesh.creation.icosphere(subdivisions=2, radius=80.0)
    colours = np.random.default_rng(3).integers(0, 256, (len(sphere.vertices), 4), np.uint8)
    sphere.visual = trimesh.visual.ColorVisuals(sphere, vertex_colors=colours)
    return sphere


def test_it_reads_what_trimesh_writes(sphere: Any) -> None:
    mesh = mesh_of(sphere.export(file_type="ply", vertex_normal=True))
    np.testing.assert_array_equal(mesh.vertices, sphere.vertices.astype(np.float32))
    np.testing.assert_array_equal(mesh.triangles, sphere.faces)
    np.testing.assert_array_equal(mesh.colours, sphere.visual.vertex_colors[:, :3])
    np.testing.assert_allclose(mesh.normals, sphere.vertex_normals, atol=1e-6)
    assert [array.dtype.str for array in (mesh.vertices, mesh.triangles, mesh.colours)] == ["<f4", "<i4", "|u1"]
    assert mesh.triangles.flags.c_contiguous
    with pytest.raises(MeshUnreadable, match="confidence"):
        _ = mesh.confidence


@given(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=8), st.integers(0, 5))
def test_any_scalar_properties_are_read_by_name(kinds: list[str], count: int) -> None:
    values = [[number % 100 for number in range(index, index + len(kinds))] for index in range(count)]
    header = "".join(f"property {kind} p{index}\n" for index, kind in enumerate(kinds))
    layout = "<" + "".join(TYPES[kind] for kind in kinds)
    body = b"".join(struct.pack(layout, *row) for row in values)
    data = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{header}end_header\n".encode() + body
    records = read_ply(data)["vertex"]
    assert [list(row) for row in records.tolist()] == values


def test_elements_before_and_after_are_stepped_over() -> None:
    header = (
        b"ply\r\nformat binary_little_endian 1.0\r\nobj_info x\r\nelement camera 1\r\nproperty double f\r\n"
        b"element vertex 3\r\nproperty uchar tag\r\nproperty double z\r\nproperty double y\r\nproperty double x\r\n"
        b"element face 1\r\nproperty list uchar uint vertex_index\r\nproperty uchar part\r\nend_header\r\n"
    )
    body = struct.pack("<d", 5.0) + b"".join(struct.pack("<Bddd", 9, 3, 2, 1 + i) for i in range(3))
    mesh = mesh_of(header + body + struct.pack("<BIIIB", 3, 0, 1, 2, 7))
    np.testing.assert_array_equal(mesh.vertices, [[1, 2, 3], [2, 2, 3], [3, 2, 3]])
    np.testing.assert_array_equal(mesh.triangles, [[0, 1, 2]])


HEADER = b"ply\nformat binary_little_endian 1.0\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no PLY"),
        (b"solid stl", "no PLY"),
        (b"ply\nformat binary_little_endian 1.0\nend_header", "no PLY"),
        (b"ply\nformat ascii 1.0\nend_header\n", "little-endian"),
        (b"ply\nformat binary_big_endian 1.0\nend_header\n", "little-endian"),
        (b"ply\nformat binary_little_endian 1.0\nproperty int x\nend_header\n", "understood"),
        (b"ply\nformat binary_little_endian 1.0\nelement v many\nend_header\n", "understood"),
        (b"ply\nformat binary_little_endian 1.0\nelement v -1\nproperty int x\nend_header\n", "understood"),
        (b"ply\nformat binary_little_endian 1.0\nelement v 1\nproperty quad x\nend_header\n", "understood"),
        (b"ply\nformat binary_little_endian 1.0\nelement v 1\nproperty int x\nproperty int x\nend_header\n", "unders"),
        (b"ply\nformat binary_little_endian 1.0\nelement v 99999999999\nproperty int x\nend_header\n", "ends within"),
        (HEADER + struct.pack("<Bii", 3, 0, 1), "ends within"),
        (HEADER + struct.pack("<Biiii", 4, 0, 1, 2, 3), "triangles"),
    ],
)
def test_a_file_that_is_wrong_says_so(data: bytes, words: str) -> None:
    with pytest.raises(MeshUnreadable, match=words):
        read_ply(data)


def test_a_file_without_the_elements_says_so() -> None:
    mesh = mesh_of(b"ply\nformat binary_little_endian 1.0\nend_header\n")
    with pytest.raises(MeshUnreadable, match="x y z"):
        _ = mesh.vertices
    with pytest.raises(MeshUnreadable, match="triangles"):
        _ = mesh.triangles


def test_to_trimesh_keeps_everything(sphere: Any) -> None:
    back: Any = mesh_of(sphere.export(file_type="ply", vertex_normal=True)).to_trimesh()
    assert back.is_watertight
    np.testing.assert_array_equal(back.faces, sphere.faces)
    np.testing.assert_array_equal(back.visual.vertex_colors, sphere.visual.vertex_colors | [0, 0, 0, 255])


@pytest.mark.parametrize("format", ["stl", "glb", "obj"])
def test_other_formats_are_bytes_and_trimesh_reads_them(sphere: Any, format: str) -> None:
    exported = sphere.export(file_type=format)
    mesh = mesh_of(exported.encode() if isinstance(exported, str) else exported, format)
    assert len(mesh.to_trimesh().faces) == len(sphere.faces)
    with pytest.raises(MeshUnreadable, match=f"A {format} file is handed out as bytes"):
        _ = mesh.vertices


def test_save_writes_the_bytes_as_they_came(tmp_path: Path) -> None:
    path = mesh_of(b"ply...").save(tmp_path / "new" / "folder" / "me.ply")
    assert path.read_bytes() == b"ply..."
