"""Binary PLY, the default format: as trimesh writes it, without the half second that importing trimesh takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selfie3d.types import Mesh

TYPES = {"<f4": "float", "|u1": "uchar"}
OPAQUE = 255
VERTEX = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    + [(name, "u1") for name in ("red", "green", "blue", "alpha", "confidence")]
)
TRIANGLE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])


def ply(meshes: Sequence[Mesh]) -> bytes:
    """Position in mm, normal, sRGB bytes with alpha, confidence; the meshes, of one frame, one after the other."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    rows = [_vertices(mesh) for mesh in meshes]
    rows += [_triangles(mesh, at) for mesh, at in zip(meshes, starts, strict=True)]
    counts = sum(len(mesh.vertices) for mesh in meshes), sum(len(mesh.triangles) for mesh in meshes)
    return b"".join([_header(*counts), *(each.tobytes() for each in rows)])


def _triangles(mesh: Mesh, start: int) -> np.ndarray[tuple[int, ...], np.dtype[np.void]]:
    rows = np.empty(len(mesh.triangles), TRIANGLE)
    rows["count"], rows["corners"] = 3, mesh.triangles + start
    return rows


def _vertices(mesh: Mesh) -> np.ndarray[tuple[int, ...], np.dtype[np.void]]:
    rows = np.empty(len(mesh.vertices), VERTEX)
    columns = [*mesh.vertices.T, *mesh.normals.T, *mesh.colours.T, OPAQUE, mesh.confidence]
    for name, column in zip(VERTEX.names or (), columns, strict=True):
        rows[name] = column
    return rows


def _header(vertices: int, triangles: int) -> bytes:
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {vertices}",
        *(f"property {TYPES[VERTEX[name].str]} {name}" for name in VERTEX.names or ()),
        f"element face {triangles}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return "\n".join([*lines, ""]).encode("ascii")
