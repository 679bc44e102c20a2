"""Why bytes are not a usable photo. One exception, PhotoError, with one reason each."""

from __future__ import annotations

from enum import StrEnum


class PhotoReason(StrEnum):
    """The codes that travel in ErrorInfo.reason."""

    EMPTY = "PHOTO_EMPTY"
    TOO_LARGE = "PHOTO_TOO_LARGE"
    UNSUPPORTED = "PHOTO_UNSUPPORTED"
    CORRUPT = "PHOTO_CORRUPT"
    TOO_MANY_PIXELS = "PHOTO_TOO_MANY_PIXELS"
    TOO_SMALL = "PHOTO_TOO_SMALL"
    ANIMATED = "PHOTO_ANIMATED"


class PhotoError(ValueError):
    """The bytes are not a photo that can be used.

    Attributes
    ----------
    reason : PhotoReason - also available as text
    """

    def __init__(self, reason: PhotoReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
