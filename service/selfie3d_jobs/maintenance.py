"""What keeps the promises: the reaper's pass, workers' reports, and the numbers that metrics show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self

from selfie3d.types import Priority
from selfie3d_jobs.command import Command, ignore, milliseconds, script
from selfie3d_jobs.config import JobsConfig
from selfie3d_jobs.errors import ConfigError
from selfie3d_jobs.reasons import Reason
from selfie3d_jobs.record import pairs
from selfie3d_jobs.trouble import RedisTrouble

FULL = 0.95  # of maxmemory, as in common.lua
ALIVE_SECONDS = 10.0  # a worker not heard of for longer counts as gone


@dataclass(frozen=True)
class Message:
    """What is published: nothing but the job's id and trace, and when (s since the epoch, Redis's clock).

    front : whether it is the next to be taken, as its worker was lost
    """

    job_id: str
    queue: str
    traceparent: str
    time: float
    front: bool = False


@dataclass(frozen=True)
class Reaped:
    """What a pass of the reaper did, and the jobs whose message is to be published again."""

    publish: list[Message]
    ended: int
    requeued: int
    purged: int


class WorkerState(StrEnum):
    """What a worker child does. FAILED: its weights could not be loaded or are not the right ones."""

    IDLE = "idle"
    BUSY = "busy"
    FAILED = "failed"


@dataclass(frozen=True)
class WorkerReport:
    """What a worker child says of itself.

    Attributes
    ----------
    verified : its weights match their SHA-256 and are loaded
    engine : what runs its networks, onnx or torch
    start_time : when it was ready, seconds since the epoch by its own clock; 0: an older worker does not say
    model_process : whether a process of models runs its networks, in batches with those of others
    """

    name: str
    verified: bool
    model: str = ""
    weights_sha256: str = ""
    device: str = ""
    error: str = ""
    host: str = ""
    version: str = ""
    engine: str = ""
    start_time: float = 0.0
    model_process: bool = False

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Read a report, also one of a later version, which may say more than this one knows."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})


@dataclass(frozen=True)
class Snapshot:
    """How the deployment stands: live workers, counters (see counters.py), sizes, and the names of busy workers."""

    workers: list[WorkerReport]
    counters: Mapping[str, float]
    sizes: Mapping[str, int]
    busy: frozenset[str] = frozenset()

    @property
    def ready(self) -> bool:
        """Whether a live worker has verified weights."""
        return any(worker.verified for worker in self.workers)

    @property
    def demand(self) -> int:
        """Jobs that want a worker: those that run, and those that wait in a queue that is not paused."""
        open_queues = (queue for queue in Priority if not self.sizes[f"paused:{queue}"])
        return self.sizes["running"] + sum(self.sizes[f"queued:{queue}"] for queue in open_queues)

    def state_of(self, worker: WorkerReport) -> WorkerState:
        """What the worker does."""
        if not worker.verified:
            return WorkerState.FAILED
        return WorkerState.BUSY if worker.name in self.busy else WorkerState.IDLE

    @property
    def full(self) -> bool:
        """Whether Redis has so little memory left that no photo is accepted."""
        return 0 < self.sizes["limit"] * FULL < self.sizes["used"]


def reap(config: JobsConfig) -> Command[Reaped]:
    """One pass: end what is late, requeue what lost its worker, purge what is over, find lost messages."""
    poison = Reason.POISON_INPUT
    return script(
        "reap",
        _parse_reaped,
        bulky=True,
        lease=milliseconds(config.lease_seconds),
        grace=milliseconds(config.lease_seconds / 2),
        max_losses=config.max_deliveries,
        code=poison.code,
        reason=poison.name,
        message=poison.text,
    )


def report(worker: WorkerReport) -> Command[None]:
    """Say that a worker child lives."""
    return script("report", ignore, name=worker.name, report=json.dumps(asdict(worker)))


def leave(name: str) -> Command[None]:
    """Say that a worker child ends."""
    return script("leave", ignore, name=name)


def snapshot() -> Command[Snapshot]:
    """How it stands. Fails when Redis does not answer."""
    return script("snapshot", _parse_snapshot, alive=milliseconds(ALIVE_SECONDS))


def refuse_cluster() -> Command[None]:
    """Asked at the start. Raises ConfigError when Redis runs as a cluster."""

    def parse(reply: Mapping[str, Any]) -> None:
        if reply.get("cluster_enabled"):
            raise ConfigError(f"SELFIE3D_REDIS_URL: {RedisTrouble.CLUSTER}.")

    return Command("INFO", ("cluster",), parse, keyed=False)


def messages(reply: list[bytes]) -> list[Message]:
    """What a script wants published: id, queue, traceparent, time (ms), whether at the front, id ..."""
    fields = iter([field.decode() for field in reply])
    groups = zip(fields, fields, fields, fields, fields, strict=True)
    return [
        Message(job_id, queue, trace, int(time) / 1000, bool(front)) for job_id, queue, trace, time, front in groups
    ]


def bring_forward(message: Message) -> Command[bool]:
    """Let the job of a message that was just published be the next to be taken; False when it is taken already."""
    return script("bring_forward", bool, id=message.job_id, queue=message.queue)


def _parse_reaped(reply: list[Any]) -> Reaped:
    return Reaped(messages(reply[0]), *reply[1])


def _parse_snapshot(reply: list[Any]) -> Snapshot:
    workers = [WorkerReport.of(text) for text in reply[0]]
    counters = {name: float(value) for name, value in pairs(reply[1]).items()}
    sizes = {name.decode(): int(value) for name, value in zip(reply[2][::2], reply[2][1::2], strict=True)}
    return Snapshot(workers, counters, sizes, frozenset(name.decode() for name in reply[3]))
