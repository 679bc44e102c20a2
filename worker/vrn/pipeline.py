"""From photo bytes to meshes: the one road that the worker, the command line and the tests take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Extent, Face, Mesh, MeshFile, Options, Result, Stage, Topology
from selfie3d.types.photo import PhotoSource, photo_bytes
from selfie3d_photo import Limits, decode
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.topology import TopologySurface
from vrn.avatar.whole_head import WholeHead
from vrn.crop import resample
from vrn.errors import FieldError, NoFaceError, WeightsError
from vrn.files.export import encode, encode_scene
from vrn.finder.face import AlignedFace, Finder
from vrn.meshing.face_surface import FaceSurface
from vrn.meshing.field import Field
from vrn.meshing.scene import placed
from vrn.render.preview import draw_preview

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
MOST_DETECTIONS = 64  # of a photo, the largest; each costs an alignment
SURE = 0.7  # of the best score: a face that scores less is not taken for the photo's subject, however large

T = TypeVar("T")
Made = tuple[AlignedFace, Mesh, MeshFile | None]  # a face, its mesh and its file; no file while a scene waits for all
OnStage = Callable[[Stage, float], None]  # called before each stage with the progress 0..1; may raise to stop the job


class Network(Protocol):
    """What turns a crop into the field of a face: `vrn.network`."""

    def field(self, crop: NDArray[np.uint8]) -> Field:
        """crop : (192, 192, 3) uint8 - RGB, crop frame."""
        ...


class Heads(Protocol):
    """What turns a face in a photo into a whole head: `vrn.network.heads`."""

    def head(self, image: NDArray[np.uint8], face: AlignedFace) -> WholeHead:
        """image : (height, width, 3) uint8 - RGB, photo frame."""
        ...


def pick_device(name: str) -> str:
    """ "auto" becomes "cuda" or "cpu", by what is there."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _main_face(faces: Sequence[AlignedFace], image: NDArray[np.uint8]) -> AlignedFace:
    """Of those that are surely faces the one that shows most of itself: one that the border cuts off is no subject."""
    best = max(face.score for face in faces)
    return max((face for face in faces if face.score >= SURE * best), key=lambda face: face.area_in(image))


class Reconstructor:
    """Photos to meshes, in this process. Pure: the same photo and options give the same bytes in every process.

    ::

        result = selfie3d.Reconstructor.open().reconstruct("me.jpg")
        result.faces[0].mesh.save("me.ply")
    """

    def __init__(
        self, network: Network, finder: Finder, limits: Limits | None = None, heads: Heads | None = None
    ) -> None:
        """heads : what makes whole heads; None: every mesh is of the face, whatever the options say."""
        self._network, self._finder, self._limits, self._heads = network, finder, limits or Limits(), heads

    @classmethod
    def open(cls, model: str | Path = "default", finder: str = "bundled", device: str = "auto") -> Reconstructor:
        """With the weights and the finder of these names.

        model : name of bundled or imported weights, or their file
        device : of torch; "auto" is the first GPU, else the CPU

        Raises WeightsError, BackendMissingError, and ValueError for a finder that there is not.
        """
        from vrn.finder import load_finder  # here, because torch takes its time
        from vrn.network import load_network
        from vrn.network.heads import load_heads

        place = pick_device(device)
        return cls(load_network(model, place), load_finder(finder, device=place), heads=load_heads(model, place))

    def reconstruct(
        self,
        photo: PhotoSource,
        options: Options | None = None,
        on_stage: OnStage | None = None,
        **wanted: Any,
    ) -> Result:
        """The mesh of the largest face, or of every face.

        photo : JPEG, PNG, WebP, HEIC or AVIF: its bytes, its path, or a file opened in binary mode
        options : what the mesh should be; or the same as keywords, e.g. ``format="glb", all_faces=True``
        on_stage : called before each stage; what it raises stops the job and passes through

        Raises selfie3d_photo.PhotoError, NoFaceError, FieldError, OptionError for options that contradict, and
        WeightsError for a head's topology with weights that know the face only. With all faces, one whose volume holds
        no face is left out as long as another is left.
        """
        options = replace(options or Options(), **wanted)
        if options.topology is Topology.HEAD and self._heads is None:
            raise WeightsError("These weights know the face only: the topology of the head needs the bundled ones.")
        clock = _Clock(on_stage)
        image = clock.run(Stage.DECODE, lambda: decode(photo_bytes(photo), self._limits).rgb)
        detections = clock.run(Stage.DETECT, lambda: self._finder.detect(image))
        if not detections:
            raise NoFaceError
        found = clock.run(Stage.ALIGN, lambda: self._finder.align(image, detections[:MOST_DETECTIONS]))
        if not found:
            raise NoFaceError
        if not options.all_faces:
            found = [_main_face(found, image)]
        clock.faces = len(found)
        made = self._each(image, found, options, clock)
        if options.scene:
            made = _in_scene(made, options, clock)
        faces = [
            Face.of_mesh(index, face.box_px, face.score, mesh, file, partial(draw_preview, mesh.expressed))
            for index, (face, mesh, file) in enumerate(made)
            if file is not None
        ]
        return Result(tuple(faces), {str(stage): seconds for stage, seconds in clock.seconds.items()})

    def _each(
        self, image: NDArray[np.uint8], found: Sequence[AlignedFace], options: Options, clock: _Clock
    ) -> list[Made]:
        made: list[Made] = []
        failures: list[FieldError] = []
        for face in found:
            try:
                made.append(self._one(image, face, options, clock))
            except FieldError as error:
                failures.append(error)
        if failures and not made:
            raise failures[0]
        return made

    def _one(self, image: NDArray[np.uint8], face: AlignedFace, options: Options, clock: _Clock) -> Made:
        surface = self._surface(image, face, options, clock)
        wishes = {"textured": options.has_texture, "delight": options.delight}
        mesh = clock.run(Stage.COLOUR, lambda: surface.coloured(image, face, **wishes))
        file = None if options.scene else clock.run(Stage.ENCODE, lambda: encode(mesh, options))
        return face, mesh, file

    def _surface(self, image: NDArray[np.uint8], face: AlignedFace, options: Options, clock: _Clock) -> FaceSurface:
        heads = self._heads if options.extent is Extent.HEAD and not options.solid else None
        if heads is not None:
            head = clock.run(Stage.NETWORK, lambda: heads.head(image, face))
            return clock.run(Stage.SURFACE, lambda: _head_surface(head, face, options))
        field = clock.run(Stage.NETWORK, lambda: self._network.field(resample(image, face.crop)))
        return clock.run(Stage.SURFACE, lambda: FaceSurface.of(field, face, options))


def _head_surface(head: WholeHead, face: AlignedFace, options: Options) -> HeadSurface:
    surface = HeadSurface.of_head(head, face, options)
    return TopologySurface.of_surface(surface, options) if options.topology is Topology.HEAD else surface


def _in_scene(made: Sequence[Made], options: Options, clock: _Clock) -> list[Made]:
    """The faces side by side, all with the file of the whole scene."""
    meshes = placed([mesh for _, mesh, _ in made])
    file = clock.run(Stage.ENCODE, lambda: encode_scene(meshes, options))
    return [(face, mesh, file) for (face, _, _), mesh in zip(made, meshes, strict=True)]


class _Clock:
    """Tells `on_stage` where the job is and adds up the seconds."""

    def __init__(self, on_stage: OnStage | None) -> None:
        self.seconds = dict.fromkeys(SHARES, 0.0)
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
