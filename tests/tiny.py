"""A worker with a tiny reconstructor for tests: every stage, a network of two layers, a real little mesh, in no time.

The mesh is a function of the photo alone, so that a test can say which bytes a job must give (`expected_mesh`).
The first pixel of a photo can command what happens to it: see `Command`. Where SELFIE3D_MODEL names a folder, each run
of the network is a line in its file `network`; the model `broken` cannot be loaded. SELFIE3D_ALIGNER holds the seconds
that a run takes, so that kills find jobs to hit.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selfie3d.types import MeshFile, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import file_of
from selfie3d_jobs.env import from_environment
from selfie3d_photo import decode
from selfie3d_worker import Output, WorkerConfig
from selfie3d_worker.main import run
from selfie3d_worker.model import OnFiles, OnStage
from tests.held_worker import install_breakpoint

SIDE = 64  # px of a test photo
GRID = 16  # vertices along a side of the mesh
FULL_COPIES = 1000  # of the vertices, with detail full: a mesh of 3 MB
LARGE_COPIES = 350  # with Command.LARGE: a little over 1 MiB
WEIGHTS = np.random.default_rng(1).normal(size=(2, GRID, GRID)) / GRID
PLY_HEADER = "ply\nformat binary_little_endian 1.0\nelement vertex {}\nproperty float x\nproperty float y\n"
PLY_HEADER += "property float z\nelement face {}\nproperty list uchar int vertex_indices\nend_header\n"


class Command(Enum):
    """RGB of a photo's first pixel; the noise of `make_photo` never has them."""

    KILL = (255, 0, 0)  # the process that looks at it dies
    NO_FACE = (255, 0, 1)
    CRASH = (255, 0, 2)  # a programming error
    LARGE = (255, 0, 3)  # a mesh of 1 MiB


class NobodyThere(Exception):  # noqa: N818
    """As vrn.NoFaceError, without the second that importing vrn takes."""

    reason = "NO_FACE"


class Tiny:
    """The reconstructor. `folder` gets the file `network`; `seconds`: of a run."""

    name = "tiny"
    weights_sha256 = hashlib.sha256(WEIGHTS.tobytes()).hexdigest()
    device = "cpu"
    engine = "numpy"

    def __init__(self, folder: Path | None, seconds: float = 0.0) -> None:
        self._folder, self._seconds = folder, seconds

    def __call__(self, photo: bytes, options: pb.Options, on_stage: OnStage, on_files: OnFiles) -> Output:
        """One face for any photo."""

        def begin(stage: Stage) -> None:
            on_stage(stage, list(Stage).index(stage) / len(Stage))

        begin(Stage.DECODE)
        rgb = decode(photo).rgb
        command = command_of(rgb)
        begin(Stage.DETECT)
        begin(Stage.ALIGN)
        luma = np.asarray(Image.fromarray(rgb).convert("L").resize((GRID, GRID)), np.float64) / 255
        begin(Stage.NETWORK)
        self._note(photo)
        obey(command)
        time.sleep(self._seconds)
        depth = WEIGHTS[1] @ np.tanh(WEIGHTS[0] @ luma)
        begin(Stage.SURFACE)
        vertices, triangles = surface(depth)
        begin(Stage.COLOUR)
        begin(Stage.ENCODE)
        vertices = np.tile(vertices, (copies_for(options, command), 1))
        file = encode(vertices, triangles)
        box = pb.Box(width=rgb.shape[1], height=rgb.shape[0])
        face = describe(file, options, box, len(vertices), len(triangles))
        on_files([file_of(face.file).downloaded(file)])
        return Output([face], [file])

    def together(self, photos: Sequence[bytes], options: pb.Options, on_stage: OnStage, on_files: OnFiles) -> Output:
        """One face for several photos: that of the first one that shows somebody, the others left out."""
        outputs: list[Output | None] = []

        def on_no_files(_: Sequence[MeshFile]) -> None:
            """They are none of the output yet."""

        for number, photo in enumerate(photos):

            def on_stage_of(stage: str, progress: float, before: int = number) -> None:
                on_stage(stage, (before + progress) / len(photos))

            try:
                outputs.append(self(photo, options, on_stage_of, on_no_files))
            except NobodyThere:
                outputs.append(None)
        made = [output for output in outputs if output]
        if not made:
            raise NobodyThere
        first = next(n for n, output in enumerate(outputs) if output)
        views = [
            pb.PhotoView(
                index=n,
                weight=float(n == first),
                pose=pb.HeadPose(yaw=n) if output else None,
                left_out="" if n == first else "COVERED" if output else "NO_FACE",
            )
            for n, output in enumerate(outputs)
        ]
        on_files([file_of(made[0].faces[0].file).downloaded(made[0].files[0])])
        return replace(made[0], views=views)

    def _note(self, photo: bytes) -> None:
        if self._folder:
            with (self._folder / "network").open("a") as file:
                file.write(f"{hashlib.sha256(photo).hexdigest()} {os.getpid()}\n")


