"""Everything the client raises on purpose.

Selfie3dError
├── MeshUnreadable            the mesh's bytes cannot be read as arrays
├── InvalidConnection         address, TLS files, token or timeout of a client that can never work; nothing was sent
├── InvalidArgument           the request is not right; `violations` says which field and what to do
│   └── PhotoRejected         the photo is not one: empty, damaged, too large, animated, of another format ...
├── NotFound                  no such job, or not yours, or it was removed
├── AlreadyExists             the request_id was used with another photo or other options
├── FailedPrecondition        not in the state for this, e.g. download before the job has ended
├── Unauthenticated           no token, or one the service does not know
├── PermissionDenied          the token does not allow this
├── QuotaExceeded             too many jobs at once; `retry_after` says when to come back
├── Unavailable               the service, or the Redis behind it, cannot be reached
│   └── TlsFailed             TLS with it does not come about, and will not by trying again
├── DeadlineExceeded          the call's timeout ran out; the job goes on
├── Aborted                   the call was cancelled, or lost against another one
├── ServiceError              the service failed in a way it should not have
├── JobEnded                  the job has ended without a mesh
│   ├── JobFailed
│   │   ├── NoFace            no face was found in the photo
│   │   └── JobPhotoRejected  a PhotoRejected, too: the worker could not use the photo
│   ├── JobCancelled
│   └── JobExpired            the job's own deadline passed
└── DownloadDamaged           what arrived is not what the service announced: size or SHA-256 differ

`REASONS` (ErrorInfo.reason) and `CODES` (grpc status) are the whole translation: the reason decides, then the code.
"""

# ruff: noqa: N818 - named after the grpc statuses and the job states that they stand for

from __future__ import annotations

from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from selfie3d._trouble import trouble_in
from selfie3d.types.errors import MeshUnreadable, Selfie3dError, Violation
from selfie3d.types.job_status import JobState, JobStatus

__all__ = [
    "Aborted",
    "AlreadyExists",
    "DeadlineExceeded",
    "DownloadDamaged",
    "FailedPrecondition",
    "InvalidArgument",
    "InvalidConnection",
    "JobCancelled",
    "JobEnded",
    "JobExpired",
    "JobFailed",
    "JobPhotoRejected",
    "MeshUnreadable",
    "NoFace",
    "NotFound",
    "PermissionDenied",
    "PhotoRejected",
    "QuotaExceeded",
    "Selfie3dError",
    "ServiceError",
    "TlsFailed",
    "Unauthenticated",
    "Unavailable",
    "Violation",
]

DETAILS_KEY = "grpc-status-details-bin"
# Details of a status that is not the service's own. The first comes from grpc.aio when a send met a call that the
# service had ended already, the second from a server that went down before it looked at the call.
TIMED_OUT = "Deadline Exceeded"  # in gRPC's own message; ours says what to do
LOST_STATUSES = ("Internal error from Core", "CANCELLED")


class InvalidConnection(Selfie3dError, ValueError):
    """The client cannot be made of these arguments: the message says which and why."""


class InvalidArgument(Selfie3dError, ValueError):
    """The request is not right: see `violations`."""


class PhotoRejected(InvalidArgument):
    """The photo cannot be used: send a JPEG, PNG, WebP, HEIC or AVIF of at most 20 MiB and 64 megapixels."""


class NotFound(Selfie3dError):
    """There is no such job: it never was, it was removed, or it belongs to someone else."""


class AlreadyExists(Selfie3dError):
    """The request_id was used before, with another photo or other options: choose a new one."""


class FailedPrecondition(Selfie3dError):
    """The job is not in the state for this: wait until it has ended."""


class Unauthenticated(Selfie3dError):
    """The service wants a token it knows: pass Client(..., token=...)."""


class PermissionDenied(Selfie3dError):
    """The token does not allow this."""


class QuotaExceeded(Selfie3dError):
    """The service is full, or you have too many jobs: come back after `retry_after` seconds."""


class Unavailable(Selfie3dError):
    """The service cannot be reached: check the address, and whether `selfie3d doctor` is content there."""


class TlsFailed(Unavailable):
    """TLS with the service does not come about: check its certificate and the authorities that are trusted here."""


class DeadlineExceeded(Selfie3dError):
    """The call's timeout ran out. The job goes on: ask for it again, or give a larger timeout."""


class Aborted(Selfie3dError):
    """The call was cancelled, or lost against another one: try again."""


class ServiceError(Selfie3dError):
    """The service failed in a way it should not have: its log says more."""


