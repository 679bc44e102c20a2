"""Trains the finder's two networks: ``python -m selfie3d_training.finder.train aligner --data DATA --out RUN``.

A run can be stopped and started again at any time and goes on from its last checkpoint; the samples of a step depend on
the seed and the step alone. The averaged weights are written as a weights file beside every checkpoint.
"""

from __future__ import annotations

import argparse
import copy
import csv
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from selfie3d_training.errors import CheckpointError
from selfie3d_training.finder.aligner import AlignerTask
from selfie3d_training.finder.detector import DetectorTask
from selfie3d_training.finder.faces import FaceSource
from selfie3d_training.finder.mine import read_hard
from selfie3d_training.finder.nonfaces import NonFaces
from selfie3d_training.photos import Photos
from selfie3d_training.views import TurnedViews
from vrn.finder.networks import AlignerConfig, DetectorConfig
from vrn.weights import file as weights

CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
ALIGNER_SIDE, DETECTOR_SIDE = 192, 160  # px of the pictures kept in memory


class Task(Protocol):
    """What differs between the two networks."""

    def network(self) -> Any: ...
    def refresh(self) -> None: ...
    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, ...]: ...
    def loss(self, network: Any, batch: tuple[Tensor, ...]) -> tuple[Tensor, dict[str, float]]: ...


@dataclass(frozen=True)
class TrainConfig:
    """How a run goes.

    Attributes
    ----------
    steps : of the optimiser; may be changed when a run is continued, the learning rate follows
    batch : samples per step
    rate : the largest learning rate, reached after `warmup` steps and left along a cosine
    decay : of AdamW
    average : share of the old weights in the moving average, per step
    checkpoint_seconds : between two checkpoints
    refresh_steps : between two looks for new turned views
    bfloat16 : compute in bf16 where torch thinks it safe
    """

    steps: int = 12_000
    batch: int = 48
    rate: float = 1.5e-3
    warmup: int = 200
    decay: float = 0.02
    average: float = 0.998
    seed: int = 1
    checkpoint_seconds: float = 240.0
    refresh_steps: int = 250
    bfloat16: bool = True


class Run:
    """One training run and the folder it lives in. A new one starts from random weights, or from a file of weights."""

    def __init__(self, task: Task, config: TrainConfig, folder: Path, initial: Path | None = None) -> None:
        self.task, self.config, self.folder = task, config, folder
        torch.manual_seed(config.seed)
        self.network = task.network().to(memory_format=torch.channels_last)
        if initial is not None:
            weights.fill(self.network, weights.load(initial).tensors)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), config.rate, weight_decay=config.decay)
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).is_file():
            self._resume()

    def train(self, until: int | None = None) -> None:
        """Go on to the last step, or to step `until`."""
        saved = time.monotonic()
        last = self.config.steps if until is None else until
        for _ in tqdm(range(self.step, last), initial=self.step, total=last, mininterval=10):
            parts = self._advance()
            self._log(parts)
            if time.monotonic() - saved > self.config.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        self.save()

    def save(self) -> None:
        """Write the checkpoint, and the averaged weights as a weights file."""
        state = {
            "config": self.network.config.as_dict(),
            "train": asdict(self.config),
            "step": self.step,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = self.folder / (CHECKPOINT + ".partial")
        torch.save(state, partial)
        partial.replace(self.folder / CHECKPOINT)
        config = self.network.config.as_dict()
        path = self.folder / f"{config['family']}{weights.SUFFIX}"
        weights.write(path, config, self.averaged.state_dict(), {"steps": self.step})

    def _advance(self) -> dict[str, float]:
        config = self.config
        if self.step % config.refresh_steps == 0:
            self.task.refresh()
        batch = self.task.batch(np.random.default_rng([config.seed, self.step]), config.batch)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(config, self.step)
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
            loss, parts = self.task.loss(self.network, batch)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._average()
        return {"loss": float(loss.detach())} | parts

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential moving average; young averages forget faster."""
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))
        for old, new in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)

    def _log(self, parts: dict[str, float]) -> None:
        path = self.folder / LOG
        new = not path.is_file()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "seconds", *parts])
            writer.writerow([self.step, f"{time.time():.0f}", *(f"{value:.5g}" for value in parts.values())])

    def _resume(self) -> None:
        state = torch.load(self.folder / CHECKPOINT, weights_only=True)
        found, wanted = state["config"], self.network.config.as_dict()
        if found != wanted:
            raise CheckpointError(f"{self.folder / CHECKPOINT} is of {found}, expected {wanted}")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then half a cosine down to 1 % of the rate."""
    if step < config.warmup:
        return config.rate * (step + 1) / config.warmup
    done = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.rate * (0.01 + 0.99 * (1 + float(np.cos(np.pi * done))) / 2)


def aligner_task(photos: Photos, views: TurnedViews, hard: Path | None = None) -> AlignerTask:
    """The aligner on the training split; `hard` is a file of `finder_mine`."""
    faces = FaceSource(photos, photos.ids("train"), views, ALIGNER_SIDE)
    return AlignerTask(faces, NonFaces(faces, ALIGNER_SIDE), AlignerConfig(), read_hard(hard) if hard else None)


def detector_task(photos: Photos, views: TurnedViews) -> DetectorTask:
    """The detector on the training split."""
    faces = FaceSource(photos, photos.ids("train"), views, DETECTOR_SIDE, turned=0.3)
    return DetectorTask(faces, NonFaces(faces, DETECTOR_SIDE), DetectorConfig())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("aligner", "detector"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--views", type=Path, default=Path("runs/views"), help="cache of turned views, may be growing")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; an existing run is continued")
    parser.add_argument("--hard", type=Path, help="what a detector took for faces, from finder_mine; for the aligner")
    parser.add_argument("--initial", help="a new run starts from these weights: bundled name or file (default: random)")
    parser.add_argument("--steps", type=int, default=TrainConfig.steps)
    parser.add_argument("--batch", type=int, default=TrainConfig.batch)
    parser.add_argument("--rate", type=float, default=TrainConfig.rate, help="the largest learning rate")
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    photos, views = Photos(arguments.data), TurnedViews(arguments.views)
    task = aligner_task(photos, views, arguments.hard) if arguments.task == "aligner" else detector_task(photos, views)
    config = TrainConfig(steps=arguments.steps, batch=arguments.batch, rate=arguments.rate, seed=arguments.seed)
    initial = weights.resolve(arguments.initial) if arguments.initial else None
    Run(task, config, arguments.out, initial).train()


if __name__ == "__main__":
    main()
