"""Photo bytes in, a checked, upright sRGB array out. The service validates with it, the worker decodes with it."""

from selfie3d_photo.decode import Photo, decode, inspect
from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.header import Limits, PhotoInfo, read_header

__all__ = ["Limits", "Photo", "PhotoError", "PhotoInfo", "PhotoReason", "decode", "inspect", "read_header"]
