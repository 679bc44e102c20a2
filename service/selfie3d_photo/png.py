"""A PNG's size, found by walking its chunks (W3C PNG, third edition) with a bound on the work."""

from __future__ import annotations

import zlib

from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.info import RGB_BYTES, PhotoInfo
from selfie3d_photo.look import Look, damaged

DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # by colour type
MOST_FRAMES = 0x80000000  # a larger number in acTL is none


def read_png(look: Look) -> PhotoInfo:
    """The header. Every chunk's length is looked at, its content never. Raises PhotoError."""
    info = _read_header(look)
    at, pixels = 8 + 25, False
    while at + 8 <= len(look):
        length, kind = look.number_at(at, 4), look.bytes_at(at + 4, 4)
        if kind == b"IEND":
            break
        if kind == b"acTL" and not pixels and 1 < look.number_at(at + 8, 4) <= MOST_FRAMES:
            raise PhotoError(PhotoReason.ANIMATED, "The picture is animated: send one still frame.")
        pixels = pixels or kind == b"IDAT"
        at += 12 + length
        if at > len(look) and (kind == b"IDAT" or not pixels):
            raise damaged("The PNG file is damaged or cut short: send the original file.")
    if not pixels:
        raise damaged()
    return info


def _read_header(look: Look) -> PhotoInfo:
    chunk = look.bytes_at(8, 25)
    if chunk[:8] != b"\0\0\0\x0dIHDR" or zlib.crc32(chunk[4:21]) != int.from_bytes(chunk[21:]):
        raise damaged()
    width, height = int.from_bytes(chunk[8:12]), int.from_bytes(chunk[12:16])
    depth, colour = chunk[16], chunk[17]
    if depth not in DEPTHS.get(colour, ()) or chunk[18:20] != b"\0\0" or chunk[20] > 1:
        raise damaged()
    pixel = 4 if colour in (2, 4, 6) else 2 if depth == 16 else 1
    return PhotoInfo("PNG", width, height, pixel + RGB_BYTES)
