"""`selfie3d reconstruct`: photos and folders to meshes, or to one head, by a service or in this process."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from selfie3d import (
    Compression,
    Detail,
    Extent,
    Format,
    JobOptions,
    OptionError,
    Options,
    Priority,
    Topology,
)
from selfie3d.types.mesh_file import write_atomically
from selfie3d.types.options import check_one_person
from selfie3d.types.photo import MOST_PHOTOS, check_photo_count
from selfie3d_cli.arguments import output, seconds, server
from selfie3d_cli.errors import CommandError, ExtraMissingError, UsageError
from selfie3d_cli.local import LocalBackend, open_local
from selfie3d_cli.outcome import Outcome, PhotoFailedError
from selfie3d_cli.photos import MESH_SUFFIXES, OutputPaths, PhotoFile, find_photos
from selfie3d_cli.progress import ProgressView
from selfie3d_cli.remote import open_remote
from selfie3d_cli.server_options import add_tls_arguments

if TYPE_CHECKING:
    from selfie3d import Face, Result

PHOTO_TIMEOUT = 600.0  # seconds for one photo at a service, waiting included
VOLUME_SUFFIXES = {".raw", ".npy"}


class Backend(Protocol):
    """Either road from a photo to its meshes.

    at_once : how many photos it takes at a time, each in a thread of its own; 1: only this thread
    engine : what runs the network here; None where that is the service's business
    """

    at_once: int
    engine: str | None

    def reconstruct(self, photo: bytes | list[bytes], on_progress: Callable[[str, float], None]) -> Result:
        """A photo, or all photos of one person. Raises PhotoFailedError."""
        ...

    def abandon(self) -> None:
        """Stop what goes on elsewhere: the command was interrupted."""
        ...

    def close(self) -> None:
        """End what is open."""
        ...


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("reconstruct", help="photos to meshes")
    parser.add_argument(
        "photos", nargs="+", type=Path, metavar="PHOTO", help="JPEG, PNG, WebP, HEIC or AVIF, or folders of them"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=output("a mesh", MESH_SUFFIXES),
        metavar="FILE|FOLDER",
        help="default: the current folder",
    )
    parser.add_argument("--format", choices=[*Format], help="default: the ending of FILE, else ply")
    parser.add_argument("--detail", choices=[*Detail], default=Detail.STANDARD, help="default: %(default)s")
    parser.add_argument("--extent", choices=[*Extent], help="the whole head or the face only; default: head")
    parser.add_argument("--topology", choices=[*Topology], help="the volume's vertices, or the same for every photo")
    parser.add_argument("--rigged", action="store_true", help="a face that moves: morph targets by ARKit's names (glb)")
    parser.add_argument("--neutral", action="store_true", help="the face without its expression")
    parser.add_argument("--all-faces", action="store_true", help="every face, not the largest only")
    parser.add_argument("--scene", action="store_true", help="with --all-faces: one file with all faces in place")
    parser.add_argument(
        "--one-person",
        action="store_true",
        help=f"all photos, up to {MOST_PHOTOS}, are of one person: one head of them",
    )
    parser.add_argument("--textured", action="store_true", help="a texture instead of vertex colours (obj, glb, usdz)")
    parser.add_argument(
        "--compression", choices=[*Compression], default=Compression.NONE, help="a smaller GLB; default: %(default)s"
    )
    parser.add_argument("--delight", action="store_true", help="take the photo's light out of the colours")
    parser.add_argument("--printable", action="store_true", help="a solid with a flat base")
    parser.add_argument(
        "--preview",
        type=output("a picture", {".png"}),
        metavar="PNG",
        help="also a picture of the mesh: file, or a folder",
    )
    parser.add_argument("--volume", type=Path, metavar="FILE", help="also the face's volume, .raw or .npy (--local)")
    parser.add_argument("--json", action="store_true", help="one JSON object per photo on stdout, nothing else")
    road = parser.add_mutually_exclusive_group()
    road.add_argument("--server", type=server, metavar="HOST:PORT", help="default: SELFIE3D_SERVER or localhost:50051")
    road.add_argument("--local", action="store_true", help="in this process, without a service")
    _add_server_arguments(parser.add_argument_group("with a service"))
    local = parser.add_argument_group("with --local")
    local.add_argument("--model", help="weights by name or file; default: SELFIE3D_MODEL or the bundled ones")
    local.add_argument("--aligner", help="default: SELFIE3D_ALIGNER or bundled")
    local.add_argument("--device", help="auto, cpu, cuda or cuda:N; default: SELFIE3D_DEVICE or auto")
    local.add_argument("--engine", help="auto, onnx or torch; default: SELFIE3D_ENGINE or auto")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Reconstruct every photo; 1 when one has failed."""
    photos = find_photos(args.photos)
    job = _Job(args, photos)
    groups = [photos] if args.one_person else [[photo] for photo in photos]
    view = ProgressView(len(groups), quiet=args.json)
    try:
        with _stdout_for_json(args.json) as lines, closing(_open(args)) as backend, view:
            for outcome in _each(groups, backend, lambda group: job.run(group, backend, view), view.interrupt):
                if lines is not None:
                    print(json.dumps(outcome.as_json()), file=lines, flush=True)
    except KeyboardInterrupt:
        view.summarise()
        raise
    view.summarise()
    return 1 if any(outcome.failure for outcome in view.outcomes) else 0


