"""One photo of a face in, a coloured 3D mesh out: by a service (`Client`), or in this process (`Reconstructor`).

Nothing is imported before it is asked for, so that `import selfie3d` stays quick and a part that is not installed is
missed only by whoever needs it.
"""

from __future__ import annotations

from importlib import import_module, metadata
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
        InvalidConnection,
        JobCancelled,
        JobEnded,
        JobExpired,
        JobFailed,
        JobPhotoRejected,
        MeshUnreadable,
        NoFace,
        NotFound,
        PermissionDenied,
        PhotoRejected,
        QuotaExceeded,
        Selfie3dError,
        ServiceError,
        TlsFailed,
        Unauthenticated,
        Unavailable,
        Violation,
    )
    from selfie3d.types import (
        Compression,
        Detail,
        Event,
        Extent,
        Face,
        Format,
        JobOptions,
        JobState,
        JobStatus,
        LeftOut,
        Mesh,
        MeshFile,
        OptionError,
        Options,
        PhotoView,
        Pose,
        Preview,
        Priority,
        Result,
        Stage,
        Topology,
    )
    from selfie3d.types.errors import MissingExtra
    from vrn import Reconstructor

_MODULES = {
    "selfie3d._async_client": "AsyncClient AsyncJob",
    "selfie3d._client": "Client Job",
    "selfie3d._connection": "Tls",
    "selfie3d._retry": "Retry",
    "selfie3d.errors": (
        "Aborted AlreadyExists DeadlineExceeded DownloadDamaged FailedPrecondition InvalidArgument "
        "InvalidConnection JobCancelled JobEnded JobExpired JobFailed JobPhotoRejected MeshUnreadable NoFace NotFound "
        "PermissionDenied PhotoRejected QuotaExceeded Selfie3dError ServiceError TlsFailed Unauthenticated Unavailable "
        "Violation"
    ),
    "selfie3d.types": (
        "Compression Detail Event Extent Face Format JobOptions JobState JobStatus LeftOut Mesh MeshFile OptionError "
        "Options PhotoView Pose Preview Priority Result Stage Topology"
    ),
    "selfie3d.types.errors": "MissingExtra",
    "vrn": "Reconstructor",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "AsyncJob",
    "Client",
    "Compression",
    "DeadlineExceeded",
    "Detail",
    "DownloadDamaged",
    "Event",
    "Extent",
    "Face",
    "FailedPrecondition",
    "Format",
    "InvalidArgument",
    "InvalidConnection",
    "Job",
    "JobCancelled",
    "JobEnded",
    "JobExpired",
    "JobFailed",
    "JobOptions",
    "JobPhotoRejected",
    "JobState",
    "JobStatus",
    "LeftOut",
    "Mesh",
    "MeshFile",
    "MeshUnreadable",
    "MissingExtra",
    "NoFace",
    "NotFound",
    "OptionError",
    "Options",
    "PermissionDenied",
    "PhotoRejected",
    "PhotoView",
    "Pose",
    "Preview",
    "Priority",
    "QuotaExceeded",
    "Reconstructor",
    "Result",
    "Retry",
    "Selfie3dError",
    "ServiceError",
    "Stage",
    "Tls",
    "TlsFailed",
    "Topology",
    "Unauthenticated",
    "Unavailable",
    "Violation",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home (PEP 562)."""
    if name == "__version__":
        return metadata.version("selfie3d")
    if name not in _HOMES:
        raise AttributeError(f"module 'selfie3d' has no attribute {name!r}")
    try:
        value = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if _HOMES[name].startswith("selfie3d."):
            raise
        from selfie3d.types.errors import MissingExtra

        message = f"selfie3d.{name} needs {error.name}, which is not installed: run `pip install '.[worker]'`."
        raise MissingExtra(message, name=error.name) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
