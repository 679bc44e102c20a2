"""What became of one photo: the object that `--json` prints, the same for both roads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUCCEEDED, FAILED = "succeeded", "failed"


class PhotoFailedError(Exception):
    """This photo has no mesh; the others go on.

    reason : UPPER_SNAKE, as in docs/errors.md
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, eq=False)
class Face:
    """A reconstructed face before it is written.

    data, extension : the mesh file; the same `data` for all faces of a scene
    box : x, y, width, height of the 68 landmarks, photo px
    mesh_to_photo : (4, 4) float64 - mesh (x, y, z, 1) in mm to photo (x px, y px, depth px towards the viewer)
    preview : makes a PNG of the mesh
    volume : writes the network's volume to that path; None where there is none to be had
    """

    data: bytes
    extension: str
    vertices: int
    triangles: int
    box: tuple[float, float, float, float]
    score: float
    mesh_to_photo: NDArray[np.float64]
    preview: Callable[[], bytes]
    volume: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Reconstruction:
    """The faces of a photo, by descending size, and {stage: seconds}."""

    faces: list[Face]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """One line of `--json`.

    Attributes
    ----------
    photo : as it was given, or found in the folder that was given
    faces : `face_record` of each
    """

    photo: str
    faces: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    failure: PhotoFailedError | None = None

    @property
    def files(self) -> list[str]:
        """The mesh files, each once."""
        return list(dict.fromkeys(face["mesh"] for face in self.faces))

    def as_json(self) -> dict[str, Any]:
        """The object that --json prints."""
        failure = self.failure
        return {
            "photo": self.photo,
            "status": FAILED if failure else SUCCEEDED,
            "error": {"reason": failure.reason, "message": failure.message} if failure else None,
            "faces": self.faces,
            "seconds": self.seconds,
        }


def face_record(face: Face, mesh: Path) -> dict[str, Any]:
    """What --json says of a face. mesh : where its file is."""
    return {
        "mesh": str(mesh),
        "vertices": face.vertices,
        "triangles": face.triangles,
        "box": [float(number) for number in face.box],
        "score": float(face.score),
        "mesh_to_photo": face.mesh_to_photo.tolist(),
    }
