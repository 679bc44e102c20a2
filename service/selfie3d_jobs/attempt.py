"""What a worker does with a delivered job, fenced by the attempt number: a late worker changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import keys
from selfie3d_jobs.call import Call, command, script
from selfie3d_jobs.errors import JobLost
from selfie3d_jobs.reasons import Reason
from selfie3d_jobs.record import JobError, Record
from selfie3d_jobs.states import Stage, State


@dataclass(frozen=True)
class Result:
    """What an attempt hands in: faces with their file's metadata, the files in the same order, seconds by stage."""

    faces: Sequence[pb.Face]
    files: Sequence[bytes]
    seconds: Mapping[str, float]


def claim(job_id: str, worker: str, token: str, lease_seconds: float) -> Call[Record | None]:
    """Take the job; None when the delivery is a late or second one. `token` is unique to the delivery."""
    return script("claim", lambda r: Record.of(r) if r else None, job_id, worker, token, _ms(lease_seconds))


def photo(job_id: str) -> Call[bytes]:
    """The photo's bytes. Raises JobLost when they are gone: the job ended meanwhile."""

    def parse(reply: bytes | None) -> bytes:
        if reply is None:
            raise JobLost
        return reply

    return command("GET", parse, keys.photo(job_id))


def advance(job: Record, stage: Stage, progress: float, lease_seconds: float) -> Call[None]:
    """Begin a stage with so much done, 0 to 1. Raises JobLost when the job ended or went to another worker."""
    return script("advance", _owned, job.id, job.attempt, stage, progress, _ms(lease_seconds))


def renew(job: Record, lease_seconds: float) -> Call[bool]:
    """Keep the lease; False when the job is not this attempt's any more."""
    return script("renew", bool, job.id, job.attempt, _ms(lease_seconds))


def succeed(job: Record, result: Result) -> Call[None]:
    """Store the meshes and end the job, in one step. Raises JobLost."""
    outcome = pb.Job(faces=result.faces, stage_times=_stage_times(result.seconds))
    return _complete(job, State.SUCCEEDED, None, result.seconds, outcome, result.files)


def fail(job: Record, reason: Reason, message: str, seconds: Mapping[str, float]) -> Call[None]:
    """End the job without a mesh. Raises JobLost."""
    outcome = pb.Job(stage_times=_stage_times(seconds))
    return _complete(job, State.FAILED, JobError(reason.code, reason.name, message), seconds, outcome, ())


def release(job: Record) -> Call[None]:
    """Give the job back to the queue, unharmed. Raises JobLost."""
    return script("release", _owned, job.id, job.attempt)


def _complete(
    job: Record,
    state: State,
    error: JobError | None,
    seconds: Mapping[str, float],
    outcome: pb.Job,
    files: Sequence[bytes],
) -> Call[None]:
    why = error or JobError(0, "", "")
    times, faces = json.dumps(dict(seconds)), outcome.SerializeToString()
    head = (job.id, job.attempt, state, why.code, why.reason, why.message, times, faces)
    return script("complete", _owned, *head, *files, bulky=True)


def _stage_times(seconds: Mapping[str, float]) -> list[pb.StageTime]:
    return [pb.StageTime(stage=f"STAGE_{Stage(s).name}", seconds=t) for s, t in seconds.items()]


def _owned(reply: bytes) -> None:
    if reply != b"OK":
        raise JobLost(f"The job is not this attempt's any more: {reply.decode()}.")


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
