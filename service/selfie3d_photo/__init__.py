"""Photo bytes in, a checked, upright sRGB array out. The service reads headers with it, the worker decodes with it."""

from typing import TYPE_CHECKING, Any

from selfie3d_photo.budget import decode_bytes
from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.header import inspect
from selfie3d_photo.info import MEBIBYTE, Limits, PhotoInfo
from selfie3d_photo.look import Look

if TYPE_CHECKING:
    from selfie3d_photo.decoding import Photo, decode

__all__ = [
    "MEBIBYTE",
    "Limits",
    "Look",
    "Photo",
    "PhotoError",
    "PhotoInfo",
    "PhotoReason",
    "decode",
    "decode_bytes",
    "inspect",
]


def __getattr__(name: str) -> Any:
    """Import what decodes when it is first used (PEP 562): the service does without, and without numpy."""
    if name not in ("Photo", "decode"):
        raise AttributeError(f"module 'selfie3d_photo' has no attribute {name!r}")
    from selfie3d_photo import decoding as home

    globals().update(Photo=home.Photo, decode=home.decode)
    return globals()[name]
