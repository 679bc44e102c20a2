"""The types that all parts share: numpy only, no gRPC, no torch.

A name is imported when it is first used: a service, a page and a health check need the words, but no arrays.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfie3d.types.face import Face
    from selfie3d.types.job_status import Event, JobState, JobStatus
    from selfie3d.types.mesh import Mesh, Texture
    from selfie3d.types.mesh_file import MeshFile
    from selfie3d.types.options import (
        Compression,
        Detail,
        Extent,
        Format,
        JobOptions,
        OptionError,
        Options,
        Priority,
        Topology,
    )
    from selfie3d.types.photo_view import LeftOut, PhotoView
    from selfie3d.types.pose import Pose
    from selfie3d.types.preview import Preview
    from selfie3d.types.result import Result
    from selfie3d.types.stage import Stage

_NAMES = {
    "face": ("Face",),
    "job_status": ("Event", "JobState", "JobStatus"),
    "mesh": ("Mesh", "Texture"),
    "mesh_file": ("MeshFile",),
    "options": (
        "Compression",
        "Detail",
        "Extent",
        "Format",
        "JobOptions",
        "OptionError",
        "Options",
        "Priority",
        "Topology",
    ),
    "photo_view": ("LeftOut", "PhotoView"),
    "pose": ("Pose",),
    "preview": ("Preview",),
    "result": ("Result",),
    "stage": ("Stage",),
}
_HOMES = {name: f"selfie3d.types.{home}" for home, names in _NAMES.items() for name in names}

__all__ = [
    "Compression",
    "Detail",
    "Event",
    "Extent",
    "Face",
    "Format",
    "JobOptions",
    "JobState",
    "JobStatus",
    "LeftOut",
    "Mesh",
    "MeshFile",
    "OptionError",
    "Options",
    "PhotoView",
    "Pose",
    "Preview",
    "Priority",
    "Result",
    "Stage",
    "Texture",
    "Topology",
]


def __getattr__(name: str) -> Any:
    """Import a name from its home (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'selfie3d.types' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
