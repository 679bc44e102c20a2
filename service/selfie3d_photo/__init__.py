"""Photo bytes in, a checked, upright sRGB array out. The service reads headers with it, the worker decodes with it."""

from selfie3d_photo.budget import decode_bytes
from selfie3d_photo.decode import Photo, decode
from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.header import inspect
from selfie3d_photo.info import MEBIBYTE, Limits, PhotoInfo
from selfie3d_photo.look import Look

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
