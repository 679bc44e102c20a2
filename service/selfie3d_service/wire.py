"""Records and events as messages of the API."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import JobEvent, Record, Stage, State


def job(record: Record) -> pb.Job:
    """The record as its owner sees it."""
    message = pb.Job(
        id=record.id,
        state=_state(record.state),
        settings=record.settings,
        photo_sha256=record.photo_sha256,
        create_time=_time(record.create_time),
        start_time=_time(record.start_time),
        end_time=_time(record.end_time),
        deadline=_time(record.deadline),
        expire_time=_time(record.expire_time),
        attempt=record.attempt,
        stage=_stage(record.stage),
        last_event=record.last_event,
        error=pb.JobError(**vars(record.error)) if record.error else None,
    )
    message.MergeFrom(record.outcome)
    return message


def event(step: JobEvent) -> pb.JobEvent:
    """The event."""
    return pb.JobEvent(
        number=step.number,
        time=_time(step.time),
        state=_state(step.state),
        stage=_stage(step.stage if step.state is State.RUNNING else None),
        attempt=step.attempt,
        progress=step.progress,
    )


def _state(state: State) -> str:
    return f"JOB_STATE_{state}"


def _stage(stage: Stage | None) -> str:
    return f"STAGE_{stage.name}" if stage else "STAGE_UNSPECIFIED"


def _time(seconds: float) -> Timestamp | None:
    if not seconds:
        return None
    stamp = Timestamp()
    stamp.FromMilliseconds(round(seconds * 1000))
    return stamp
