"""The client of selfie3d: one photo of a face in, a coloured 3D mesh out."""

from selfie3d_client.async_client import AsyncClient, AsyncJob
from selfie3d_client.client import Client, Job
from selfie3d_client.connection import Tls
from selfie3d_client.errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    DownloadDamaged,
    FailedPrecondition,
    InvalidArgument,
    JobCancelled,
    JobEnded,
    JobExpired,
    JobFailed,
    MeshUnreadable,
    NoFace,
    NotFound,
    PermissionDenied,
    PhotoRejected,
    QuotaExceeded,
    Selfie3dError,
    ServiceError,
    Unauthenticated,
    Unavailable,
    Violation,
)
from selfie3d_client.job_status import Event, Face, HeadPose, JobState, JobStatus, MeshFile
from selfie3d_client.mesh import Mesh
from selfie3d_client.options import Detail, Format, JobOptions, Priority
from selfie3d_client.result import Result, ResultFace
from selfie3d_client.retry import Retry

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "AsyncJob",
    "Client",
    "DeadlineExceeded",
    "Detail",
    "DownloadDamaged",
    "Event",
    "Face",
    "FailedPrecondition",
    "Format",
    "HeadPose",
    "InvalidArgument",
    "Job",
    "JobCancelled",
    "JobEnded",
    "JobExpired",
    "JobFailed",
    "JobOptions",
    "JobState",
    "JobStatus",
    "Mesh",
    "MeshFile",
    "MeshUnreadable",
    "NoFace",
    "NotFound",
    "PermissionDenied",
    "PhotoRejected",
    "Priority",
    "QuotaExceeded",
    "Result",
    "ResultFace",
    "Retry",
    "Selfie3dError",
    "ServiceError",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "Violation",
]
