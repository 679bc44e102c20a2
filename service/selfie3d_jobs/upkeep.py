"""What keeps the promises: the reaper's pass, workers' reports, and the numbers that metrics show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from selfie3d_jobs.call import Call, script
from selfie3d_jobs.config import JobsConfig
from selfie3d_jobs.reasons import Reason
from selfie3d_jobs.record import pairs

ALIVE_SECONDS = 10.0  # a worker not heard of for longer counts as gone


@dataclass(frozen=True)
class Message:
    """What is published: nothing but the job's id and trace, and when (s since the epoch, Redis's clock)."""

    job_id: str
    queue: str
    traceparent: str
    time: float


@dataclass(frozen=True)
class Reaped:
    """What a pass of the reaper did, and the jobs whose message is to be published again."""

    publish: list[Message]
    ended: int
    requeued: int
    purged: int


@dataclass(frozen=True)
class WorkerReport:
    """What a worker child says of itself. `verified`: its weights match their SHA-256 and are loaded."""

    name: str
    verified: bool
    model: str = ""
    weights_sha256: str = ""
    device: str = ""
    error: str = ""


@dataclass(frozen=True)
class Pulse:
    """How the deployment stands: live workers, counters (see counters.py), and sizes."""

    workers: list[WorkerReport]
    counters: Mapping[str, float]
    sizes: Mapping[str, int]

    @property
    def ready(self) -> bool:
        """Whether a live worker has verified weights."""
        return any(worker.verified for worker in self.workers)


def reap(config: JobsConfig) -> Call[Reaped]:
    """One pass: end what is late, requeue what lost its worker, purge what is over, find lost messages."""
    poison = Reason.POISON_INPUT
    lease, grace = int(config.lease_seconds * 1000), int(config.lease_seconds * 500)
    return script(
        "reap", _parse_reaped, lease, grace, config.max_deliveries, poison.code, poison.name, poison.text, bulky=True
    )


def report(worker: WorkerReport) -> Call[None]:
    """Say that a worker child lives."""
    return script("report", _ignore, worker.name, json.dumps(asdict(worker)))


def leave(name: str) -> Call[None]:
    """Say that a worker child ends."""
    return script("leave", _ignore, name)


def pulse() -> Call[Pulse]:
    """How it stands. Fails when Redis does not answer."""
    return script("pulse", _parse_pulse, int(ALIVE_SECONDS * 1000))


def _parse_reaped(reply: list[Any]) -> Reaped:
    words = [word.decode() for word in reply[0]]
    groups = zip(*[iter(words)] * 4, strict=True)
    messages = [Message(job_id, queue, trace, int(time) / 1000) for job_id, queue, trace, time in groups]
    return Reaped(messages, *reply[1])


def _parse_pulse(reply: list[Any]) -> Pulse:
    workers = [WorkerReport(**json.loads(text)) for text in reply[0]]
    counters = {name: float(value) for name, value in pairs(reply[1]).items()}
    sizes = {name.decode(): int(value) for name, value in zip(reply[2][::2], reply[2][1::2], strict=True)}
    return Pulse(workers, counters, sizes)


def _ignore(reply: object) -> None:
    del reply
