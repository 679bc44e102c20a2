"""Everything vrn raises on purpose.

VrnError
├── NoFaceError          no face was found in the photo
├── FieldError           the network's volume holds no face-shaped solid
├── WeightsError         weights are missing, damaged or do not fit their network
├── BackendMissingError  an optional package is not installed
└── ModelProcessError    the process that runs the networks fails, or does not come back

Bytes that are no usable photo raise selfie3d_photo.PhotoError, which the service shares.
Each carries `reason`, the UPPER_SNAKE code that travels between processes with the message.
"""

from __future__ import annotations

from typing import ClassVar


class VrnError(Exception):
    """The photo could not be reconstructed."""

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class NoFaceError(VrnError):
    """No face was found: send a photo in which a face is at least 40 px wide and not covered."""

    reason = "NO_FACE"


class FieldError(VrnError):
    """The network's volume holds no face: try a sharper or closer photo of the face."""

    reason = "NO_SURFACE"


class WeightsError(VrnError):
    """The weights do not fit: run `selfie3d weights verify` and reinstall or import them again."""

    reason = "WEIGHTS"


class BackendMissingError(VrnError):
    """An optional package is missing: install what the message names."""

    reason = "BACKEND_MISSING"


class ModelProcessError(VrnError):
    """The process that runs the networks fails."""
