"""One photo of a face in, a coloured 3D mesh out. Pure: no queue, no network, no environment."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vrn.errors import BackendMissingError, FieldError, ModelProcessError, NoFaceError, VrnError, WeightsError

if TYPE_CHECKING:
    from vrn.finder.face import AlignedFace, Detection, Finder
    from vrn.meshing.field import Field
    from vrn.meshing.surface import extract_surface
    from vrn.pipeline import Reconstructor
    from vrn.render.preview import preview_sheet, turntable

_MODULES = {  # imported when a name is asked for, so that a process imports only what it uses
    "vrn.finder.face": "AlignedFace Detection Finder",
    "vrn.meshing.field": "Field",
    "vrn.meshing.surface": "extract_surface",
    "vrn.pipeline": "Reconstructor",
    "vrn.render.preview": "preview_sheet turntable",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "AlignedFace",
    "BackendMissingError",
    "Detection",
    "Field",
    "FieldError",
    "Finder",
    "ModelProcessError",
    "NoFaceError",
    "Reconstructor",
    "VrnError",
    "WeightsError",
    "extract_surface",
    "preview_sheet",
    "turntable",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'vrn' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
