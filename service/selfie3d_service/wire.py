"""Records and events as messages of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from selfie3d.types import JobState
from selfie3d.v1 import admin_pb2
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import stage_name, state_name
from selfie3d_jobs import JobEvent, Record
from selfie3d_jobs.administration import LiveWorker, QueueStatus

MAX_PAGE_BYTES = 3 * 1024 * 1024  # of a list, below the 4 MiB that clients receive by default


def job(record: Record) -> pb.Job:
    """The record as its owner sees it."""
    message = pb.Job(
        id=record.id,
        state=state_name(record.state),
        settings=record.settings,
        photo_sha256=record.photo_sha256,
        photo_sha256s=record.photo_sha256s,
        create_time=_time(record.create_time),
        start_time=_time(record.start_time),
        end_time=_time(record.end_time),
        deadline=_time(record.deadline),
        expire_time=_time(record.expire_time),
        attempt=record.attempt,
        stage=stage_name(record.stage),
        last_event=record.last_event,
        queue_position=record.queue_position,
        queue_paused=record.queue_paused,
        error=pb.JobError(**vars(record.error)) if record.error else None,
    )
    message.MergeFrom(record.outcome)
    return message


def job_with_caller(record: Record) -> pb.Job:
    """The record as operators see it."""
    message = job(record)
    message.caller = record.owner
    return message


def page_of_jobs(
    records: Iterable[Record], following: int | None, write: Callable[[Record], pb.Job] = job
) -> tuple[list[pb.Job], int | None]:
    """As many of the records as an answer has room for, at least one, and the serial number to go on below.

    following : where to go on when all have room; None: at the end
    """
    jobs: list[pb.Job] = []
    room, below = MAX_PAGE_BYTES, following
    for record in records:
        message = write(record)
        room -= message.ByteSize()
        if room < 0 and jobs:
            return jobs, below
        jobs.append(message)
        below = record.serial
    return jobs, following


def queue(status: QueueStatus) -> admin_pb2.Queue:
    """How the queue stands."""
    return admin_pb2.Queue(
        priority=f"PRIORITY_{status.priority.name}",
        waiting=status.waiting,
        running=status.running,
        pause_time=_time(status.pause_time),
        paused_by=status.paused_by,
    )


def worker(live: LiveWorker) -> admin_pb2.Worker:
    """What the worker reported, and its job."""
    report = live.report
    return admin_pb2.Worker(
        name=report.name,
        host=report.host,
        version=report.version,
        device=report.device,
        engine=report.engine,
        model=report.model,
        verified=report.verified,
        error=report.error,
        start_time=_time(report.start_time),
        job=job_with_caller(live.job) if live.job else None,
    )


def event(step: JobEvent) -> pb.JobEvent:
    """The event."""
    return pb.JobEvent(
        number=step.number,
        time=_time(step.time),
        state=state_name(step.state),
        stage=stage_name(step.stage if step.state is JobState.RUNNING else None),
        attempt=step.attempt,
        progress=step.progress,
    )


def _time(seconds: float) -> Timestamp | None:
    if not seconds:
        return None
    stamp = Timestamp()
    stamp.FromMilliseconds(round(seconds * 1000))
    return stamp
