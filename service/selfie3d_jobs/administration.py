"""What operators do: cancel a caller's jobs, pause and resume queues, look at workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from selfie3d.types import Priority
from selfie3d_jobs.command import Command, milliseconds, script
from selfie3d_jobs.config import JobsConfig
from selfie3d_jobs.maintenance import Message, WorkerReport, messages
from selfie3d_jobs.queries import serial_of
from selfie3d_jobs.record import Record

CANCELLED_AT_ONCE = 200  # jobs ended by one command, so that a caller with many cannot hold Redis up


@dataclass(frozen=True)
class QueueStatus:
    """How a queue stands. Times are seconds since the epoch by Redis's clock.

    Attributes
    ----------
    pause_time : since when no job is taken from it; 0: jobs are taken
    paused_by : the caller who paused it
    """

    priority: Priority
    waiting: int
    running: int
    pause_time: float
    paused_by: str

    @classmethod
    def of(cls, reply: Sequence[Any]) -> QueueStatus:
        """Read the reply of a script."""
        queue, waiting, running, since, by = reply
        return cls(Priority(queue.decode()), waiting, running, int(since) / 1000, by.decode())


@dataclass(frozen=True)
class LiveWorker:
    """A worker child that was heard of within a lease, and the job that it runs, if any."""

    report: WorkerReport
    job: Record | None


@dataclass(frozen=True)
class Cancelled:
    """What `cancel_jobs` did.

    Attributes
    ----------
    below : serial number to go on below; None: that was all
    count : jobs that were ended
    remaining : the owner's jobs that have not ended
    """

    below: int | None
    count: int
    remaining: int


def cancel_jobs(owner: str, below: int | None, most: int) -> Command[Cancelled]:
    """End up to `most` jobs of an owner that have not ended, numbered below `below`; None: from the newest."""

    def parse(reply: list[Any]) -> Cancelled:
        return Cancelled(int(reply[0]) if reply[0] else None, *reply[1:])

    most = min(most, CANCELLED_AT_ONCE)
    return script("cancel_all", parse, lasting=True, owner=owner, below=serial_of(below), most=most)


def pause(queue: Priority, by: str) -> Command[QueueStatus]:
    """Let no worker take a job of the queue until it is resumed, also after restarts; running jobs go on."""
    return script("pause", QueueStatus.of, lasting=True, queue=queue, by=by)


def resume(queue: Priority) -> Command[tuple[QueueStatus, list[Message]]]:
    """Let workers take the queue's jobs again; what is to be published for that."""

    def parse(reply: list[Any]) -> tuple[QueueStatus, list[Message]]:
        return QueueStatus.of(reply[0]), messages(reply[1])

    return script("resume", parse, lasting=True, queue=queue)


def queues() -> Command[list[QueueStatus]]:
    """How the queues stand, interactive first."""
    return script("queues", lambda reply: [QueueStatus.of(queue) for queue in reply])


def workers(config: JobsConfig) -> Command[list[LiveWorker]]:
    """The worker children that were heard of within a lease, by name."""

    def pairs(reply: list[Any]) -> Iterator[LiveWorker]:
        for report, job in zip(reply[::2], reply[1::2], strict=True):
            yield LiveWorker(WorkerReport.of(report), Record.of(job) if job else None)

    def parse(reply: list[Any]) -> list[LiveWorker]:
        return sorted(pairs(reply), key=lambda worker: worker.report.name)

    return script("workers", parse, alive=milliseconds(config.lease_seconds))
