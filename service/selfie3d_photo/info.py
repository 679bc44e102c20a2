"""What a photo says of itself."""

from __future__ import annotations

from dataclasses import dataclass

MEGAPIXEL = 1_000_000
MEBIBYTE = 1 << 20
ISOLATED = frozenset({"HEIC", "AVIF"})  # formats that are decoded in a process of its own: see `isolated`
RGB_BYTES = 3  # of a pixel of the finished array
MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "HEIC": "image/heic",
    "AVIF": "image/avif",
}


@dataclass(frozen=True)
class Limits:
    """What is accepted.

    Attributes
    ----------
    max_bytes : size of the file
    max_pixels : width * height; a photo over it is refused before it is decoded
    min_side : px; a shorter photo cannot hold a face of 40 px
    max_decode_bytes : memory that decoding may take by the estimate of `budget`
    """

    max_bytes: int = 20 * MEBIBYTE
    max_pixels: int = 64 * MEGAPIXEL
    min_side: int = 40
    max_decode_bytes: int = 1152 * MEBIBYTE


@dataclass(frozen=True)
class PhotoInfo:
    """A photo's header.

    Attributes
    ----------
    format : JPEG, PNG, WEBP, HEIC or AVIF
    width, height : px as stored, before EXIF orientation
    pixel_bytes : the most memory that decoding takes for a pixel, at any moment
    scans_at : offset behind the first scan's header, for JPEG
    """

    format: str
    width: int
    height: int
    pixel_bytes: float = 17.0
    scans_at: int = 0

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]

    @property
    def pixels(self) -> int:
        return self.width * self.height
