"""From photo bytes to meshes: the one road that the worker, the command line and the tests take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Extent, Face, Mesh, MeshFile, Options, Result, Stage, Topology
from selfie3d.types.options import OptionError, check_one_person
from selfie3d.types.photo import PhotoSource, photos_bytes
from selfie3d_photo import Limits, PhotoError, decode
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.topology import TopologySurface
from vrn.avatar.whole_head import WholeHead
from vrn.engine import choose
from vrn.errors import FieldError, NoFaceError, WeightsError
from vrn.files.export import encode, encode_scene
from vrn.finder import load_finder
from vrn.finder.face import AlignedFace, Detection, Finder, found_or_again
from vrn.meshing.face_surface import FaceSurface
from vrn.meshing.field import Field
from vrn.meshing.scene import placed
from vrn.network.heads import load_face_network, load_heads
from vrn.network.upright import upright_field
from vrn.one_person import Portraits
from vrn.photo import ScaledPhoto
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
ONCE = (Stage.DECODE, Stage.DETECT, Stage.ALIGN)  # for all faces of a photo
EACH_PHOTO = (Stage.DECODE, Stage.DETECT, Stage.ALIGN, Stage.NETWORK)  # of one person
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
    def open(
        cls,
        model: str | Path = "default",
        finder: str = "bundled",
        device: str = "auto",
        engine: str = "auto",
        precision: str = "auto",
    ) -> Reconstructor:
        """With the weights and the finder of these names.

        model : name of bundled or imported weights, or their file
        device : of torch; "auto" is the first GPU, else the CPU
        engine : "onnx" or "torch"; "auto" is ONNX Runtime on the CPU and torch on a GPU
        precision : of the networks: "single", "half" (torch) or "int8" (ONNX Runtime); "auto" is the quickest

        Raises WeightsError, BackendMissingError, and ValueError for a finder, engine or precision that there is not.
        """
        chosen = choose(engine, device, precision=precision)
        heads = load_heads(model, chosen)
        return cls(load_face_network(model, chosen, heads), load_finder(finder, chosen), heads=heads)

    def reconstruct(
        self,
        photo: PhotoSource | Sequence[PhotoSource],
        options: Options | None = None,
        on_stage: OnStage | None = None,
        *,
        one_person: bool = False,
        **wanted: Any,
    ) -> Result:
        """The mesh of the largest face, or of every face; or one head of several photos.

        photo : JPEG, PNG, WebP, HEIC or AVIF: its bytes, its path, or a file opened in binary mode; a list of them
            with one_person
        options : what the mesh should be; or the same as keywords, e.g. ``format="glb", all_faces=True``
        on_stage : called before each stage; what it raises stops the job and passes through
        one_person : the photos are of one person; `Result.views` says what each of them gave

        Raises selfie3d_photo.PhotoError, NoFaceError, FieldError, OptionError for options that contradict, and
        WeightsError for a head's topology with weights that know the face only. With all faces, one whose volume holds
        no face is left out as long as another is left.
        """
        options = replace(options or Options(), **wanted)
        if options.topology is Topology.HEAD and self._heads is None:
            raise WeightsError("These weights know the face only: the topology of the head needs the bundled ones.")
        clock = _Clock(on_stage)
        photos = photos_bytes(photo, one_person=one_person)
        if one_person:
            return self._one_person(photos, options, clock)
        view = clock.run(Stage.DECODE, lambda: ScaledPhoto(photos[0], self._limits, options))
        boxes = clock.run(Stage.DETECT, lambda: self._boxes(view, options))
        found = clock.run(Stage.ALIGN, lambda: self._faces_or_again(view, boxes, options))
        if not found:
            raise NoFaceError
        clock.split(len(found), set(SHARES) - set(ONCE))
        made = self._each(view, found, options, clock)
        if options.scene:
            made = _in_scene(made, options, clock)
        faces = [
            Face.of_mesh(index, face.box_px, face.score, mesh, file, partial(draw_preview, mesh.expressed))
            for index, (face, mesh, file) in enumerate(made)
            if file is not None
        ]
        return Result(tuple(faces), clock.by_stage())

    def main_face(self, image: NDArray[np.uint8]) -> AlignedFace | None:
        """The photo's subject, if there is one. image : (H, W, 3) uint8 - RGB, photo frame."""
        found = self._faces_of(image, self._finder.detect(image))
        return _main_face(found, image) if found else None

    def _one_person(self, photos: Sequence[bytes], options: Options, clock: _Clock) -> Result:
        check_one_person(options)
        if self._heads is None:
            raise OptionError("one_person", "one_person needs the bundled weights: the others know the face only.")
        portraits = Portraits(options)
        clock.split(len(photos), EACH_PHOTO)
        for number, photo in enumerate(photos, 1):
            try:
                self._add_portrait(photo, portraits, self._heads, clock)
            except PhotoError as error:
                raise PhotoError(error.reason, f"Photo {number}: {error}") from error
        fused = clock.run(Stage.SURFACE, portraits.fused)
        surface = clock.run(Stage.SURFACE, lambda: fused.surface(options))
        reference = photos[fused.reference.index]
        mesh = clock.run(Stage.COLOUR, lambda: fused.mesh(surface, decode(reference, self._limits).rgb, options))
        file = clock.run(Stage.ENCODE, lambda: encode(mesh, options))
        face = fused.reference.face
        made = Face.of_mesh(0, face.box_px, face.score, mesh, file, partial(draw_preview, mesh.expressed))
        return Result((made,), clock.by_stage(), views=fused.views)

    def _add_portrait(self, photo: bytes, portraits: Portraits, heads: Heads, clock: _Clock) -> None:
        """One photo of one person. A photo without a face is no error as long as another one has one."""
        image = clock.run(Stage.DECODE, lambda: decode(photo, self._limits).rgb)
        boxes = clock.run(Stage.DETECT, lambda: self._finder.detect(image))
        found = clock.run(Stage.ALIGN, lambda: self._faces_of(image, boxes))
        if not found:
            portraits.add_faceless()
            return
        face = _main_face(found, image)
        head = clock.run(Stage.NETWORK, lambda: heads.head(image, face))
        clock.run(Stage.NETWORK, lambda: portraits.add(image, face, head))

    def _boxes(self, view: ScaledPhoto, options: Options) -> list[Detection]:
        """Where faces probably are; a reduced photo in which none is found is looked at as a whole."""
        boxes = self._finder.detect(view.rgb, subject=not options.all_faces)
        if boxes or view.is_whole:
            return boxes
        view.enlarge()
        return self._finder.detect(view.rgb, subject=not options.all_faces)

    def _faces(self, view: ScaledPhoto, boxes: Sequence[Detection], options: Options) -> list[AlignedFace]:
        """The wanted faces. Where they are small or none is sure, all faces are looked for in the whole photo."""
        if not boxes:
            return []
        found = self._wanted(view, boxes, options)
        enough = bool(found) and view.suffices(found) and (options.all_faces or found[0].score >= SURE)
        if enough or (view.is_whole and options.all_faces):
            return found
        view.enlarge()
        every = self._finder.detect(view.rgb)
        return found if every == list(boxes) else self._wanted(view, every, options)

    def _faces_or_again(self, view: ScaledPhoto, boxes: Sequence[Detection], options: Options) -> list[AlignedFace]:
        """The wanted faces, searched for more thoroughly where none is beyond doubt."""
        return found_or_again(self._faces(view, boxes, options), lambda: self._again(view, options))

    def _again(self, view: ScaledPhoto, options: Options) -> list[AlignedFace]:
        """The wanted faces by a second search."""
        found = self._finder.search_again(view.rgb)
        if found and not view.suffices(found):
            found = [view.face_in_photo(face) for face in found]
            view.enlarge()
        return [_main_face(found, view.rgb)] if found and not options.all_faces else found

    def _faces_of(self, image: NDArray[np.uint8], boxes: Sequence[Detection]) -> list[AlignedFace]:
        """All faces of a whole photo."""
        found = self._finder.align(image, boxes[:MOST_DETECTIONS])
        return found_or_again(found, lambda: self._finder.search_again(image))

    def _wanted(self, view: ScaledPhoto, boxes: Sequence[Detection], options: Options) -> list[AlignedFace]:
        boxes = boxes[:MOST_DETECTIONS]
        if options.all_faces or not boxes:
            return self._finder.align(view.rgb, boxes)
        found = self._candidates(view, boxes)
        return [_main_face(found, view.rgb)] if found else []

    def _candidates(self, view: ScaledPhoto, boxes: Sequence[Detection]) -> list[AlignedFace]:
        """The faces that may be the photo's subject: none scores more than its box, so that most need no alignment."""
        surest = self._finder.align(view.rgb, [max(boxes, key=lambda box: box.score)])
        best = max((face.score for face in surest), default=0.0)
        hopeful = [box for box in boxes if box.score >= SURE * best]
        return surest if surest and len(hopeful) == 1 else self._finder.align(view.rgb, hopeful)

    def _each(self, view: ScaledPhoto, found: Sequence[AlignedFace], options: Options, clock: _Clock) -> list[Made]:
        made: list[Made] = []
        failures: list[FieldError] = []
        for face in found:
            try:
                made.append(self._one(view, face, options, clock))
            except FieldError as error:
                failures.append(error)
        if failures and not made:
            raise failures[0]
        return made

    def _one(self, view: ScaledPhoto, face: AlignedFace, options: Options, clock: _Clock) -> Made:
        surface = self._surface(view.rgb, face, options, clock)
        wishes = {"textured": options.needs_texture, "delight": options.delight}
        mesh = view.mesh_in_photo(clock.run(Stage.COLOUR, lambda: surface.coloured(view.rgb, face, **wishes)))
        file = None if options.scene else clock.run(Stage.ENCODE, lambda: encode(mesh, options))
        return view.face_in_photo(face), mesh, file

    def _surface(self, image: NDArray[np.uint8], face: AlignedFace, options: Options, clock: _Clock) -> FaceSurface:
        heads = self._heads if options.extent is Extent.HEAD and not options.solid else None
        if heads is not None:
            head = clock.run(Stage.NETWORK, lambda: heads.head(image, face))
            return clock.run(Stage.SURFACE, lambda: _head_surface(head, face, options))
        field = clock.run(Stage.NETWORK, lambda: upright_field(self._network.field, image, face))
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
        self._parts = dict.fromkeys(SHARES, 1)
        self._on_stage = on_stage
        self._stage: Stage | None = None
        self._done = 0.0

    def split(self, parts: int, stages: Iterable[Stage]) -> None:
        """These stages come so many times, for each face or for each photo."""
        self._parts.update(dict.fromkeys(stages, parts))

    def run(self, stage: Stage, work: Callable[[], T]) -> T:
        if self._on_stage and stage is not self._stage:
            self._on_stage(stage, min(self._done, 1.0))
        start = time.perf_counter()
        result = work()
        self.seconds[stage] += time.perf_counter() - start
        if stage is not self._stage:
            self._done += SHARES[stage] / self._parts[stage]
        self._stage = stage
        return result

    def by_stage(self) -> dict[str, float]:
        """{stage: seconds} so far."""
        return {str(stage): seconds for stage, seconds in self.seconds.items()}
