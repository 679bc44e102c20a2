"""Records and events as messages of the API."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from selfie3d.types import JobState
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import stage_name, state_name
from selfie3d_jobs import JobEvent, Record


def job(record: Record) -> pb.Job:
    """The record as its owner sees it."""
    message = pb.Job(
        id=record.id,
        state=state_name(record.state),
        settings=record.settings,
        photo_sha256=record.photo_sha256,
        create_time=_time(record.create_time),
        start_time=_time(record.start_time),
        end_time=_time(record.end_time),
        deadline=_time(record.deadline),
        expire_time=_time(record.expire_time),
        attempt=record.attempt,
        stage=stage_name(record.stage),
        last_event=record.last_event,
        queue_position=record.queue_position,
        error=pb.JobError(**vars(record.error)) if record.error else None,
    )
    message.MergeFrom(record.outcome)
    return message


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
