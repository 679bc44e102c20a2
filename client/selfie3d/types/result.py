"""What a photo became."""

from __future__ import annotations

from dataclasses import dataclass, fields

from selfie3d.types.job import Face, JobStatus
from selfie3d.types.mesh import Mesh


@dataclass(frozen=True, eq=False)
class ResultFace(Face):
    """A face with its mesh. In a scene all faces share one mesh file, each with its own `mesh_to_photo`."""

    mesh: Mesh

    @classmethod
    def of(cls, face: Face, mesh: Mesh) -> ResultFace:
        """The face with its mesh."""
        return cls(**{field.name: getattr(face, field.name) for field in fields(Face)}, mesh=mesh)


@dataclass(frozen=True, eq=False)
class Result:
    """The faces of a photo, by descending size, and the job that made them."""

    job: JobStatus
    faces: tuple[ResultFace, ...]

    @property
    def mesh(self) -> Mesh:
        """The mesh of the largest face."""
        return self.faces[0].mesh

    @property
    def seconds(self) -> dict[str, float]:
        """{stage: seconds}, as measured by the worker."""
        return self.job.seconds
