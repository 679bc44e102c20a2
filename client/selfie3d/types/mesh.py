"""A mesh as it came from the service."""

from __future__ import annotations

from functools import cached_property
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selfie3d.errors import MeshUnreadable
from selfie3d.types.job import Face, MeshFile
from selfie3d.types.ply import columns, read_ply

if TYPE_CHECKING:
    from trimesh import Trimesh


class Mesh:
    """A mesh file and, when it is a PLY, its arrays.

    Frame: right-handed, y up, the face looks along +z, estimated millimetres, origin inside the head.

    Attributes
    ----------
    data : the file's bytes
    file : MeshFile - format, extension, size and SHA-256
    mesh_to_photo : (4, 4) float64 - mesh (x, y, z, 1) in mm to photo (x px, y px, depth px towards the viewer)
    landmarks : (68, 3) float64 - Multi-PIE points, mm
    landmark_vertices : (68,) int64 - the nearest vertex of each

    The arrays raise MeshUnreadable for formats other than PLY.
    """

    def __init__(self, data: bytes, face: Face) -> None:
        self.data = data
        self.file: MeshFile = face.file
        self.mesh_to_photo = face.mesh_to_photo
        self.landmarks = face.landmarks
        self.landmark_vertices = face.landmark_vertices

    def __repr__(self) -> str:
        return f"<Mesh {self.file.format}, {len(self.data)} bytes>"

    @cached_property
    def vertices(self) -> NDArray[np.float32]:
        """(n, 3) float32 - x, y, z in mm, mesh frame."""
        return self._vertex_columns("x y z", np.float32)

    @cached_property
    def triangles(self) -> NDArray[np.int32]:
        """(m, 3) int32 - vertex indices, counter-clockwise seen from outside."""
        records = self._elements.get("face")
        for name in ("vertex_indices", "vertex_index"):
            if records is not None and name in (records.dtype.names or ()):
                return np.ascontiguousarray(records[name], np.int32)
        raise MeshUnreadable("The PLY file has no triangles.")

    @cached_property
    def normals(self) -> NDArray[np.float32]:
        """(n, 3) float32 - unit length, pointing outwards."""
        return self._vertex_columns("nx ny nz", np.float32)

    @cached_property
    def colours(self) -> NDArray[np.uint8]:
        """(n, 3) uint8 - sRGB."""
        return self._vertex_columns("red green blue", np.uint8)

    @cached_property
    def confidence(self) -> NDArray[np.uint8]:
        """(n,) uint8 - where each colour comes from: 2 seen in the photo, 1 mirrored from the other side, 0 filled."""
        return self._vertex_columns("confidence", np.uint8)[:, 0]

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the file as it came; returns the path. Missing folders are made."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.data)
        return target

    def to_trimesh(self) -> Trimesh:
        """The mesh for trimesh, with colours and normals where the format has them.

        Raises ImportError when trimesh is not installed.
        """
        import trimesh

        if self.file.format != "ply":
            return trimesh.load_mesh(BytesIO(self.data), file_type=self.file.extension.lstrip("."), process=False)
        return trimesh.Trimesh(
            self.vertices,
            self.triangles,
            vertex_colors=self._optional("red green blue"),
            vertex_normals=self._optional("nx ny nz"),
            process=False,
        )

    @cached_property
    def _elements(self) -> dict[str, NDArray[Any]]:
        if self.file.format != "ply":
            message = (
                f"A {self.file.format} file is handed out as bytes only; ask for format='ply', or use to_trimesh()."
            )
            raise MeshUnreadable(message)
        return read_ply(self.data)

    def _optional(self, names: str) -> NDArray[Any] | None:
        vertices = self._elements.get("vertex")
        return None if vertices is None else columns(vertices, names)

    def _vertex_columns(self, names: str, dtype: type[Any]) -> NDArray[Any]:
        found = self._optional(names)
        if found is None:
            raise MeshUnreadable(f"The PLY file's vertices have no {names}.")
        return found.astype(dtype, copy=False)
