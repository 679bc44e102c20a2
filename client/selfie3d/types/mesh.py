"""The mesh: what a reconstruction hands out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.errors import MeshUnreadable
from selfie3d.types.frames import upright
from selfie3d.types.mesh_file import MeshFile
from selfie3d.types.ply import columns, read_ply
from selfie3d.types.pose import Pose
from selfie3d.types.rig import Rig

if TYPE_CHECKING:
    from trimesh import Trimesh

COLUMNS: dict[str, tuple[str, type[Any]]] = {
    "vertices": ("x y z", np.float32),
    "normals": ("nx ny nz", np.float32),
    "colours": ("red green blue", np.uint8),
    "confidence": ("confidence", np.uint8),
}  # attribute -> the PLY's properties and their type here


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture for a mesh. Vertices on a seam of the picture appear once for each side of it.

    Attributes
    ----------
    image : (h, w, 3) uint8 - sRGB
    uv : (k, 2) float32 - u to the right, v up, (0, 0) the lower left corner of the picture
    source : (k,) int32 - the mesh's vertex
    triangles : (m, 3) int32 - the mesh's triangles in these k vertices
    """

    image: NDArray[np.uint8]
    uv: NDArray[np.float32]
    source: NDArray[np.int32]
    triangles: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A closed, coloured surface in the mesh frame: right-handed, estimated mm, x right, y up, the face along +z.

    A mesh that came from the service reads its arrays from its PLY file when they are asked for; in other formats it
    is a file only, and the arrays raise MeshUnreadable. A mesh made in this process has them in any case.

    Attributes
    ----------
    vertices : (n, 3) float32 - mm
    triangles : (m, 3) int32 - counter-clockwise seen from outside
    normals : (n, 3) float32 - unit, outward
    colours : (n, 3) uint8 - sRGB
    confidence : (n,) uint8 - where a colour comes from: 2 seen in the photo, 1 mirrored from the other side, 0 filled
    mesh_to_photo : (4, 4) float64 - mesh (x, y, z, 1) in mm to photo (x px, y px, depth px towards the viewer)
    landmark_vertices : (68,) int32 - the vertex of each landmark of the 68-point Multi-PIE scheme
    pose : Pose - of the head in the photo
    texture : Texture | None - made in this process only
    rig : Rig | None - of a rigged mesh, whose vertices are the neutral face's; made in this process only
    dense_vertices : (478,) int32 | None - of a mesh with the head's topology, made in this process: the vertex of each
        point of the face mesh topology
    file : MeshFile | None - the file that holds the mesh
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    normals: NDArray[np.float32]
    colours: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    mesh_to_photo: NDArray[np.float64]
    landmark_vertices: NDArray[np.int32]
    pose: Pose
    texture: Texture | None = None
    rig: Rig | None = None
    dense_vertices: NDArray[np.int32] | None = None
    file: MeshFile | None = None

    @classmethod
    def of_file(
        cls, file: MeshFile, mesh_to_photo: NDArray[np.float64], landmark_vertices: NDArray[np.int32], pose: Pose
    ) -> Self:
        """The mesh of a file; nothing is read before it is asked for."""
        mesh = cls.__new__(cls)
        known = {"mesh_to_photo": mesh_to_photo, "landmark_vertices": landmark_vertices, "pose": pose, "file": file}
        mesh.__dict__.update(known)
        return mesh

    def __getattr__(self, name: str) -> Any:
        """An array that was not read yet."""
        if name not in COLUMNS and name != "triangles":
            raise AttributeError(f"a mesh has no {name}")
        value = self.__dict__[name] = self._triangles() if name == "triangles" else self._column(name)
        return value

    def __repr__(self) -> str:
        return (
            f"<Mesh {self.file.format}, {self.file.size} bytes>"
            if self.file
            else f"<Mesh, {len(self.vertices)} vertices>"
        )

    @property
    def data(self) -> bytes:
        """The file's bytes. Raises ValueError for a mesh without a file."""
        if self.file is None:
            raise ValueError("The mesh has no file.")
        return self.file.data

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """(68, 3) float32 - the landmarks on the surface, mm."""
        return self.vertices[self.landmark_vertices]

    @property
    def axes(self) -> NDArray[np.float64]:
        """(3, 3) float64 - the mesh's axes to the camera's (x right, y up, z to the viewer), a rotation."""
        linear = upright(self.mesh_to_photo[:3, :3].T).T
        return np.asarray(linear / np.cbrt(np.linalg.det(linear)))

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Width, height and depth of the bounding box, estimated mm."""
        width, height, depth = np.ptp(self.vertices, axis=0).tolist()
        return (width, height, depth)

    @property
    def expressed(self) -> Mesh:
        """The mesh as the photo shows it: a rigged one with the expression on, its eyes in place; any other itself."""
        if self.rig is None:
            return self
        return replace(self, vertices=self.rig.moved(self.vertices, self.rig.weights), rig=None)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the file as it came; returns the path. Missing folders are made. Raises OSError, ValueError."""
        if self.file is None:
            raise ValueError("The mesh has no file.")
        return self.file.save(path)

    def to_trimesh(self) -> Trimesh:
        """The mesh for trimesh, with colours and normals where the format has them.

        Raises ImportError when trimesh is not installed.
        """
        import trimesh

        if "vertices" not in self.__dict__ and self.file and self.file.format != "ply":
            return trimesh.load_mesh(BytesIO(self.data), file_type=self.file.extension.lstrip("."), process=False)
        return trimesh.Trimesh(
            self.vertices,
            self.triangles,
            vertex_colors=self._optional("colours"),
            vertex_normals=self._optional("normals"),
            process=False,
        )

    def _optional(self, name: str) -> NDArray[Any] | None:
        try:
            found: NDArray[Any] = getattr(self, name)
        except MeshUnreadable:
            return None
        return found

    def _column(self, name: str) -> NDArray[Any]:
        names, dtype = COLUMNS[name]
        records = self._elements().get("vertex")
        found = None if records is None else columns(records, names)
        if found is None:
            raise MeshUnreadable(f"The PLY file's vertices have no {names}.")
        return found.astype(dtype, copy=False) if " " in names else found[:, 0].astype(dtype, copy=False)

    def _triangles(self) -> NDArray[np.int32]:
        records = self._elements().get("face")
        for name in ("vertex_indices", "vertex_index"):
            if records is not None and name in (records.dtype.names or ()):
                return np.ascontiguousarray(records[name], np.int32)
        raise MeshUnreadable("The PLY file has no triangles.")

    def _elements(self) -> dict[str, NDArray[Any]]:
        if self.file is None or self.file.format != "ply":
            what = self.file.format if self.file else "missing"
            raise MeshUnreadable(
                f"A {what} file is handed out as bytes only; ask for format='ply', or use to_trimesh()."
            )
        return read_ply(self.data)
