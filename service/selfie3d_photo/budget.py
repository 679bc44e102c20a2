"""How much memory a photo takes while it is decoded, told from its header."""

from __future__ import annotations

from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.info import ISOLATED, MEBIBYTE, Limits, PhotoInfo

WORKING_BYTES = 32 * MEBIBYTE  # a strip's copies, tables, metadata
THREAD_BYTES = 64 * MEBIBYTE  # stacks of the decoder's threads, where a child decodes


def decode_bytes(info: PhotoInfo, file_bytes: int) -> int:
    """The most that `decode` takes beyond the file itself, by the header alone."""
    threads = THREAD_BYTES if info.format in ISOLATED else 0
    return int(info.pixels * info.pixel_bytes) + WORKING_BYTES + threads + file_bytes


def check_budget(info: PhotoInfo, file_bytes: int, limits: Limits) -> None:
    """Raises PhotoError when decoding would take more than `limits.max_decode_bytes`."""
    needed = decode_bytes(info, file_bytes)
    if needed > limits.max_decode_bytes:
        raise PhotoError(
            PhotoReason.TOO_MANY_PIXELS,
            f"Decoding {info.width} x {info.height} pixels of this {info.format} takes {needed // MEBIBYTE} MiB, "
            f"{limits.max_decode_bytes // MEBIBYTE} are allowed: scale it down or save it as a plain JPEG.",
        )
