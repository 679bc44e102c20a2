"""What a photo says of itself, read before a single pixel is decoded and with a bound on the work.

No image library sees the bytes here: the readers are `jpeg`, `png`, `webp` and `heif`, and each looks at a few thousand
places and 1 MiB at most, however large the file is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.heif import heif_format, read_heif
from selfie3d_photo.info import Limits, PhotoInfo
from selfie3d_photo.jpeg import check_end, read_jpeg
from selfie3d_photo.look import Look
from selfie3d_photo.png import read_png
from selfie3d_photo.webp import read_webp

DEFAULT_LIMITS = Limits()

# Pictures people send that are not accepted, so that the message can name them.
OTHER_FORMATS = (
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"ftypmif1", 4, "HEIF of another kind than HEIC"),
    (b"ftypmp4", 4, "MP4"),
    (b"ftypisom", 4, "MP4"),
    (b"ftypqt  ", 4, "QuickTime"),
    (b"\0\0\0\x0cjP  ", 0, "JPEG 2000"),
    (b"\xff\x0a", 0, "JPEG XL"),
    (b"%PDF", 0, "PDF"),
    (b"<svg", 0, "SVG"),
)
READERS: Mapping[str, Callable[[Look], PhotoInfo]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "WEBP": read_webp,
    "HEIC": partial(read_heif, format="HEIC"),
    "AVIF": partial(read_heif, format="AVIF"),
}
WANTED = "JPEG, PNG, WebP, HEIC or AVIF"


def inspect(data: bytes, limits: Limits = DEFAULT_LIMITS, look: Look | None = None) -> PhotoInfo:
    """Check a photo as far as its header tells: format, limits, and that it is not plainly cut short.

    Whether it decodes to its end only `decode` knows. `look` counts the work. Raises PhotoError.
    """
    _check_bytes(data, limits)
    look = look or Look(data)
    info = READERS[sniff(data)](look)
    _check_pixels(info, limits)
    if info.format == "JPEG":
        check_end(look, info)
    return info


def sniff(data: bytes) -> str:
    """JPEG, PNG, WEBP, HEIC or AVIF by the first bytes, whatever the file was called. Raises PhotoError."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    found = heif_format(data)
    if found:
        return found
    for magic, offset, name in OTHER_FORMATS:
        if data[offset : offset + len(magic)] == magic:
            raise PhotoError(PhotoReason.UNSUPPORTED, f"{name} is not supported: send {WANTED}.")
    raise PhotoError(PhotoReason.UNSUPPORTED, f"The bytes are not a picture: send {WANTED}.")


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise PhotoError(PhotoReason.EMPTY, f"The photo is empty: send the bytes of a {WANTED} file.")
    if len(data) > limits.max_bytes:
        raise PhotoError(
            PhotoReason.TOO_LARGE,
            f"The photo has {len(data)} bytes, {limits.max_bytes} are allowed: send it smaller or compressed more.",
        )


def _check_pixels(info: PhotoInfo, limits: Limits) -> None:
    if info.pixels > limits.max_pixels:
        raise PhotoError(
            PhotoReason.TOO_MANY_PIXELS,
            f"The photo has {info.width} x {info.height} pixels, {limits.max_pixels} are allowed: scale it down.",
        )
    if min(info.width, info.height) < limits.min_side:
        raise PhotoError(
            PhotoReason.TOO_SMALL,
            f"The photo has {info.width} x {info.height} pixels: each side needs at least {limits.min_side}.",
        )