class _Job:
    """What is to be done with each photo, or with all photos of one person, and where files go. Raises UsageError."""

    def __init__(self, args: argparse.Namespace, photos: list[PhotoFile]) -> None:
        _check(args)
        self._together = args.one_person
        if self._together:
            _check_together(args, photos)
        self._meshes = OutputPaths(args.output, MESH_SUFFIXES, photos, together=self._together)
        self._previews = OutputPaths(args.preview, {".png"}, photos, together=self._together) if args.preview else None
        self._volumes = OutputPaths(args.volume, VOLUME_SUFFIXES, photos) if args.volume else None
        self._volume_suffix = args.volume.suffix if args.volume else ""

    def run(self, photos: list[PhotoFile], backend: Backend, view: ProgressView) -> Outcome:
        """Reconstruct one photo, or the photos of one person; whatever goes wrong with it is its own outcome."""
        name = str(photos[0].path)
        task = view.start(name)
        try:
            outcome = self._reconstruct(photos, backend, lambda stage, done: view.advance(task, stage, done))
        except PhotoFailedError as failure:
            outcome = Outcome(name, failure=failure, photos=self._names(photos))
        except CommandError:
            raise
        except Exception as error:
            unexpected = PhotoFailedError("INTERNAL", f"{type(error).__name__}: {error}")
            outcome = Outcome(name, failure=unexpected, photos=self._names(photos))
        view.finish(task, outcome)
        return outcome

    def _reconstruct(self, photos: list[PhotoFile], backend: Backend, advance: Callable[[str, float], None]) -> Outcome:
        data = [self._read(photo) for photo in photos]
        made = backend.reconstruct(data if self._together else data[0], advance)
        try:
            meshes = tuple(self._write(photos[0], face, made, backend) for face in made.faces)
        except OSError as error:
            raise PhotoFailedError("OUTPUT_UNWRITABLE", f"{error.filename}: {error.strerror}.") from error
        name = str(photos[0].path)
        return Outcome(
            name, made.faces, meshes, made.seconds, backend.engine, photos=self._names(photos), views=made.views
        )

    def _read(self, photo: PhotoFile) -> bytes:
        try:
            return photo.path.read_bytes()
        except OSError as error:
            which = f"{photo.path} " if self._together else ""
            raise PhotoFailedError("PHOTO_UNREADABLE", f"{which}cannot be read: {error.strerror}.") from error

    def _names(self, photos: list[PhotoFile]) -> tuple[str, ...]:
        return tuple(str(photo.path) for photo in photos) if self._together else ()

    def _write(self, photo: PhotoFile, face: Face, made: Result, backend: Backend) -> Path:
        """Write what belongs to one face; its mesh's path. The faces of a scene have one file."""
        first = next(other.index for other in made.faces if other.file is face.file)
        mesh = self._meshes.path(photo, first, face.file.extension)
        if first == face.index:
            face.file.save(mesh)
        if self._previews is not None:
            write_atomically(self._previews.path(photo, face.index, ".png"), preview(face))
        if self._volumes is not None and isinstance(backend, LocalBackend):
            backend.write_volume(face.index, self._volumes.path(photo, face.index, self._volume_suffix))
        return mesh


def preview(face: Face) -> bytes:
    """PNG of the mesh from four sides, drawn here. Raises ExtraMissingError."""
    try:
        from vrn import preview_sheet
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("worker", error.name) from error
    return preview_sheet(face.mesh)


def _open(args: argparse.Namespace) -> Backend:
    options = _options(args)
    if args.local:
        return open_local(args, options)
    several = len(args.photos) > 1 or args.photos[0].is_dir()
    several = several and not args.one_person
    of_job = {"priority": Priority.BULK if several else Priority.INTERACTIVE, "expire_after": args.expire_after}
    wishes = cast(JobOptions, vars(options) | of_job)
    if args.one_person:
        wishes["one_person"] = True
    return open_remote(args, wishes)


