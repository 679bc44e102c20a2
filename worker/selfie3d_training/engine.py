"""The training loop: seeded, resumable, on a CPU, one GPU or several processes under torchrun.

FOLDER/checkpoint.pt  everything a run needs to go on, with its configuration; replaced in one step
FOLDER/log.csv        one line per `log_every` steps: what the loss and its terms were
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import cv2
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from selfie3d.types.atomic_file import replacing, write_atomically
from selfie3d_training.config import RunConfig
from selfie3d_training.errors import CheckpointError
from vrn.weights import file as weights

CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
COLUMNS = ("kind", "step", "samples", "seconds", "rate", "gradient")  # of the log, before the terms of the loss

Batch = dict[str, Tensor]


class Task(Protocol):
    """What is trained: a network, its samples and its loss."""

    @property
    def config(self) -> RunConfig:
        """How long and how fast."""
        ...

    def network(self) -> nn.Module:
        """A network with random weights, on the CPU."""
        ...

    def batches(self, rank: int, world: int) -> Dataset[Batch]:
        """The batches of one of `world` processes by step number; a batch depends on the seed and the step alone."""
        ...

    def validation(self) -> Batch | None:
        """What the running mean of the weights is measured on with every checkpoint."""
        ...

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """`loss`, which is made smaller, and whatever else the log shall hold."""
        ...


class Trainer:
    """One run in one folder. Continues from the folder's checkpoint when there is one.

    A new run starts from random weights, or from `initial`, a file of weights of the same network.
    """

    def __init__(self, task: Task, folder: Path, initial: Path | None = None) -> None:
        self.config, self.folder, self._task = task.config, folder, task
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self._device = device()
        torch.manual_seed(self.config.seed)
        self.model = self._empty()
        if initial is not None:
            weights.fill(self.model, weights.load(initial).tensors)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), self.config.learning_rate, weight_decay=self.config.weight_decay
        )
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
        whole = math.ceil(self.config.samples / self.config.batch / self.world)
        with _processes(self.world, self._device):
            # No name for it here: outliving the process group it would take the group's threads down with the GIL held
            self._loop(
                DistributedDataParallel(self.model) if self.world > 1 else self.model,
                whole if steps is None else self.step + steps,
            )
            self._save()

    def _loop(self, model: nn.Module, last: int) -> None:
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        recent: list[dict[str, Tensor]] = []
        held_out = self._task.validation() if self.rank == 0 else None
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
                    if held_out is not None:
                        self._log("val", [self._validate(held_out)])

    def _progress(self) -> float:
        """0 at the start, 1 when the samples or the minutes are used up."""
        by_time = self.seconds / (self.config.minutes * 60) if self.config.minutes else 0.0
        return max(self.samples / self.config.samples, by_time)

    def _update(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """One step; returns the terms of the loss, the norm of the gradient and the learning rate."""
        rate = learning_rate(self.config, self.samples, self._progress())
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        terms = self._terms(model.train(), batch)
        self._optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self._optimizer.step()
        self._follow()
        measured = {**terms, "gradient": norm, "rate": torch.tensor(rate)}
        return {name: value.detach() for name, value in measured.items()}

    def _terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        there = {name: value.to(self._device, non_blocking=True) for name, value in batch.items()}
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.config.bf16):
            return self._task.terms(model, there)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the running mean of the weights; it follows faster at the beginning."""
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)

    @torch.no_grad()
    def _validate(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the loss for the running mean of the weights."""
        model = self._empty()
        model.load_state_dict(self.average)
        return self._terms(model.eval(), batch)

    def _empty(self) -> nn.Module:
        model: nn.Module = self._task.network().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model

    def _loader(self, first: int, last: int) -> Iterator[Batch]:
        workers = self.config.workers
        return iter(
            DataLoader(
                self._task.batches(self.rank, self.world),
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
        state = {
            "config": self.config.to_json(),
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "samples": self.samples,
            "seconds": self.seconds,
        }
        with replacing(self.folder / CHECKPOINT) as part, part.open("wb") as file:
            torch.save(state, file)

    def _restore(self, state: dict[str, Any]) -> None:
        if different := self.config.differences(self.config.override(json.loads(state["config"]))):
            names = ", ".join(different)
            raise CheckpointError(f"the checkpoint was written with another {names}: start in a new folder")
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
        means = {name: float(torch.stack([m[name] for m in measured]).mean()) for name in measured[0]}
        run = {"kind": kind, "step": self.step, "samples": self.samples, "seconds": round(self.seconds)}
        append_line(self.folder / LOG, run | {name: f"{mean:.6g}" for name, mean in means.items()})


def append_line(log: Path, line: Mapping[str, Any]) -> None:
    """Add a line to a CSV file, with a head when it is new; whole, or the file stays as it was. Raises OSError."""
    before = log.read_bytes().decode() if log.exists() else ""  # with the line ends that csv wrote
    columns = next(csv.reader([before.partition("\n")[0]]), None)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns or [*COLUMNS, *(name for name in line if name not in COLUMNS)])
    if not columns:
        writer.writeheader()
    writer.writerow(line)
    write_atomically(log, (before + text.getvalue()).encode())


def learning_rate(config: RunConfig, samples: int, progress: float) -> float:
    """Linear warm-up to the peak, then half a cosine down to the floor.

    samples : seen so far
    progress : share of the run that is over, 0..1
    """
    if samples + config.batch < config.warmup:
        return config.learning_rate * (samples + config.batch) / config.warmup
    warm = min(config.warmup / config.samples, 0.5)
    done = min(max((progress - warm) / (1 - warm), 0.0), 1.0)
    return config.learning_rate * (config.floor + (1 - config.floor) * (1 + math.cos(math.pi * done)) / 2)


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """A run's checkpoint; never unpickles anything but tensors and numbers. Raises CheckpointError."""
    path = folder / CHECKPOINT
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no {CHECKPOINT}")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state.get("config"), str):
        raise CheckpointError(f"{path} was written by another version: start in a new folder")
    return state


def device() -> torch.device:
    """The GPU of this process, or the CPU where there is none."""
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
