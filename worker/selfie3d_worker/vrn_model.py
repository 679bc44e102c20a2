"""vrn behind the worker's `Reconstruct`: the API's options in, the API's faces and the files out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selfie3d.types import Result
from selfie3d.types.frames import CROP_SIZE
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import face_messages, options_of, view_messages
from selfie3d_photo import MEBIBYTE, Limits
from selfie3d_worker.config import WorkerConfig
from selfie3d_worker.model import OnFiles, OnStage, Output
from selfie3d_worker.model_process import engine_of
from selfie3d_worker.threads import threads_of
from vrn import Reconstructor
from vrn.engine import Engine
from vrn.engine.remote_graph import BatchCounts, link_to
from vrn.errors import BackendMissingError
from vrn.finder import load_finder
from vrn.network.heads import load_face_network, load_heads
from vrn.network.load import LoadedNetwork, NetworkOnDemand

IMAGES = "the image selfie3d/worker-gpu for torch, selfie3d/worker for onnx"


def open_reconstructor(config: WorkerConfig) -> VrnModel:
    """Load the network and the finder of the configuration and run the network once.

    Raises vrn.VrnError, and ValueError for an unknown finder.
    """
    engine = _engine(config)
    heads = load_heads(config.model, engine)
    network = load_face_network(config.model, engine, heads)
    if heads:  # the first run is slow; no caller should wait for it
        heads.warm_up()
    else:
        network.field(np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8))
    options = config.face_alignment.options() if config.aligner == "face-alignment" else {}
    finder = load_finder(config.aligner, engine, **options)
    limits = Limits(max_decode_bytes=config.max_decode_mib * MEBIBYTE)
    reconstructor = Reconstructor(network, finder, limits, heads)
    return VrnModel(config.model, engine, network, reconstructor)


def _engine(config: WorkerConfig) -> Engine:
    if config.models:
        return link_to(config.models).engine()
    try:
        return engine_of(config, threads_of(config.threads, config.concurrency))
    except BackendMissingError as error:
        raise BackendMissingError(f"{error}, or take {IMAGES} where containers run") from None


class VrnModel:
    """A loaded model. The hash of its weights was checked when they were loaded."""

    def __init__(
        self, name: str, engine: Engine, network: LoadedNetwork | NetworkOnDemand, reconstructor: Reconstructor
    ) -> None:
        self.name = name
        self.device = engine.device
        self.engine = network.engine
        self.weights_sha256 = network.sha256
        self._reconstructor = reconstructor
        self._link = link_to(engine.address) if engine.address else None

    def __call__(self, photo: bytes, options: pb.Options, on_stage: OnStage, on_files: OnFiles) -> Output:
        """Reconstruct. Raises PhotoError, VrnError, and what `on_stage` and `on_files` raise."""
        return self._output(self._reconstructor.reconstruct(photo, options_of(options), on_stage), on_files)

    def together(self, photos: Sequence[bytes], options: pb.Options, on_stage: OnStage, on_files: OnFiles) -> Output:
        """One head of several photos. Raises PhotoError, VrnError, OptionError, and as for one photo."""
        result = self._reconstructor.reconstruct(list(photos), options_of(options), on_stage, one_person=True)
        return self._output(result, on_files)

    def _output(self, result: Result, on_files: OnFiles) -> Output:
        on_files(result.files)
        previews = [face.preview.data for face in result.faces]  # drawn here, in the time of the last stage
        counts = self._link.take_counts() if self._link else BatchCounts()
        views = view_messages(result.views)
        files = [file.data for file in result.files]
        return Output(face_messages(result.faces), files, previews, views, counts.runs, counts.waited)
