"""The finder's two networks as tasks of the training engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from selfie3d_training.config import RunConfig
from selfie3d_training.engine import Batch
from selfie3d_training.finder.aligner import AlignerSamples
from selfie3d_training.finder.detector import DetectorSamples
from selfie3d_training.finder.faces import FaceSource
from selfie3d_training.finder.mine import read_hard
from selfie3d_training.finder.nonfaces import NonFaces
from selfie3d_training.photos import Photos
from selfie3d_training.views import TurnedViews
from vrn.finder.config import AlignerConfig, DetectorConfig

ALIGNER_SIDE, DETECTOR_SIDE = 192, 160  # px of the pictures kept in memory
REFRESH_EVERY = 250  # batches between two looks for new turned views


@dataclass(frozen=True)
class FinderTrainConfig(RunConfig):
    """A run of one of the finder's networks: which one, `network` says."""

    network: AlignerConfig | DetectorConfig = field(default_factory=AlignerConfig)
    seed: int = 1
    samples: int = 576_000
    batch: int = 48
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warmup: int = 9_600
    clip: float = 5.0
    floor: float = 0.01
    ema: float = 0.998
    workers: int = 0
    log_every: int = 10


class Samples(Protocol):
    """What differs between the two networks."""

    def network(self) -> Any: ...
    def refresh(self) -> None: ...
    def batch(self, rng: np.random.Generator, count: int) -> Batch: ...
    def terms(self, network: Any, batch: Batch) -> dict[str, Tensor]: ...


class FinderTask:
    """See `selfie3d_training.engine.Task`. Nothing is held out: `finder-evaluate` measures what was exported."""

    def __init__(self, config: RunConfig, samples: Samples) -> None:
        self.config, self.samples = config, samples
        self.network, self.terms = samples.network, samples.terms

    def batches(self, rank: int, world: int) -> Dataset[Batch]:
        """See `Batches`."""
        return Batches(self.samples, self.config, rank, world)

    def validation(self) -> None:
        """None."""


class Batches(Dataset[Batch]):
    """Batches by step number."""

    def __init__(self, samples: Samples, config: RunConfig, rank: int, world: int) -> None:
        self._samples, self._config, self._rank, self._world = samples, config, rank, world
        self._age = 0

    def __getitem__(self, step: int) -> Batch:
        if self._age % REFRESH_EVERY == 0:
            self._samples.refresh()
        self._age += 1
        rng = np.random.default_rng([self._config.seed, step * self._world + self._rank])
        return self._samples.batch(rng, self._config.batch)


def finder_task(config: FinderTrainConfig, photos: Photos, views: TurnedViews, hard: Path | None = None) -> FinderTask:
    """The training split for the network that is configured; `hard` is a file of `finder-mine`, for the aligner."""
    if isinstance(config.network, DetectorConfig):
        faces = FaceSource(photos, photos.ids("train"), views, DETECTOR_SIDE, turned=0.3)
        return FinderTask(config, DetectorSamples(faces, NonFaces(faces, DETECTOR_SIDE), config.network))
    faces = FaceSource(photos, photos.ids("train"), views, ALIGNER_SIDE)
    known = read_hard(hard) if hard else None
    return FinderTask(config, AlignerSamples(faces, NonFaces(faces, ALIGNER_SIDE), config.network, known))
