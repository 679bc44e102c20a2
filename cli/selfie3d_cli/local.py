"""Reconstruction in this process: no service, no Redis."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selfie3d import JobOptions
from selfie3d_cli.errors import CommandError, ExtraMissingError
from selfie3d_cli.finder_options import finder_options
from selfie3d_cli.outcome import Face, PhotoFailedError, Reconstruction

if TYPE_CHECKING:
    from vrn import FaceResult, Field, MeshFile, Options, Reconstructor
    from vrn.pipeline import Network


class LocalBackend:
    """Reconstructs one photo after the other with models that are loaded once."""

    at_once = 1

    def __init__(self, reconstructor: Reconstructor, options: Options, recorder: Recorder) -> None:
        self._reconstructor = reconstructor
        self._options = options
        self._recorder = recorder

    def reconstruct(self, photo: bytes, on_progress: Callable[[str, float], None]) -> Reconstruction:
        """Raises PhotoFailedError."""
        from selfie3d_photo import PhotoError
        from vrn import VrnError

        try:
            result = self._reconstructor.reconstruct(photo, self._options, on_progress)
        except (VrnError, PhotoError) as error:
            raise PhotoFailedError(str(error.reason), str(error)) from error
        faces = [_face(face, face.file or result.scene, self._recorder.last) for face in result.faces]
        return Reconstruction(faces, {str(stage): seconds for stage, seconds in result.seconds.items()})

    def abandon(self) -> None:
        """Nothing goes on without us."""

    def close(self) -> None:
        """Nothing is open."""


class Recorder:
    """A network that keeps the last field it made, for --volume."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.last: Field | None = None

    def field(self, crop: NDArray[np.uint8]) -> Field:
        """The network's field. crop : (192, 192, 3) uint8 - RGB, crop frame."""
        self.last = self._network.field(crop)
        return self.last


def open_local(args: argparse.Namespace, options: JobOptions) -> LocalBackend:
    """Load the models of --model, --aligner and --device. Raises ExtraMissingError, CommandError."""
    try:
        from vrn import Detail, Format, Options, Reconstructor, VrnError
        from vrn.finder import open_finder
        from vrn.network import load_network
        from vrn.pipeline import pick_device
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("worker", error.name) from error
    device = pick_device(args.device or os.environ.get("SELFIE3D_DEVICE") or "auto")
    try:
        network = Recorder(load_network(args.model or os.environ.get("SELFIE3D_MODEL") or "default", device))
        aligner = args.aligner or os.environ.get("SELFIE3D_ALIGNER") or "bundled"
        finder = open_finder(aligner, device=device, **finder_options(aligner))
    except VrnError as error:
        raise CommandError(str(error)) from error
    except (ValueError, RuntimeError, AssertionError) as error:  # torch's, for a device that is not there
        raise CommandError(f"the models cannot be opened on {device}: {error}") from error
    wanted = Options(
        format=Format(options["format"]),
        detail=Detail(options["detail"]),
        all_faces=options["all_faces"],
        scene=options["scene"],
        textured=options["textured"],
        printable=options["printable"],
    )
    return LocalBackend(Reconstructor(network, finder), wanted, network)


def _face(face: FaceResult, file: MeshFile | None, field: Field | None) -> Face:
    from vrn import preview_sheet

    if file is None:
        raise CommandError("The reconstruction made no file.")
    return Face(
        data=file.data,
        extension=file.extension,
        vertices=len(face.mesh.vertices),
        triangles=len(face.mesh.triangles),
        box=face.face.box_px,
        score=face.face.score,
        mesh_to_photo=face.mesh.mesh_to_photo,
        preview=lambda: preview_sheet(face.mesh),
        volume=partial(_write_volume, field) if field is not None else None,
    )


def _write_volume(field: Field, path: Path) -> None:
    from vrn.files.volume_file import write_volume

    write_volume(path, field)
