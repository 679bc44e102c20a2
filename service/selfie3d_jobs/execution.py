"""What a worker does with a delivered job, fenced by the attempt number: a late worker changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from selfie3d.types import JobState, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import stage_name
from selfie3d_jobs import keys
from selfie3d_jobs.blob_trouble import BlobTrouble
from selfie3d_jobs.command import Command, ignore, milliseconds, plain, script
from selfie3d_jobs.errors import BlobsUnavailable, JobLost, NotAhead
from selfie3d_jobs.packing import pack
from selfie3d_jobs.reasons import Reason
from selfie3d_jobs.record import JobError, MeshAhead, Record


@dataclass(frozen=True)
class BatchedRuns:
    """Runs of networks in a model process: how many by the number of runs in their batch, and the seconds waited."""

    runs: Mapping[int, int] = field(default_factory=dict)
    waited: float = 0.0


@dataclass(frozen=True)
class ExecutionResult:
    """What an attempt hands in: faces with their files' metadata, the files in the same order, seconds by stage; what
    each of several photos of one person gave; and the batches that its runs were in."""

    faces: Sequence[pb.Face]
    files: Sequence[bytes]
    seconds: Mapping[str, float]
    previews: Sequence[bytes] = ()
    views: Sequence[pb.PhotoView] = ()
    batches: BatchedRuns = BatchedRuns()


def claim(job_id: str, worker: str, token: str, lease_seconds: float) -> Command[Record | None]:
    """Take the job; None when the delivery is a late or second one. `token` is unique to the delivery."""
    lease = milliseconds(lease_seconds)
    return script("claim", lambda r: Record.of(r) if r else None, id=job_id, worker=worker, token=token, lease=lease)


def photo(job_id: str) -> Command[bytes]:
    """The photo's bytes. Raises JobLost when they are gone: the job ended meanwhile."""

    def parse(reply: bytes | None) -> bytes:
        if reply is None:
            raise JobLost
        return reply

    return plain("GET", parse, keys.photo(job_id))


def apart(job: Record, together: bytes) -> list[bytes]:
    """The photos of one person, which are stored one behind the other."""
    ends = accumulate(job.photo_sizes)
    return [together[end - size : end] for size, end in zip(job.photo_sizes, ends, strict=True)]


def advance(job: Record, stage: Stage, progress: float, lease_seconds: float) -> Command[None]:
    """Begin a stage with so much done, 0 to 1. Raises JobLost when the job ended or went to another worker."""
    lease = milliseconds(lease_seconds)
    return script("advance", _owned, id=job.id, attempt=job.attempt, stage=stage, progress=progress, lease=lease)


def renew(job: Record, lease_seconds: float) -> Command[bool]:
    """Keep the lease; False when the job is not this attempt's any more."""
    return script("renew", bool, id=job.id, attempt=job.attempt, lease=milliseconds(lease_seconds))


def give_back(job: Record) -> Command[None]:
    """Put the job back into its queue, without the loss of a worker. Raises JobLost."""
    return script("give_back", _owned, id=job.id, attempt=job.attempt)


@dataclass(frozen=True)
class Objects:
    """The names of a result's files and then pictures outside Redis, the files' extension, and the bytes of all."""

    names: Sequence[str] = ()
    extension: str = ""
    size: int = 0


NO_OBJECTS = Objects()


def send_ahead(job: Record, face: int, file: bytes, lease_seconds: float) -> Command[None]:
    """Put a mesh file beside the job, whose it is with `succeed_ahead`; it goes with the attempt, or after a lease.

    Raises StoreFull in a Redis whose memory is full; ending the job works even then.
    """
    return plain("SET", ignore, keys.ahead(job.id, job.attempt, face), file, "PX", milliseconds(lease_seconds))


def announce_ahead(job: Record, face: int, file: pb.MeshFile) -> Command[None]:
    """Tell the services of a file that was sent ahead: they may send it on, and it counts once the job has ended."""
    return plain("PUBLISH", ignore, keys.AHEAD, MeshAhead(job.attempt, face, file).ring(job.id))


def succeed_ahead(job: Record, result: ExecutionResult) -> Command[None]:
    """As `succeed` with mesh files that were sent ahead. Raises NotAhead, too: one is missing, and nothing is done."""
    return _succeed(job, result, result.previews, ahead=[len(file) for file in result.files])


def succeed(job: Record, result: ExecutionResult) -> Command[None]:
    """Store the meshes and their pictures and end the job, in one step. Raises JobLost."""
    return _succeed(job, result, (*result.files, *result.previews))


def succeed_outside(job: Record, result: ExecutionResult, objects: Objects) -> Command[None]:
    """End a job whose meshes and pictures were announced and put outside Redis. Raises JobLost, BlobsUnavailable."""
    return _succeed(job, result, objects=objects)


def _succeed(
    job: Record,
    result: ExecutionResult,
    blobs: Sequence[bytes] = (),
    objects: Objects = NO_OBJECTS,
    ahead: Sequence[int] = (),
) -> Command[None]:
    outcome = pb.Job(faces=result.faces, stage_times=_stage_times(result.seconds), views=result.views)
    files, batches = len(result.files), result.batches
    return _complete(job, JobState.SUCCEEDED, None, result.seconds, outcome, files, blobs, objects, batches, ahead)


def fail(job: Record, reason: Reason, message: str, seconds: Mapping[str, float]) -> Command[None]:
    """End the job without a mesh. Raises JobLost."""
    outcome = pb.Job(stage_times=_stage_times(seconds))
    return _complete(job, JobState.FAILED, JobError(reason.code, reason.name, message), seconds, outcome)


def _complete(
    job: Record,
    state: JobState,
    error: JobError | None,
    seconds: Mapping[str, float],
    outcome: pb.Job,
    files: int = 0,
    blobs: Sequence[bytes] = (),
    objects: Objects = NO_OBJECTS,
    batches: BatchedRuns = BatchedRuns(),
    ahead: Sequence[int] = (),
) -> Command[None]:
    why = error or JobError(0, "", "")
    return script(
        "complete",
        _owned,
        blobs=(pack(outcome) if job.outside else outcome.SerializeToString(), *blobs),
        bulky=True,
        id=job.id,
        attempt=job.attempt,
        state=state.name,
        files=files,
        code=why.code,
        reason=why.reason,
        message=why.message,
        seconds=dict(seconds),
        batches=dict(batches.runs),
        batch_wait=batches.waited,
        names=list(objects.names),
        extension=objects.extension,
        size=objects.size,
        ahead=list(ahead),
    )


def _stage_times(seconds: Mapping[str, float]) -> list[pb.StageTime]:
    return [pb.StageTime(stage=stage_name(Stage(s)), seconds=t) for s, t in seconds.items()]


def _owned(reply: bytes) -> None:
    if reply == b"LATE":
        raise BlobsUnavailable(BlobTrouble.SLOW)
    if reply == b"NOT_AHEAD":
        raise NotAhead
    if reply != b"OK":
        raise JobLost(f"The job is not this attempt's any more: {reply.decode()}.")
