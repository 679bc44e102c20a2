"""The job record and the job event: Redis fields to values. The only place that knows their encoding.

Settings, faces and stage times are kept as messages of the public API: one schema, which evolves compatibly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from selfie3d.types import JobState, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs.packing import unpack


@dataclass(frozen=True)
class JobError:
    """Why a job ended without a mesh. `code` is a google.rpc.Code, `reason` a name of `Reason`."""

    code: int
    reason: str
    message: str


@dataclass(frozen=True)
class Record:
    """A job as it stood in Redis. Times are seconds since the epoch by Redis's clock; 0: not yet."""

    id: str
    serial: int  # grows from job to job
    owner: str
    state: JobState
    settings: pb.JobSettings
    photo_sha256: str
    create_time: float
    start_time: float
    end_time: float
    deadline: float
    expire_time: float
    attempt: int
    worker: str
    stage: Stage | None
    last_event: int
    error: JobError | None
    outcome: pb.Job  # faces, stage_times and views only
    files: int  # mesh files stored
    traceparent: str
    queue_position: int = 0  # while QUEUED, from 1, an estimate
    queue_paused: bool = False  # while QUEUED
    photo_sha256s: tuple[str, ...] = ()  # of all photos of one person
    photo_sizes: tuple[int, ...] = ()  # bytes of each of them; they are stored one behind the other
    outside: bool = False  # its photo and meshes are objects in a bucket, not in Redis
    photo_bytes: int = 0  # of all photos, until the job ends
    photo: bytes = field(default=b"", repr=False)  # of a claim: the photo, or all of one person, where that is small

    @classmethod
    def of(cls, reply: Sequence[bytes]) -> Record:
        """Read the reply of a script: field, value, field, value ..."""
        fields = pairs(reply)
        return cls(
            id=fields["id"].decode(),
            serial=int(fields["serial"]),
            owner=fields["owner"].decode(),
            state=JobState[fields["state"].decode()],
            settings=pb.JobSettings.FromString(fields["settings"]),
            photo_sha256=fields["photo_sha256"].decode(),
            create_time=_seconds(fields, "create_time"),
            start_time=_seconds(fields, "start_time"),
            end_time=_seconds(fields, "end_time"),
            deadline=_seconds(fields, "deadline"),
            expire_time=_seconds(fields, "expire_time"),
            attempt=int(fields["attempt"]),
            worker=fields.get("worker", b"").decode(),
            stage=_stage(fields["stage"]),
            last_event=int(fields["last_event"]),
            error=_error(fields),
            outcome=unpack(fields.get("outcome", b"")),
            files=int(fields.get("files", b"0")),
            traceparent=fields.get("traceparent", b"").decode(),
            queue_position=int(fields.get("queue_position", b"0")),
            queue_paused=fields.get("queue_paused") == b"1",
            photo_sha256s=tuple(fields.get("photo_sha256s", b"").decode().split()),
            photo_sizes=tuple(map(int, fields.get("photo_sizes", b"").split())),
            outside=fields.get("outside") == b"1",
            photo_bytes=int(fields.get("photo_bytes", b"0")),
            photo=fields.get("photo", b""),
        )


@dataclass(frozen=True)
class JobEvent:
    """A step of a job. `time` as in Record; `progress` is 0 to 1."""

    number: int
    time: float
    state: JobState
    stage: Stage | None
    attempt: int
    progress: float

    @classmethod
    def of(cls, entry: tuple[bytes, Sequence[bytes]]) -> JobEvent:
        """Read an entry of XRANGE."""
        return cls._of(int(entry[0].partition(b"-")[0]), pairs(entry[1]))

    @classmethod
    def _of(cls, number: int, fields: Mapping[str, bytes]) -> JobEvent:
        return cls(
            number=number,
            time=_seconds(fields, "time"),
            state=JobState[fields["state"].decode()],
            stage=_stage(fields["stage"]),
            attempt=int(fields["attempt"]),
            progress=float(fields["progress"]),
        )


def parse_ring(message: bytes) -> tuple[str, JobEvent]:
    """A message of the doorbell, `ID NUMBER FIELD VALUE FIELD VALUE ...`: the job's id and its new event."""
    job_id, number, *fields = message.split(b" ")
    return job_id.decode(), JobEvent._of(int(number), pairs(fields))


@dataclass(frozen=True)
class MeshAhead:
    """A mesh file that an attempt has sent ahead of its end: `execution.send_ahead`."""

    attempt: int
    face: int
    file: pb.MeshFile

    def ring(self, job_id: str) -> bytes:
        """The message that tells of it: `ID ATTEMPT FACE FILE`."""
        return f"{job_id} {self.attempt} {self.face} ".encode() + self.file.SerializeToString()

    @classmethod
    def parse(cls, message: bytes) -> tuple[str, Self]:
        """The job's id and what the message tells."""
        job_id, attempt, face, file = message.split(b" ", 3)
        return job_id.decode(), cls(int(attempt), int(face), pb.MeshFile.FromString(file))


def pairs(reply: Sequence[bytes]) -> dict[str, bytes]:
    """A flat list of fields and values as a mapping."""
    return {field.decode(): value for field, value in zip(reply[::2], reply[1::2], strict=True)}


def _seconds(fields: Mapping[str, bytes], name: str) -> float:
    return int(fields.get(name, b"0")) / 1000


def _stage(value: bytes) -> Stage | None:
    """None also for a stage of a later version: workers and services are not replaced at one moment."""
    try:
        return Stage(value.decode())
    except ValueError:
        return None


def _error(fields: Mapping[str, bytes]) -> JobError | None:
    if "error_reason" not in fields:
        return None
    text = {name: fields[f"error_{name}"].decode() for name in ("code", "reason", "message")}
    return JobError(int(text["code"]), text["reason"], text["message"])
