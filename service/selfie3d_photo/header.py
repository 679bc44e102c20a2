"""What a photo says of itself, read before a single pixel is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from selfie3d_photo.errors import PhotoError, PhotoReason

MEGAPIXEL = 1_000_000
MEBIBYTE = 1 << 20

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}

# Pictures people send that are not accepted, so that the message can name them.
OTHER_FORMATS = (
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"ftypheic", 4, "HEIC"),
    (b"ftypheix", 4, "HEIC"),
    (b"ftypmif1", 4, "HEIF"),
    (b"ftypavif", 4, "AVIF"),
    (b"\0\0\0\x0cjP  ", 0, "JPEG 2000"),
    (b"\xff\x0a", 0, "JPEG XL"),
    (b"%PDF", 0, "PDF"),
    (b"<svg", 0, "SVG"),
)


@dataclass(frozen=True)
class Limits:
    """What is accepted.

    Attributes
    ----------
    max_bytes : size of the file
    max_pixels : width * height; a photo over it is refused before it is decoded
    min_side : px; a shorter photo cannot hold a face of 40 px
    """

    max_bytes: int = 20 * MEBIBYTE
    max_pixels: int = 64 * MEGAPIXEL
    min_side: int = 40


@dataclass(frozen=True)
class PhotoInfo:
    """A photo's header.

    Attributes
    ----------
    format : JPEG, PNG or WEBP
    width, height : px as stored, before EXIF orientation
    """

    format: str
    width: int
    height: int

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]


def read_header(data: bytes, limits: Limits) -> tuple[PhotoInfo, Image.Image]:
    """The header and the opened, undecoded picture.

    Raises PhotoError for everything that can be known without decoding.
    """
    _check_bytes(data, limits)
    name = sniff(data)
    image = _open(data, name)
    info = PhotoInfo(name, *image.size)
    _check_pixels(info, limits)
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # MPO: a phone's JPEG with a preview behind it
        raise PhotoError(PhotoReason.ANIMATED, "The picture is animated: send one still frame.")
    if name == "JPEG":
        _check_scans(data)
    return info, image


def sniff(data: bytes) -> str:
    """JPEG, PNG or WEBP by the first bytes, whatever the file was called."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for magic, offset, name in OTHER_FORMATS:
        if data[offset : offset + len(magic)] == magic:
            raise PhotoError(PhotoReason.UNSUPPORTED, f"{name} is not supported: send JPEG, PNG or WebP.")
    raise PhotoError(PhotoReason.UNSUPPORTED, "The bytes are not a picture: send a JPEG, PNG or WebP file.")


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise PhotoError(PhotoReason.EMPTY, "The photo is empty: send the bytes of a JPEG, PNG or WebP file.")
    if len(data) > limits.max_bytes:
        raise PhotoError(
            PhotoReason.TOO_LARGE,
            f"The photo has {len(data)} bytes, {limits.max_bytes} are allowed: send it smaller or compressed more.",
        )


def _open(data: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=[name])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoError(PhotoReason.TOO_MANY_PIXELS, "The photo has too many pixels: scale it down.") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads them to
        raise PhotoError(PhotoReason.CORRUPT, f"The {name} header is damaged: send the original file.") from error


def _check_pixels(info: PhotoInfo, limits: Limits) -> None:
    if info.width * info.height > limits.max_pixels:
        raise PhotoError(
            PhotoReason.TOO_MANY_PIXELS,
            f"The photo has {info.width} x {info.height} pixels, {limits.max_pixels} are allowed: scale it down.",
        )
    if min(info.width, info.height) < limits.min_side:
        raise PhotoError(
            PhotoReason.TOO_SMALL,
            f"The photo has {info.width} x {info.height} pixels: each side needs at least {limits.min_side}.",
        )


MAX_JPEG_SCANS = 100  # a progressive JPEG has about 10; each one costs a pass over all pixels


def _check_scans(data: bytes) -> None:
    if data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise PhotoError(PhotoReason.CORRUPT, "The JPEG has too many scans: save it again as a plain JPEG.")