def _options(args: argparse.Namespace) -> Options:
    """Raises UsageError for options that contradict each other."""
    try:
        return Options(
            format=Format(_format(args)),
            detail=Detail(args.detail),
            all_faces=args.all_faces,
            scene=args.scene,
            textured=args.textured,
            printable=args.printable,
            extent=_extent(args),
            delight=args.delight,
            topology=Topology(args.topology or Topology.VOLUME),
            rigged=args.rigged,
            neutral=args.neutral,
            compression=Compression(args.compression),
        )
    except OptionError as error:
        raise UsageError(f"--{_as_flags(str(error))}") from error


def _extent(args: argparse.Namespace) -> Extent:
    """--extent, else the head, but the face where its volume is asked for. Raises UsageError for a head's volume."""
    if args.volume and args.extent == Extent.HEAD:
        raise UsageError("--volume writes the volume of a face: leave --extent out, or say --extent face")
    return Extent(args.extent or (Extent.FACE if args.volume else Extent.HEAD))


def _format(args: argparse.Namespace) -> str:
    """--format, else what the ending of the output says, else ply."""
    ending = args.output.suffix.lower().lstrip(".") if args.output and not args.output.is_dir() else ""
    return str(args.format or {"zip": "obj"}.get(ending) or (ending if ending in [*Format] else Format.PLY))


def _check(args: argparse.Namespace) -> None:
    """Raises UsageError for arguments that contradict each other, before anything is loaded or sent."""
    format = _format(args)
    ending = args.output.suffix.lower() if args.output and not args.output.is_dir() else ""
    if ending in MESH_SUFFIXES and ending not in {f".{format}", ".zip" if format == Format.OBJ else ""}:
        raise UsageError(f"--format {format} does not fit {args.output}.")
    _options(args)
    if args.preview and not args.local and format != Format.PLY:
        raise UsageError("--preview with a service is drawn from the mesh: it needs --format ply, or --local.")
    if args.volume and (not args.local or args.all_faces):
        raise UsageError("--volume needs --local and one face a photo: a service does not hand its volumes out.")
    if args.volume and args.volume.suffix not in VOLUME_SUFFIXES:
        raise UsageError(f"--volume {args.volume} must end in .raw or .npy.")


def _check_together(args: argparse.Namespace, photos: list[PhotoFile]) -> None:
    """Raises UsageError for what does not go together with --one-person."""
    if args.volume:
        raise UsageError("--volume writes the volume of one photo's face: it does not go together with --one-person.")
    try:
        check_photo_count(len(photos))
        check_one_person(_options(args))
    except OptionError as error:
        raise UsageError(f"--{_as_flags(str(error))}") from error


def _as_flags(words: str) -> str:
    """A sentence of an OptionError with the names of options as they are typed."""
    return re.sub(r"(?<= )(format|all_faces|extent|one_person)", lambda word: f"--{word[0]}", words).replace("_", "-")


def _each(
    groups: list[list[PhotoFile]],
    backend: Backend,
    work: Callable[[list[PhotoFile]], Outcome],
    interrupt: Callable[[], None],
) -> Iterator[Outcome]:
    """The outcomes in the order of the groups; the backend says how many at once.

    interrupt : called when there will be no more, before what runs is given up
    """
    threads = ThreadPoolExecutor(backend.at_once)
    try:
        yield from map(work, groups) if backend.at_once == 1 else threads.map(work, groups)
    except BaseException:
        interrupt()
        threads.shutdown(wait=False, cancel_futures=True)
        backend.abandon()
        raise
    finally:
        threads.shutdown()


@contextmanager
def _stdout_for_json(wanted: bool) -> Iterator[IO[str] | None]:
    """The real stdout, for our lines alone: what libraries print, native ones too, goes to stderr meanwhile."""
    if not wanted:
        yield None
        return
    if sys.stdout is None:
        raise UsageError("--json needs standard output, which is closed.")
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(kept, "w", encoding="utf-8", closefd=False) as lines:
            yield lines
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _add_server_arguments(group: Any) -> None:
    add_tls_arguments(group)
    group.add_argument(
        "--expire-after",
        type=seconds,
        metavar="SECONDS",
        help="the service removes a job so long after its end, default: as it is set up",
    )
    group.add_argument(
        "--timeout", type=seconds, default=PHOTO_TIMEOUT, help="seconds for one photo, default: %(default)s"
    )
