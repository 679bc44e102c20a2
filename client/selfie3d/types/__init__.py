"""The types that all parts share: numpy only, no gRPC, no torch."""

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
