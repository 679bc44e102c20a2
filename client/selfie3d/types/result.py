"""What a photo became."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from selfie3d.types.face import Face
from selfie3d.types.mesh import Mesh
from selfie3d.types.mesh_file import MeshFile
from selfie3d.types.photo_view import PhotoView

if TYPE_CHECKING:
    from selfie3d.types.job_status import JobStatus


@dataclass(frozen=True, eq=False)
class Result:
    """The reconstruction of a photo, whether a service made it or this process.

    Attributes
    ----------
    faces : by descending size
    seconds : {stage: seconds}, as measured where it was made, summed over the faces
    job : the job that made it; None when this process did
    views : what each of several photos of one person gave; empty for a single photo
    """

    faces: tuple[Face, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    job: JobStatus | None = None
    views: tuple[PhotoView, ...] = ()

    @property
    def mesh(self) -> Mesh:
        """The mesh of the largest face."""
        return self.faces[0].mesh

    @property
    def files(self) -> list[MeshFile]:
        """The files to hand out: one per face, or one for the whole scene."""
        return list({id(face.file): face.file for face in self.faces}.values())
