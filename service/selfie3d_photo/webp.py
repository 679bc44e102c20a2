"""A WebP's size, found by walking its chunks (RFC 9649) with a bound on the work."""

from __future__ import annotations

from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.info import PhotoInfo
from selfie3d_photo.look import Look, damaged

MAX_CHUNKS = 256  # a still picture has fewer than 10
PIXEL_BYTES = 17.0  # libwebp's canvas twice, the copy for Pillow and Pillow's own; measured: 16.4
PICTURES = (b"VP8 ", b"VP8L")


def read_webp(look: Look) -> PhotoInfo:
    """The header. Raises PhotoError."""
    end = 8 + look.number_at(4, 4, little=True)
    if end > len(look):
        raise damaged("The WEBP file is damaged or cut short: send the original file.")
    size, frames, at = None, 0, 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > end:
            break
        kind, length = look.bytes_at(at, 4), look.number_at(at + 4, 4, little=True)
        if at + 8 + length > end:
            raise damaged("The WEBP file is damaged or cut short: send the original file.")
        size = size or _size(look, kind, at + 8)
        frames += kind == b"ANMF"
        if frames > 1:
            raise PhotoError(PhotoReason.ANIMATED, "The picture is animated: send one still frame.")
        if kind in PICTURES and at == 12:  # the simple format: what follows is not looked at by anybody
            break
        at += 8 + length + length % 2
    else:
        raise damaged("The WebP has too many chunks for a photo: save it again.")
    if size is None:
        raise damaged()
    return PhotoInfo("WEBP", *size, PIXEL_BYTES)


def _size(look: Look, kind: bytes, at: int) -> tuple[int, int] | None:
    """(width, height) by a chunk that tells it; the first one does in every valid file."""
    if kind == b"VP8X":
        return 1 + look.number_at(at + 4, 3, little=True), 1 + look.number_at(at + 7, 3, little=True)
    if kind == b"VP8L":
        if look.bytes_at(at, 1) != b"\x2f":
            raise damaged()
        bits = look.number_at(at + 1, 4, little=True)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        if look.bytes_at(at + 3, 3) != b"\x9d\x01\x2a":
            raise damaged()
        return look.number_at(at + 6, 2, little=True) & 0x3FFF, look.number_at(at + 8, 2, little=True) & 0x3FFF
    return None
