"""What became of a photo, or of several of one person: the object that `--json` prints, whoever reconstructed it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfie3d import JobState, PhotoView

if TYPE_CHECKING:
    from selfie3d import Face


class PhotoFailedError(Exception):
    """This photo has no mesh; the others go on.

    reason : UPPER_SNAKE, as in docs/errors.md
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Outcome:
    """One line of `--json`.

    Attributes
    ----------
    photo : as it was given, or found in the folder that was given
    faces : by descending size
    meshes : where the mesh file of each is
    engine : what ran the network here, onnx or torch; None where a service made it
    photos : all that gave the one head, with --one-person; `photo` is the first of them
    views : what each of them gave
    """

    photo: str
    faces: tuple[Face, ...] = ()
    meshes: tuple[Path, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    engine: str | None = None
    failure: PhotoFailedError | None = None
    photos: tuple[str, ...] = ()
    views: tuple[PhotoView, ...] = ()

    @property
    def files(self) -> list[str]:
        """The mesh files, each once."""
        return list(dict.fromkeys(map(str, self.meshes)))

    def as_json(self) -> dict[str, Any]:
        """The object that --json prints."""
        failure = self.failure
        return {
            "photo": self.photo,
            "status": JobState.FAILED if failure else JobState.SUCCEEDED,
            "error": {"reason": failure.reason, "message": failure.message} if failure else None,
            "faces": [
                {"mesh": str(mesh), **face.as_json()} for face, mesh in zip(self.faces, self.meshes, strict=True)
            ],
            "seconds": self.seconds,
            "engine": self.engine,
            **self._together(),
        }

    def _together(self) -> dict[str, Any]:
        if not self.photos:
            return {}
        return {"photos": list(self.photos), "views": [view.as_json() for view in self.views]}
