"""What a child computes with: photo bytes and options in, faces and mesh files out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol

from selfie3d.types import MeshFile
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_worker.config import WorkerConfig

OnStage = Callable[[str, float], None]
OnFiles = Callable[[Sequence[MeshFile]], None]


@dataclass(frozen=True)
class Output:
    """Faces by descending size, their mesh files and pictures in the same order; fewer files than faces for a scene.

    views : what each of several photos of one person gave
    batches : runs in the model process, by how many runs there were in their batch; batch_wait : seconds they waited
    """

    faces: list[pb.Face]
    files: list[bytes]
    previews: list[bytes] = field(default_factory=list)
    views: list[pb.PhotoView] = field(default_factory=list)
    batches: Mapping[int, int] = field(default_factory=dict)
    batch_wait: float = 0.0


class Reconstruct(Protocol):
    """A loaded model."""

    name: str
    weights_sha256: str  # verified
    device: str
    engine: str  # what runs the network: onnx or torch

    def __call__(self, photo: bytes, options: pb.Options, on_stage: OnStage, on_files: OnFiles) -> Output:
        """Reconstruct a photo.

        on_stage : called before each stage with the progress, 0 to 1; may raise
        on_files : called with the output's files once they are made, before the pictures are drawn; may raise
        """
        ...

    def together(self, photos: Sequence[bytes], options: pb.Options, on_stage: OnStage, on_files: OnFiles) -> Output:
        """Reconstruct one head of several photos of one person; as for one photo."""
        ...


def load(config: WorkerConfig) -> Reconstruct:
    """The model that the configuration names."""
    module, _, function = config.reconstructor.partition(":")
    opened: Reconstruct = getattr(import_module(module), function)(config)
    return opened
