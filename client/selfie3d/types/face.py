"""A reconstructed face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.mesh import Mesh
from selfie3d.types.mesh_file import MeshFile
from selfie3d.types.pose import Pose
from selfie3d.types.preview import Preview

Rectangle = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True, eq=False)
class Face:
    """A face of the photo, its mesh and the mesh's numbers.

    Attributes
    ----------
    index : position by descending size, from 0
    box : (x, y, width, height) of the 68 landmarks, photo px
    score : 0..1, how sure the finder is
    mesh_to_photo : (4, 4) float64 - mesh (x, y, z, 1) in mm to photo (x px, y px, depth px towards the viewer)
    pose : Pose - of the head in the photo
    landmarks : (68, 3) float32 - Multi-PIE points on the mesh, mesh frame, mm
    landmark_vertices : (68,) int32 - the nearest vertex of each
    vertices, triangles : how many the mesh has
    file : MeshFile - in a scene one file for all faces
    """

    index: int
    box: Rectangle
    score: float
    mesh_to_photo: NDArray[np.float64]
    pose: Pose
    landmarks: NDArray[np.float32]
    landmark_vertices: NDArray[np.int32]
    vertices: int
    triangles: int
    file: MeshFile
    _mesh: Mesh | None = field(default=None, repr=False)
    _preview: Preview | Callable[[], Preview] | None = field(default=None, repr=False)

    @classmethod
    def of_mesh(
        cls,
        index: int,
        box: tuple[float, float, float, float],
        score: float,
        mesh: Mesh,
        file: MeshFile,
        draw: Callable[[], Preview] | None = None,
    ) -> Self:
        """The face of a mesh that was made in this process, with the file that holds it.

        draw : makes its picture, when it is asked for
        """
        return cls(
            index,
            box,
            score,
            mesh.mesh_to_photo,
            mesh.pose,
            mesh.landmarks,
            mesh.landmark_vertices,
            len(mesh.vertices),
            len(mesh.triangles),
            file,
            replace(mesh, file=file),
            draw,
        )

    @property
    def mesh(self) -> Mesh:
        """The mesh. In a scene that came from the service it is that of all faces.

        Raises ValueError for a face of a JobStatus: its mesh is not downloaded yet.
        """
        if self._mesh is None:
            raise ValueError("The mesh is not downloaded: ask the job for its result.")
        return self._mesh

    @property
    def has_preview(self) -> bool:
        """Whether there is a picture of the head: not from workers that are older than this client."""
        return self._preview is not None

    @cached_property
    def preview(self) -> Preview:
        """A picture of the head, which is drawn when it is first asked for if the mesh was made in this process.

        Raises ValueError when there is none.
        """
        if self._preview is None:
            raise ValueError("There is no picture of this head: the worker that made it draws none.")
        return self._preview() if callable(self._preview) else self._preview

    def downloaded(self, file: MeshFile) -> Self:
        """The same face with its file."""
        mesh = Mesh.of_file(file, self.mesh_to_photo, self.landmark_vertices, self.pose)
        return replace(self, file=file, _mesh=mesh)

    def as_json(self) -> dict[str, Any]:
        """The numbers as JSON types: photo px, mm and degrees."""
        return {
            "vertices": self.vertices,
            "triangles": self.triangles,
            "box": list(self.box),
            "score": self.score,
            "mesh_to_photo": self.mesh_to_photo.tolist(),
            "pose": {"yaw": self.pose.yaw, "pitch": self.pose.pitch, "roll": self.pose.roll},
        }
