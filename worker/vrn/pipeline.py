"""From photo bytes to meshes: the one road that the worker, the command line and the tests take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from selfie3d_photo import decode
from vrn.crop import resample
from vrn.errors import FieldError, NoFaceError
from vrn.files.export import MeshFile, encode, encode_scene
from vrn.finder.face import Box, Face, Finder
from vrn.meshing.face_surface import FaceSurface
from vrn.meshing.field import Field
from vrn.meshing.mesh import Mesh
from vrn.meshing.scene import placed
from vrn.options import Options


class Stage(StrEnum):
    """The stages of a reconstruction. NETWORK to ENCODE come once a face; a scene is encoded once at the end."""

    DECODE = "decode"
    DETECT = "detect"
    ALIGN = "align"
    NETWORK = "network"
    SURFACE = "surface"
    COLOUR = "colour"
    ENCODE = "encode"


SHARES = {  # of the time of a job with one face, for the progress
    Stage.DECODE: 0.04,
    Stage.DETECT: 0.11,
    Stage.ALIGN: 0.10,
    Stage.NETWORK: 0.45,
    Stage.SURFACE: 0.14,
    Stage.COLOUR: 0.11,
    Stage.ENCODE: 0.05,
}
ONCE = (Stage.DECODE, Stage.DETECT, Stage.ALIGN)
MOST_BOXES = 64  # of a photo, the largest; each costs an alignment
SURE = 0.7  # of the best score: a face that scores less is not taken for the photo's subject, however large

T = TypeVar("T")
OnStage = Callable[[Stage, float], None]  # called before each stage with the progress 0..1; may raise to stop the job


class Network(Protocol):
    """What turns a crop into a field: `vrn.network`."""

    def field(self, crop: NDArray[np.uint8]) -> Field:
        """crop : (192, 192, 3) uint8 - RGB, crop frame."""
        ...


@dataclass(frozen=True)
class FaceResult:
    """One reconstructed face.

    Attributes
    ----------
    face : where it was found
    mesh : its mesh; in a scene in the scene's frame, which is that of the first face
    file : the encoded mesh; None where all faces lie in the scene's file
    """

    face: Face
    mesh: Mesh
    file: MeshFile | None

    def metadata(self) -> dict[str, Any]:
        """What a caller wants to know beside the file, as JSON types: mm and degrees; box in photo px."""
        mesh, pose = self.mesh, self.mesh.pose
        return {
            "box": list(self.face.box_px),
            "score": self.face.score,
            "vertices": len(mesh.vertices),
            "triangles": len(mesh.triangles),
            "mesh_to_photo": mesh.mesh_to_photo.ravel().tolist(),
            "pose": {"yaw": pose.yaw, "pitch": pose.pitch, "roll": pose.roll},
            "landmarks": mesh.landmarks.astype(float).tolist(),
            "landmark_vertices": mesh.landmark_vertices.tolist(),
            "size_mm": list(mesh.size_mm),
            "seen": float((mesh.confidence == 2).mean()),
            "file": self.file.metadata() if self.file else None,
        }


@dataclass(frozen=True)
class Result:
    """What became of a photo.

    Attributes
    ----------
    faces : by descending size
    scene : the file with all faces in place, if it was asked for
    boxes : all faces that were found, reconstructed or not, by descending size
    seconds : per stage, summed over the faces
    """

    faces: tuple[FaceResult, ...]
    scene: MeshFile | None
    boxes: tuple[Box, ...]
    seconds: dict[Stage, float]

    @property
    def files(self) -> list[MeshFile]:
        """The files to hand out: one per face, or the scene alone."""
        return [self.scene] if self.scene else [face.file for face in self.faces if face.file]

    def metadata(self) -> dict[str, Any]:
        """All but the bytes, as JSON types."""
        return {
            "faces": [face.metadata() for face in self.faces],
            "scene": self.scene.metadata() if self.scene else None,
            "boxes": [_box(box) for box in self.boxes],
            "seconds": {str(stage): seconds for stage, seconds in self.seconds.items()},
        }


def pick_device(name: str) -> str:
    """ "auto" becomes "cuda" or "cpu", by what is there."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _main_face(faces: Sequence[Face], image: NDArray[np.uint8]) -> Face:
    """Of those that are surely faces the one that shows most of itself: who is cut off at the border is not meant."""
    best = max(face.score for face in faces)
    return max((face for face in faces if face.score >= SURE * best), key=lambda face: face.area_in(image))


