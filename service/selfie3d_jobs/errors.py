"""Everything selfie3d_jobs raises on purpose.

JobsError
├── JobNotFound        no such job, or not the caller's
├── RequestReused      the request id belongs to a job with another photo or other settings
├── Refused            admission says no for now; `reason` says which bound
├── JobNotEnded        the job is still queued or running
├── JobLost            this attempt does not own the job any more: stop working on it
├── NotAhead           a mesh file that was sent ahead is not there: send it again
├── StoreUnavailable   Redis cannot be used; `trouble` says why, to the operator
├── StoreFull          Redis has reached maxmemory
├── BlobsUnavailable   the bucket of photos and meshes cannot be used; `trouble` says why, to the operator
├── NoSignedUrl        this deployment gives no presigned addresses
└── ConfigError        a setting has a bad value
"""

from __future__ import annotations

from selfie3d_jobs.blob_trouble import BlobTrouble
from selfie3d_jobs.reasons import Reason
from selfie3d_jobs.trouble import RedisTrouble


class JobsError(Exception):
    """The job store could not do it."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class JobNotFound(JobsError):  # noqa: N818 - named as the status it becomes
    """No such job."""

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id


class RequestReused(JobsError):  # noqa: N818
    """The request id was used for another photo or other settings."""


class Refused(JobsError):  # noqa: N818
    """The service is at its bound."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason


class JobNotEnded(JobsError):  # noqa: N818
    """The job has not ended."""


class JobLost(JobsError):  # noqa: N818
    """The job ended or went to another worker."""


class NotAhead(JobsError):  # noqa: N818
    """A file that was sent ahead is not there any more."""


class StoreUnavailable(JobsError):  # noqa: N818
    """Redis does not answer: check that it runs and that SELFIE3D_REDIS_URL points to it."""

    def __init__(self, trouble: RedisTrouble = RedisTrouble.BROKEN) -> None:
        super().__init__(f"{trouble}.")
        self.trouble = trouble


class StoreFull(JobsError):  # noqa: N818
    """Redis has no memory left: raise its maxmemory or shorten SELFIE3D_RETENTION_SECONDS."""


class BlobsUnavailable(JobsError):  # noqa: N818
    """The bucket or folder of photos and meshes cannot be used."""

    def __init__(self, trouble: BlobTrouble) -> None:
        super().__init__(f"{trouble}.")
        self.trouble = trouble


class NoSignedUrl(JobsError):  # noqa: N818
    """This deployment gives no presigned addresses: download the mesh through the service."""


class ConfigError(JobsError):
    """A setting has a bad value."""
