"""One photo of a face in, a coloured 3D mesh out. Pure: no queue, no network, no environment."""

from vrn.errors import BackendMissingError, FieldError, NoFaceError, VrnError, WeightsError
from vrn.finder.face import AlignedFace, Detection, Finder
from vrn.meshing.field import Field
from vrn.meshing.surface import extract_surface
from vrn.pipeline import Reconstructor
from vrn.render.preview import preview_sheet, turntable

__all__ = [
    "AlignedFace",
    "BackendMissingError",
    "Detection",
    "Field",
    "FieldError",
    "Finder",
    "NoFaceError",
    "Reconstructor",
    "VrnError",
    "WeightsError",
    "extract_surface",
    "preview_sheet",
    "turntable",
]