def _box(box: Box) -> dict[str, Any]:
    (x, y), size = box.centre_px, box.size_px
    return {"box": [x - size / 2, y - size / 2, size, size], "score": box.score}


class Reconstructor:
    """Photo bytes to meshes. Pure: the same photo and options give the same bytes in every process."""

    def __init__(self, network: Network, finder: Finder) -> None:
        self._network, self._finder = network, finder

    @classmethod
    def open(cls, model: str | Path = "default", finder: str = "bundled", device: str = "auto") -> Reconstructor:
        """With the weights and the finder of these names.

        model : name of bundled or imported weights, or their file
        device : of torch; "auto" is the first GPU, else the CPU

        Raises WeightsError, BackendMissingError, and ValueError for a finder that there is not.
        """
        from vrn.finder import open_finder  # here, because torch takes its time
        from vrn.network import load_network

        place = pick_device(device)
        return cls(load_network(model, place), open_finder(finder, device=place))

    def reconstruct(self, photo: bytes, options: Options | None = None, on_stage: OnStage | None = None) -> Result:
        """The mesh of the largest face, or of every face.

        photo : JPEG, PNG or WebP
        on_stage : called before each stage; what it raises stops the job and passes through

        Raises selfie3d_photo.PhotoError, NoFaceError, FieldError. With all faces, one whose volume holds no face is
        left out as long as another is left.
        """
        options = options or Options()
        clock = _Clock(on_stage)
        image = clock.run(Stage.DECODE, lambda: decode(photo).rgb)
        boxes = clock.run(Stage.DETECT, lambda: self._finder.detect(image))
        if not boxes:
            raise NoFaceError
        found = clock.run(Stage.ALIGN, lambda: self._finder.align(image, boxes[:MOST_BOXES]))
        if not found:
            raise NoFaceError
        if not options.all_faces:
            found = [_main_face(found, image)]
        clock.faces = len(found)
        results = self._each(image, found, options, clock)
        scene = None
        if options.scene:
            meshes = placed([result.mesh for result in results])
            results = [replace(result, mesh=mesh) for result, mesh in zip(results, meshes, strict=True)]
            scene = clock.run(Stage.ENCODE, lambda: encode_scene(meshes, options))
        return Result(tuple(results), scene, tuple(boxes), clock.seconds)

    def _each(
        self, image: NDArray[np.uint8], found: Sequence[Face], options: Options, clock: _Clock
    ) -> list[FaceResult]:
        results: list[FaceResult] = []
        failures: list[FieldError] = []
        for face in found:
            try:
                results.append(self._one(image, face, options, clock))
            except FieldError as error:
                failures.append(error)
        if failures and not results:
            raise failures[0]
        return results

    def _one(self, image: NDArray[np.uint8], face: Face, options: Options, clock: _Clock) -> FaceResult:
        field = clock.run(Stage.NETWORK, lambda: self._network.field(resample(image, face.crop)))
        surface = clock.run(Stage.SURFACE, lambda: FaceSurface.of(field, face, options))
        mesh = clock.run(Stage.COLOUR, lambda: surface.coloured(image, face, textured=options.textured))
        if options.scene:
            return FaceResult(face, mesh, None)
        return FaceResult(face, mesh, clock.run(Stage.ENCODE, lambda: encode(mesh, options)))


class _Clock:
    """Tells `on_stage` where the job is and adds up the seconds."""

    def __init__(self, on_stage: OnStage | None) -> None:
        self.seconds = dict.fromkeys(Stage, 0.0)
        self.faces = 1
        self._on_stage = on_stage
        self._done = 0.0

    def run(self, stage: Stage, work: Callable[[], T]) -> T:
        if self._on_stage:
            self._on_stage(stage, min(self._done, 1.0))
        start = time.perf_counter()
        result = work()
        self.seconds[stage] += time.perf_counter() - start
        self._done += SHARES[stage] / (1 if stage in ONCE else self.faces)
        return result
