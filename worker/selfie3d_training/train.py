"""The training loop: seeded, resumable, on a CPU, one GPU or several processes under torchrun.

FOLDER/checkpoint.pt  everything a run needs to go on, with its configuration; replaced in one step
FOLDER/log.csv        one line per `log_every` steps: what the loss and its terms were
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from selfie3d_training.config import TrainConfig
from selfie3d_training.dataset import Material, Pairs, plain_batch
from selfie3d_training.errors import CheckpointError
from selfie3d_training.loss import DEPTH_STRIDE, VolumeLoss
from vrn.network import Hourglass
from vrn.weights import file as weights

CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
TERMS = ("loss", "entropy", "thickness", "front", "slope")
COLUMNS = ("kind", "step", "samples", "seconds", "rate", "gradient", *TERMS)
VALIDATION_PHOTOS = 64
BUDGET = ("minutes", "workers", "log_every", "checkpoint_minutes")  # settings that a resumed run may change


class Trainer:
    """One run in one folder. Continues from the folder's checkpoint when there is one.

    A new run starts from random weights, or from `initial`, a file of weights of the same network.
    """

    def __init__(self, config: TrainConfig, material: Material, folder: Path, initial: Path | None = None) -> None:
        self.config, self.folder = config, folder
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self._device = _device()
        torch.manual_seed(config.seed)
        self.model = Hourglass(config.network).to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if initial is not None:
            weights.fill(self.model, weights.load(initial).tensors)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        self._criterion = VolumeLoss(config).to(self._device)
        self._material = material
        self.step, self.seconds = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).is_file():
            self._restore(read_checkpoint(folder))

    @property
    def samples(self) -> int:
        """Samples seen so far, by all processes."""
        return self.step * self.config.batch * self.world

    def run(self, steps: int | None = None) -> None:
        """Train to the end of the schedule, or `steps` more steps, and leave a checkpoint."""
        last = (
            self.step + steps if steps is not None else math.ceil(self.config.samples / self.config.batch / self.world)
        )
        with _processes(self.world, self._device):
            # No name for it here: outliving the process group it would take the group's threads down with the GIL held
            self._loop(DistributedDataParallel(self.model) if self.world > 1 else self.model, last)
            self._save()

    def _loop(self, model: nn.Module, last: int) -> None:
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        recent: list[dict[str, Tensor]] = []
        validation = self._validation()
        with tqdm(total=self.config.samples, initial=self.samples, disable=self.rank > 0, unit="sample") as bar:
            for batch in self._loader(self.step, last):
                if self._progress() >= 1:
                    break
                recent.append(self._update(model, batch))
                self.step += 1
                self.seconds = self._shared(time.monotonic() - started)
                bar.update(self.config.batch * self.world)
                if self.step % self.config.log_every == 0:
                    self._log("train", recent)
                    bar.set_postfix(loss=f"{float(recent[-1]['loss']):.4f}")
                    recent = []
                if time.monotonic() - saved > self.config.checkpoint_minutes * 60:
                    saved = time.monotonic()
                    self._save()
                    self._log("val", self._validate(validation))

    def _progress(self) -> float:
        """0 at the start, 1 when the samples or the minutes are used up."""
        by_time = self.seconds / (self.config.minutes * 60) if self.config.minutes else 0.0
        return max(self.samples / self.config.samples, by_time)

    def _rate(self) -> float:
        warm = min(1.0, (self.samples + self.config.batch) / max(self.config.warmup, 1))
        return self.config.learning_rate * warm * (1 + math.cos(math.pi * self._progress())) / 2

    def _update(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step; returns the terms of the loss, the norm of the gradient and the learning rate."""
        rate = self._rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        model.train()
        terms = self._terms(model, batch)
        self._optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self._optimizer.step()
        self._follow()
        measured = {**terms, "gradient": norm, "rate": torch.tensor(rate)}
        return {name: value.detach() for name, value in measured.items()}

    def _terms(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        batch = {name: value.to(self._device, non_blocking=True) for name, value in batch.items()}
        picture = batch["picture"].permute(0, 3, 1, 2).float() / 255
        row, column = batch["phase"].tolist()
        phase = (row, column) if self.config.network.columns == 96 else None
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.config.bf16):
            logits = model(picture.contiguous(memory_format=torch.channels_last), phase, DEPTH_STRIDE)
        terms: dict[str, Tensor] = self._criterion(logits.float(), batch["occupancy"], batch["front"], batch["hull"])
        return terms

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the running mean of the weights; it follows faster at the beginning."""
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)

    def _validation(self) -> dict[str, Tensor] | None:
        if self.rank > 0:
            return None
        ids = self._material.photos.ids("val")[:: max(len(self._material.photos.ids("val")) // VALIDATION_PHOTOS, 1)]
        return plain_batch(self._material, ids[:VALIDATION_PHOTOS], self.config)

    @torch.no_grad()
    def _validate(self, batch: dict[str, Tensor] | None) -> list[dict[str, Tensor]]:
        """The terms of the loss for the running mean of the weights."""
        if batch is None:
            return []
        model = Hourglass(self.config.network).to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        model.load_state_dict(self.average)
        return [self._terms(model.eval(), batch)]

    def _loader(self, first: int, last: int) -> Iterator[dict[str, Tensor]]:
        pairs = Pairs(self._material, self.config, self.rank, self.world)
        workers = self.config.workers
        return iter(
            DataLoader(
                pairs,
                batch_size=None,
                sampler=range(first, last),
                num_workers=workers,
                prefetch_factor=4 if workers else None,
                worker_init_fn=_one_thread if workers else None,
                pin_memory=self._device.type == "cuda",
            )
        )

    def _shared(self, seconds: float) -> float:
        """The first process's clock, so that all processes end at the same step."""
        if self.world == 1:
            return seconds
        clock = torch.tensor(seconds, device=self._device)
        dist.broadcast(clock, 0)
        return float(clock)

    def _save(self) -> None:
        if self.rank > 0:
            return
        partial = self.folder / (CHECKPOINT + ".partial")
        torch.save(
            {
                "config": self.config.to_json(),
                "model": self.model.state_dict(),
                "average": self.average,
                "optimizer": self._optimizer.state_dict(),
                "step": self.step,
                "samples": self.samples,
                "seconds": self.seconds,
            },
            partial,
        )
        partial.replace(self.folder / CHECKPOINT)

    def _restore(self, state: dict[str, Any]) -> None:
        if comparable(config_of(state)) != comparable(self.config):
            raise CheckpointError()
        if state["samples"] != state["step"] * self.config.batch * self.world:
            raise CheckpointError("the checkpoint was written by another number of processes: start as many again")
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.average = {name: value.to(self._device) for name, value in state["average"].items()}
        self.step, self.seconds = state["step"], state["seconds"]

    def _log(self, kind: str, measured: list[dict[str, Tensor]]) -> None:
        """Write one line: the means of what was measured since the last one."""
        if self.rank > 0:
            return
        path = self.folder / LOG
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            means = {name: float(torch.stack([m[name] for m in measured]).mean()) for name in measured[0]}
            run = {"kind": kind, "step": self.step, "samples": self.samples, "seconds": round(self.seconds)}
            writer.writerow(run | {name: f"{mean:.6g}" for name, mean in means.items()})


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """A run's checkpoint; never unpickles anything but tensors and numbers."""
    path = folder / CHECKPOINT
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no {CHECKPOINT}")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def config_of(state: dict[str, Any]) -> TrainConfig:
    """The configuration that a checkpoint was written with."""

    return TrainConfig.of(json.loads(state["config"]))


def comparable(config: TrainConfig) -> TrainConfig:
    """A configuration without the settings that a resumed run may change."""
    return config.override({name: getattr(TrainConfig(), name) for name in BUDGET})


def _device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


@contextmanager
def _processes(world: int, device: torch.device) -> Iterator[None]:
    """Join the other processes of a torchrun for as long as the block runs."""
    if world == 1:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
        dist.barrier()  # nobody leaves while another still listens to it
    finally:
        dist.destroy_process_group()


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
