"""A worker with a tiny reconstructor for fault tests: every stage, a network of two layers, a real little mesh.

The mesh is a function of the photo alone, so that a test can say which bytes a job must give (`expected_mesh`).
SELFIE3D_MODEL names a folder: each run of the network is a line in its file `network`. SELFIE3D_ALIGNER holds the
seconds that a run takes, so that kills find jobs to hit. A photo whose first pixel is
KILLER kills the process that looks at it.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs.env import from_environment
from selfie3d_photo import decode
from selfie3d_worker import Output, WorkerConfig
from selfie3d_worker.main import run
from tests.held_worker import install_breakpoint

SIDE = 64  # px of a test photo
GRID = 16  # vertices along a side of the mesh
FULL_COPIES = 1000  # of the vertices, with detail full: a mesh of 3 MB
KILLER = (255, 0, 0)  # RGB of the first pixel
WEIGHTS = np.random.default_rng(1).normal(size=(2, GRID, GRID)) / GRID
PLY_HEADER = "ply\nformat binary_little_endian 1.0\nelement vertex {}\nproperty float x\nproperty float y\n"
PLY_HEADER += "property float z\nelement face {}\nproperty list uchar int vertex_indices\nend_header\n"


class Tiny:
    """The reconstructor. `folder` gets the file `network`; `seconds`: of a run."""

    name = "tiny"
    weights_sha256 = hashlib.sha256(WEIGHTS.tobytes()).hexdigest()
    device = "cpu"

    def __init__(self, folder: Path | None, seconds: float = 0.0) -> None:
        self._folder, self._seconds = folder, seconds

    def __call__(self, photo: bytes, options: pb.Options, on_stage: Callable[[str, float], None]) -> Output:
        """One face for any photo."""
        copies = FULL_COPIES if options.detail == pb.DETAIL_FULL else 1
        on_stage("decode", 0)
        rgb = decode(photo).rgb
        on_stage("detect", 0.125)
        box = pb.Box(width=rgb.shape[1], height=rgb.shape[0])
        on_stage("align", 0.25)
        luma = np.asarray(Image.fromarray(rgb).convert("L").resize((GRID, GRID)), np.float64) / 255
        on_stage("network", 0.375)
        self._note(photo)
        if tuple(rgb[0, 0]) == KILLER:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self._seconds)
        depth = WEIGHTS[1] @ np.tanh(WEIGHTS[0] @ luma)
        on_stage("surface", 0.5)
        vertices, triangles = surface(depth)
        on_stage("colour", 0.625)
        on_stage("encode", 0.75)
        file = encode(np.tile(vertices, (copies, 1)), triangles)
        return Output([describe(file, box, copies * len(vertices), len(triangles))], [file])

    def _note(self, photo: bytes) -> None:
        if self._folder:
            with (self._folder / "network").open("a") as file:
                file.write(f"{hashlib.sha256(photo).hexdigest()} {os.getpid()}\n")


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


def describe(file: bytes, box: pb.Box, vertices: int, triangles: int) -> pb.Face:
    kind = pb.MeshFile(
        format=pb.MESH_FORMAT_PLY,
        media_type="model/ply",
        extension=".ply",
        size_bytes=len(file),
        sha256=hashlib.sha256(file).hexdigest(),
    )
    identity = np.eye(4).ravel().tolist()
    return pb.Face(box=box, score=1, mesh_to_photo=identity, vertices=vertices, triangles=triangles, file=kind)


def expected_mesh(photo: bytes, options: pb.Options | None = None) -> bytes:
    """The file that a job with this photo gives."""
    return Tiny(None)(photo, options or pb.Options(), lambda *_: None).files[0]


def make_photo(seed: int, *, killer: bool = False, side: int = SIDE) -> bytes:
    """PNG of coloured noise, different for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 250, (side, side, 3), dtype=np.uint8)
    if killer:
        pixels[0, 0] = KILLER
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=1)
    return data.getvalue()


def network_runs(folder: Path, photo: bytes) -> int:
    """How often the network saw the photo."""
    path, sha256 = folder / "network", hashlib.sha256(photo).hexdigest()
    return path.read_text().count(sha256) if path.exists() else 0


def open_tiny(config: WorkerConfig) -> Tiny:
    install_breakpoint(config.jobs)
    seconds = 0.0 if config.aligner == "bundled" else float(config.aligner)
    return Tiny(Path(config.model) if config.model else None, seconds)


if __name__ == "__main__":
    sys.exit(run(replace(from_environment(WorkerConfig), reconstructor="tests.faults.tiny:open_tiny")))
