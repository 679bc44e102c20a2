"""Jobs and their events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from selfie3d.types.errors import Selfie3dError

if TYPE_CHECKING:
    from selfie3d.types.face import Face
    from selfie3d.types.photo_view import PhotoView


class JobState(StrEnum):
    """QUEUED -> RUNNING -> one of the four final states; RUNNING -> QUEUED when a worker was lost."""

    UNSPECIFIED = "unspecified"  # a newer service's state that this version does not know
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Whether the state is final: written once, never changed."""
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


@dataclass(frozen=True, eq=False)
class JobStatus:
    """A job as it was when the service answered.

    Attributes
    ----------
    request_id : the idempotency key it was created with
    error : why it has no mesh; None while it has not ended and when it succeeded
    faces : set when it succeeded, by descending size; their meshes come with the result
    seconds : {stage: seconds}, as measured by the worker
    expires : when the service removes the job, its photo and its meshes
    queue_position : while it is queued, about which job in line it is, 1 for the next one; an estimate. 0 otherwise
    queue_paused : while it is queued, whether the operator has paused its queue: it starts when that is resumed
    views : set when several photos of one person gave one head: what each of them gave
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
    queue_position: int = 0
    queue_paused: bool = False
    views: tuple[PhotoView, ...] = ()
