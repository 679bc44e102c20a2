"""One photo of a face in, a coloured 3D mesh out.

Nothing is imported before it is asked for, so that `import selfie3d` stays quick and a part that is not installed is
missed only by whoever needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfie3d._async_client import AsyncClient, AsyncJob
    from selfie3d._client import Client, Job
    from selfie3d._connection import Tls
    from selfie3d._retry import Retry
    from selfie3d.errors import (
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
    from selfie3d.types.job import Event, Face, HeadPose, JobState, JobStatus, MeshFile
    from selfie3d.types.mesh import Mesh
    from selfie3d.types.options import Detail, Format, JobOptions, Priority
    from selfie3d.types.result import Result, ResultFace

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

_HOMES = {
    "Aborted": "selfie3d.errors",
    "AlreadyExists": "selfie3d.errors",
    "AsyncClient": "selfie3d._async_client",
    "AsyncJob": "selfie3d._async_client",
    "Client": "selfie3d._client",
    "DeadlineExceeded": "selfie3d.errors",
    "Detail": "selfie3d.types.options",
    "DownloadDamaged": "selfie3d.errors",
    "Event": "selfie3d.types.job",
    "Face": "selfie3d.types.job",
    "FailedPrecondition": "selfie3d.errors",
    "Format": "selfie3d.types.options",
    "HeadPose": "selfie3d.types.job",
    "InvalidArgument": "selfie3d.errors",
    "Job": "selfie3d._client",
    "JobCancelled": "selfie3d.errors",
    "JobEnded": "selfie3d.errors",
    "JobExpired": "selfie3d.errors",
    "JobFailed": "selfie3d.errors",
    "JobOptions": "selfie3d.types.options",
    "JobState": "selfie3d.types.job",
    "JobStatus": "selfie3d.types.job",
    "Mesh": "selfie3d.types.mesh",
    "MeshFile": "selfie3d.types.job",
    "MeshUnreadable": "selfie3d.errors",
    "NoFace": "selfie3d.errors",
    "NotFound": "selfie3d.errors",
    "PermissionDenied": "selfie3d.errors",
    "PhotoRejected": "selfie3d.errors",
    "Priority": "selfie3d.types.options",
    "QuotaExceeded": "selfie3d.errors",
    "Result": "selfie3d.types.result",
    "ResultFace": "selfie3d.types.result",
    "Retry": "selfie3d._retry",
    "Selfie3dError": "selfie3d.errors",
    "ServiceError": "selfie3d.errors",
    "Tls": "selfie3d._connection",
    "Unauthenticated": "selfie3d.errors",
    "Unavailable": "selfie3d.errors",
    "Violation": "selfie3d.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'selfie3d' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
