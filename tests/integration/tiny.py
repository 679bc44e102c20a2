"""A tiny reconstructor for tests of the machinery: one triangle per photo, made in no time, different for every photo.

The photo's width commands it: see WIDTHS. Run as a program it is a worker with this reconstructor.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import signal
import sys
from collections.abc import Callable

from PIL import Image

from selfie3d.types import Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs.env import from_environment
from selfie3d_worker import Output, WorkerConfig
from selfie3d_worker.main import run
from tests.held_worker import install_breakpoint

NO_FACE, CRASH, KILL, LARGE = 61, 62, 63, 64
WIDTHS = {NO_FACE: "no face", CRASH: "a programming error", KILL: "the child dies", LARGE: "a mesh of 1 MiB"}


def make_photo(seed: int = 0, width: int = 80) -> bytes:
    """A PNG that differs by seed."""
    data = io.BytesIO()
    Image.new("RGB", (width, 80), (seed % 256, seed // 256 % 256, seed // 65536)).save(data, "PNG")
    return data.getvalue()


def make_mesh(photo: bytes) -> bytes:
    """What the worker stores for this photo."""
    body = hashlib.sha256(photo).digest()
    return b"ply\n" + body * (32768 if Image.open(io.BytesIO(photo)).width == LARGE else 1)


class NobodyThere(Exception):  # noqa: N818
    """As vrn.NoFaceError, without the second that importing vrn takes."""

    reason = "NO_FACE"


class Tiny:
    """Goes through all stages."""

    name = "tiny"
    weights_sha256 = "0" * 64
    device = "cpu"

    def __call__(self, photo: bytes, options: pb.Options, on_stage: Callable[[str, float], None]) -> Output:
        for done, stage in enumerate(list(Stage)[:-1]):
            on_stage(stage, done / len(Stage))
            if stage is Stage.NETWORK:
                obey(Image.open(io.BytesIO(photo)).width)
        mesh = make_mesh(photo)
        file = pb.MeshFile(
            format=options.format or pb.MESH_FORMAT_PLY,
            media_type="model/ply",
            extension=".ply",
            size_bytes=len(mesh),
            sha256=hashlib.sha256(mesh).hexdigest(),
        )
        face = pb.Face(box=pb.Box(width=40, height=40), score=0.9, vertices=3, triangles=1, file=file)
        return Output([face], [mesh])


def obey(width: int) -> None:
    if width == NO_FACE:
        raise NobodyThere
    if width == CRASH:
        raise ZeroDivisionError("secret detail")
    if width == KILL:
        os.kill(os.getpid(), signal.SIGKILL)


def open_tiny(config: WorkerConfig) -> Tiny:
    install_breakpoint(config.jobs)
    if config.model == "broken":
        raise ValueError("these weights do not fit")
    return Tiny()


if __name__ == "__main__":
    sys.exit(run(dataclasses.replace(from_environment(WorkerConfig), reconstructor="tests.integration.tiny:open_tiny")))
