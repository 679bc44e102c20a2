"""vrn behind the worker's `Reconstruct`: the API's options in, the API's faces and the files out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from selfie3d.types import Result
from selfie3d.types.frames import CROP_SIZE
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import face_messages, options_of, view_messages
from selfie3d_photo import MEBIBYTE, Limits
from selfie3d_worker.config import WorkerConfig
from selfie3d_worker.model import Output
from vrn import Reconstructor
from vrn.engine import choose
from vrn.errors import BackendMissingError
from vrn.finder import load_finder
from vrn.network import LoadedNetwork, load_network
from vrn.network.heads import load_heads

IMAGES = "the image selfie3d/worker-gpu for torch, selfie3d/worker for onnx"


def open_reconstructor(config: WorkerConfig) -> VrnModel:
    """Load the network and the finder of the configuration and run the network once.

    Raises vrn.VrnError, and ValueError for an unknown finder.
    """
    threads = config.threads or max(1, len(os.sched_getaffinity(0)) // config.concurrency)
    try:
        engine = choose(config.engine, config.device, threads)
    except BackendMissingError as error:
        raise BackendMissingError(f"{error}, or take {IMAGES} where containers run") from None
    network = load_network(config.model, engine)
    network.field(np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8))  # the first run is slow; no caller should wait for it
    options = config.face_alignment.options() if config.aligner == "face-alignment" else {}
    finder = load_finder(config.aligner, engine, **options)
    limits = Limits(max_decode_bytes=config.max_decode_mib * MEBIBYTE)
    reconstructor = Reconstructor(network, finder, limits, load_heads(config.model, engine))
    return VrnModel(config.model, engine.device, network, reconstructor)


class VrnModel:
    """A loaded model. The hash of its weights was checked when they were loaded."""

    def __init__(self, name: str, device: str, network: LoadedNetwork, reconstructor: Reconstructor) -> None:
        self.name = name
        self.device = device
        self.engine = network.engine
        self.weights_sha256 = network.sha256
        self._reconstructor = reconstructor

    def __call__(self, photo: bytes, options: pb.Options, on_stage: Callable[[str, float], None]) -> Output:
        """Reconstruct. Raises PhotoError, VrnError, and what `on_stage` raises."""
        return _output(self._reconstructor.reconstruct(photo, options_of(options), on_stage))

    def together(self, photos: Sequence[bytes], options: pb.Options, on_stage: Callable[[str, float], None]) -> Output:
        """One head of several photos. Raises PhotoError, VrnError, OptionError, and what `on_stage` raises."""
        return _output(self._reconstructor.reconstruct(list(photos), options_of(options), on_stage, one_person=True))


def _output(result: Result) -> Output:
    previews = [face.preview.data for face in result.faces]  # drawn here, in the time of the last stage
    files = [file.data for file in result.files]
    return Output(face_messages(result.faces), files, previews, view_messages(result.views))