def command_of(rgb: NDArray[np.uint8]) -> Command | None:
    """What the photo commands, if anything. rgb : (h, w, 3)."""
    pixel = tuple(rgb[0, 0].tolist())
    return Command(pixel) if pixel in {command.value for command in Command} else None


def obey(command: Command | None) -> None:
    if command is Command.NO_FACE:
        raise NobodyThere
    if command is Command.CRASH:
        raise ZeroDivisionError("secret detail")
    if command is Command.KILL:
        os.kill(os.getpid(), signal.SIGKILL)


def copies_for(options: pb.Options, command: Command | None) -> int:
    """How many times the vertices are in the file."""
    if options.detail == pb.DETAIL_FULL:
        return FULL_COPIES
    return LARGE_COPIES if command is Command.LARGE else 1


def surface(depth: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Depths to a sheet: vertices (n, 3), triangles (m, 3)."""
    y, x = np.mgrid[:GRID, :GRID]
    vertices = np.stack([x.ravel(), y.ravel(), depth.ravel()], axis=1).astype("<f4")
    corner = (y * GRID + x)[:-1, :-1].ravel()
    upper = np.stack([corner, corner + 1, corner + GRID], axis=1)
    lower = np.stack([corner + 1, corner + GRID + 1, corner + GRID], axis=1)
    return vertices, np.concatenate([upper, lower]).astype("<i4")


def encode(vertices: NDArray[np.float32], triangles: NDArray[np.int32]) -> bytes:
    """Binary PLY."""
    faces = np.zeros(len(triangles), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, triangles
    return PLY_HEADER.format(len(vertices), len(triangles)).encode() + vertices.tobytes() + faces.tobytes()


def describe(file: bytes, options: pb.Options, box: pb.Box, vertices: int, triangles: int) -> pb.Face:
    kind = pb.MeshFile(
        format=options.format or pb.MESH_FORMAT_PLY,
        media_type="model/ply",
        extension=".ply",
        size_bytes=len(file),
        sha256=hashlib.sha256(file).hexdigest(),
    )
    identity = np.eye(4).ravel().tolist()
    return pb.Face(box=box, score=1, mesh_to_photo=identity, vertices=vertices, triangles=triangles, file=kind)


def expected_mesh(photo: bytes, options: pb.Options | None = None) -> bytes:
    """The file that a job with this photo gives."""
    return Tiny(None)(photo, options or pb.Options(), lambda *_: None, lambda _: None).files[0]


def make_photo(seed: int = 0, command: Command | None = None, *, side: int = SIDE) -> bytes:
    """PNG of coloured noise, different for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 250, (side, side, 3), dtype=np.uint8)
    if command:
        pixels[0, 0] = command.value
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=1)
    return data.getvalue()


def network_runs(folder: Path, photo: bytes) -> int:
    """How often the network saw the photo."""
    path, sha256 = folder / "network", hashlib.sha256(photo).hexdigest()
    return path.read_text().count(sha256) if path.exists() else 0


def open_tiny(config: WorkerConfig) -> Tiny:
    install_breakpoint(config.jobs)
    if config.model == "broken":
        raise ValueError("these weights do not fit")
    seconds = 0.0 if config.aligner == "bundled" else float(config.aligner)
    folder = Path(config.model)
    return Tiny(folder if folder.is_dir() else None, seconds)


if __name__ == "__main__":
    sys.exit(run(replace(from_environment(WorkerConfig), reconstructor="tests.tiny:open_tiny")))