class JobEnded(Selfie3dError):
    """The job has ended without a mesh: see `job`.

    Attributes
    ----------
    job : the job as it ended
    """

    job: JobStatus


class JobFailed(JobEnded):
    """The job failed: see `reason` and `message`."""


class NoFace(JobFailed):
    """No face was found: send a photo in which a face is at least 40 px wide and not covered."""


class JobPhotoRejected(JobFailed, PhotoRejected):
    """The photo cannot be used: send a JPEG, PNG, WebP, HEIC or AVIF of at most 20 MiB and 64 megapixels."""


class JobCancelled(JobEnded):
    """The job was cancelled."""


class JobExpired(JobEnded):
    """The job's deadline passed before it was done: submit it again with a longer job_timeout."""


class DownloadDamaged(Selfie3dError):
    """The mesh that arrived is not the one that was announced: download it again."""


REASONS: dict[str, type[Selfie3dError]] = {
    "NO_FACE": NoFace,
    "PHOTO_ANIMATED": PhotoRejected,
    "PHOTO_CORRUPT": PhotoRejected,
    "PHOTO_EMPTY": PhotoRejected,
    "PHOTO_TOO_LARGE": PhotoRejected,
    "PHOTO_TOO_MANY_PIXELS": PhotoRejected,
    "PHOTO_TOO_SMALL": PhotoRejected,
    "PHOTO_UNSUPPORTED": PhotoRejected,
}

ENDED_REASONS: dict[str, type[JobEnded]] = {
    reason: kind if issubclass(kind, JobEnded) else JobPhotoRejected for reason, kind in REASONS.items()
}

CODES: dict[grpc.StatusCode, type[Selfie3dError]] = {
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.CANCELLED: Aborted,
    grpc.StatusCode.DATA_LOSS: ServiceError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.INTERNAL: ServiceError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: QuotaExceeded,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.UNIMPLEMENTED: ServiceError,
    grpc.StatusCode.UNKNOWN: ServiceError,
}


ENDED: dict[JobState, type[JobEnded]] = {
    JobState.FAILED: JobFailed,
    JobState.CANCELLED: JobCancelled,
    JobState.EXPIRED: JobExpired,
}


def ended_error(job: JobStatus, code: int, reason: str, message: str) -> JobEnded | None:
    """The typed error of a job that ended without a mesh: its reason decides, then its state. None for other jobs.

    code : google.rpc.Code
    """
    if job.state not in ENDED:
        return None
    kind = ENDED_REASONS.get(reason, ENDED[job.state])
    status = next((status for status in CODES if status.value[0] == code), None)
    error = kind(message or None, reason=reason or f"JOB_{job.state.name}", code=status)
    error.job = job
    return error


def from_rpc_error(error: grpc.RpcError, address: str = "the service", *, encrypted: bool = False) -> Selfie3dError:
    """The typed error for a failed call, synchronous or asyncio.

    address, encrypted : what was called, and whether with TLS; for the words about a connection that fails
    """
    code: grpc.StatusCode = error.code()
    details = _rich_details(error)
    reason = details.get(error_details_pb2.ErrorInfo)
    retry = details.get(error_details_pb2.RetryInfo)
    bad = details.get(error_details_pb2.BadRequest)
    if error.details() in LOST_STATUSES:
        code = grpc.StatusCode.UNAVAILABLE  # the service's answer is lost; asking again brings it
    unreached = code is grpc.StatusCode.UNAVAILABLE and not details
    trouble = trouble_in(error.details() or "", encrypted=encrypted) if unreached else None
    kind = REASONS.get(reason.reason if reason else "", CODES.get(code, ServiceError))
    timed_out = code is grpc.StatusCode.DEADLINE_EXCEEDED and not details and TIMED_OUT in (error.details() or "")
    words = None if timed_out else error.details() or None
    return (TlsFailed if trouble and trouble.lasting else kind)(
        trouble.text.format(address) if trouble else words,
        reason=reason.reason if reason else "",
        code=code,
        violations=tuple(Violation(v.field, v.description) for v in bad.field_violations) if bad else (),
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry else None,
    )


def _rich_details(error: grpc.RpcError) -> dict[type, Any]:
    """The google.rpc messages of the trailing metadata, by type; unknown ones are left out."""
    found: dict[type, Any] = {}
    for key, value in error.trailing_metadata() or ():
        if key != DETAILS_KEY:
            continue
        for packed in status_pb2.Status.FromString(value).details:
            for kind in (error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo, error_details_pb2.BadRequest):
                message = kind()
                if packed.Unpack(message):
                    found[kind] = message
    return found
