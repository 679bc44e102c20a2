"""Jobs, events and faces as the service describes them, in Python's own types."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from selfie3d.errors import CODES, REASONS, JobCancelled, JobExpired, JobFailed, Selfie3dError
from selfie3d.v1 import reconstruction_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper as EnumTypeWrapper


class JobState(StrEnum):
    """Where a job is in its life; the last four are final."""

    UNSPECIFIED = "unspecified"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}


@dataclass(frozen=True)
class Event:
    """One step of a job.

    number : counts from 1 within the job; `watch(after_event=number)` goes on behind it
    stage : "decode", "detect", "align", "network", "surface", "colour", "encode", "store"; empty unless running
    progress : 0 to 1 over the whole job
    """

    number: int
    time: datetime
    state: JobState
    stage: str
    attempt: int
    progress: float

    @classmethod
    def from_message(cls, message: pb.JobEvent) -> Event:
        """Translate the API's message."""
        return cls(
            message.number,
            _time(message.time) or datetime.fromtimestamp(0, UTC),
            _state(message.state),
            stage_name(message.stage),
            message.attempt,
            message.progress,
        )


@dataclass(frozen=True)
class HeadPose:
    """Degrees. Yaw: positive when the nose points to the photo's right. Pitch: up. Roll: clockwise in the photo."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class MeshFile:
    """A mesh file of the service: extension with the dot, e.g. ".ply"; size in bytes; hex SHA-256."""

    format: str
    media_type: str
    extension: str
    size: int
    sha256: str

    @classmethod
    def from_message(cls, message: pb.MeshFile) -> MeshFile:
        """Translate the API's message."""
        return cls(
            _word(pb.MeshFormat, message.format, "MESH_FORMAT_"),
            message.media_type,
            message.extension,
            message.size_bytes,
            message.sha256,
        )


@dataclass(frozen=True, eq=False)
class Face:
    """A face of the photo and the numbers of its mesh.

    Attributes
    ----------
    index : position by descending size, from 0
    box : (x, y, width, height) of the 68 landmarks, photo px
    score : 0..1, how sure the finder is
    mesh_to_photo : (4, 4) float64 - mesh (x, y, z, 1) in mm to photo (x px, y px, depth px towards the viewer)
    landmarks : (68, 3) float64 - Multi-PIE points on the mesh, mesh frame, mm
    landmark_vertices : (68,) int64 - the nearest vertex of each
    """

    index: int
    box: tuple[float, float, float, float]
    score: float
    mesh_to_photo: NDArray[np.float64]
    pose: HeadPose
    landmarks: NDArray[np.float64]
    landmark_vertices: NDArray[np.int64]
    vertices: int
    triangles: int
    file: MeshFile

    @classmethod
    def from_message(cls, message: pb.Face) -> Face:
        """Translate the API's message."""
        matrix = np.array(message.mesh_to_photo, np.float64)
        return cls(
            index=message.index,
            box=(message.box.x, message.box.y, message.box.width, message.box.height),
            score=message.score,
            mesh_to_photo=matrix.reshape(4, 4) if matrix.size == 16 else np.eye(4),
            pose=HeadPose(message.pose.yaw, message.pose.pitch, message.pose.roll),
            landmarks=np.array([(p.x, p.y, p.z) for p in message.landmarks], np.float64).reshape(-1, 3),
            landmark_vertices=np.array([p.vertex for p in message.landmarks], np.int64),
            vertices=message.vertices,
            triangles=message.triangles,
            file=MeshFile.from_message(message.file),
        )


@dataclass(frozen=True, eq=False)
class JobStatus:
    """A job as it was when the service answered.

    Attributes
    ----------
    request_id : the idempotency key it was created with
    error : why it has no mesh; None while it has not ended and when it succeeded
    faces : set when it succeeded, by descending size
    seconds : {stage: seconds}, as measured by the worker
    expires : when the service removes the job, its photo and its meshes
    """

    id: str
    state: JobState
    stage: str
    request_id: str
    attempt: int
    last_event: int
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    deadline: datetime | None
    expires: datetime | None
    error: Selfie3dError | None
    faces: tuple[Face, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_message(cls, message: pb.Job) -> JobStatus:
        """Translate the API's message."""
        status = cls(
            id=message.id,
            state=_state(message.state),
            stage=stage_name(message.stage),
            request_id=message.settings.request_id,
            attempt=message.attempt,
            last_event=message.last_event,
            created=_time(message.create_time),
            started=_time(message.start_time),
            ended=_time(message.end_time),
            deadline=_time(message.deadline),
            expires=_time(message.expire_time),
            error=_job_error(_state(message.state), message.error),
            faces=tuple(Face.from_message(face) for face in message.faces),
            seconds={stage_name(time.stage): time.seconds for time in message.stage_times},
        )
        if status.error is not None:
            status.error.job = status
        return status


def stage_name(stage: int) -> str:
    """The word for a stage: "network" for STAGE_NETWORK, empty for none."""
    return "" if stage == pb.STAGE_UNSPECIFIED else _word(pb.Stage, stage, "STAGE_")


def _state(state: int) -> JobState:
    try:
        return JobState(_word(pb.JobState, state, "JOB_STATE_"))
    except ValueError:
        return JobState.UNSPECIFIED


def _word(enum: EnumTypeWrapper[Any], value: int, prefix: str) -> str:
    """The enum value in lower case without its prefix; the number where the service is newer than this client."""
    try:
        return str(enum.Name(value)).removeprefix(prefix).lower()
    except ValueError:
        return str(value)


def _job_error(state: JobState, error: pb.JobError) -> Selfie3dError | None:
    """The typed error of an ended job: its reason decides, then its state."""
    by_state = {JobState.FAILED: JobFailed, JobState.CANCELLED: JobCancelled, JobState.EXPIRED: JobExpired}
    if state not in by_state:
        return None
    kind = REASONS.get(error.reason, by_state[state])
    code = next((code for code in CODES if code.value[0] == error.code), None)
    return kind(error.message or None, reason=error.reason or f"JOB_{state.name}", code=code)


def _time(stamp: Timestamp) -> datetime | None:
    return stamp.ToDatetime(UTC) if stamp.ByteSize() else None
