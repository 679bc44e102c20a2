"""One photo of a face in, a coloured 3D mesh out. Pure: no queue, no network."""

import os

# Before torch is imported: threads that wait for work sleep. Spinning, as is their default, they take the cores from
# the other thread pools of the process (NumPy's, SciPy's) and from other processes, and double the time of a photo.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from selfie3d.types.frames import Crop, Grid
from vrn.errors import BackendMissingError, FieldError, NoFaceError, VrnError, WeightsError
from vrn.files.export import MeshFile
from vrn.finder.face import Box, Face, Finder
from vrn.meshing.field import Field
from vrn.meshing.mesh import Mesh
from vrn.meshing.pose import Pose
from vrn.meshing.surface import Detail, extract_surface
from vrn.options import Format, Options
from vrn.pipeline import FaceResult, Reconstructor, Result, Stage
from vrn.render.preview import preview_sheet, turntable

__all__ = [
    "BackendMissingError",
    "Box",
    "Crop",
    "Detail",
    "Face",
    "FaceResult",
    "Field",
    "FieldError",
    "Finder",
    "Format",
    "Grid",
    "Mesh",
    "MeshFile",
    "NoFaceError",
    "Options",
    "Pose",
    "Reconstructor",
    "Result",
    "Stage",
    "VrnError",
    "WeightsError",
    "extract_surface",
    "preview_sheet",
    "turntable",
]
