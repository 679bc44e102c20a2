"""From photo bytes to pixels: upright, 8 bit, sRGB, without alpha."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, features

from selfie3d_photo.budget import check_budget, decode_bytes
from selfie3d_photo.colour import Colours
from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.header import DEFAULT_LIMITS, inspect
from selfie3d_photo.info import ISOLATED, Limits, PhotoInfo
from selfie3d_photo.isolated import damaged, decode_isolated
from selfie3d_photo.jpeg import check_scans
from selfie3d_photo.look import Look

ORIENTATION = 0x0112  # EXIF tag
THREADS = 4  # of the decoders of HEIC and AVIF; `budget` knows
REDUCTIONS = (8, 4, 2)  # that libjpeg knows, in its inverse cosine transform
STRIP_PIXELS = 1 << 16  # converted at a time: their copies stay in a core's cache
SEVERAL_STILLS = {"MPO", "HEIF"}  # a phone's JPEG with a preview behind it; a HEIC with other takes: the first counts


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes
    ----------
    rgb : (height, width, 3) uint8 - sRGB, photo frame (after EXIF orientation)
    info : PhotoInfo - the header, before EXIF orientation
    reduced : of how many of the photo's pixels each of `rgb` is the mean, along either side; 1: the photo itself
    """

    rgb: NDArray[np.uint8]
    info: PhotoInfo
    reduced: int = 1


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS, side: int = 0) -> Photo:
    """Decode a photo.

    side : px; with one, a JPEG may come reduced, as long as its long side keeps so many: that is faster

    JPEG, PNG, WebP, HEIC or AVIF; grey, palette, CMYK, 16 bit and alpha (over white) become RGB, an ICC profile is
    applied, orientation is undone. The library sees the bytes only when the header keeps the limits and the memory that
    it asks for is within the budget. Raises PhotoError.
    """
    info = inspect(data, limits)
    check_budget(info, len(data), limits)
    if info.format == "JPEG":
        check_scans(Look(data, max_bytes=len(data)), info)
    if info.format in ISOLATED:
        return Photo(decode_isolated(data, info, decode_bytes(info, len(data))), info)
    reduced = _reduction(info, side) if side else 1
    return Photo(decode_here(data, info, reduced), info, reduced)


def decode_here(data: bytes, info: PhotoInfo, reduced: int = 1) -> NDArray[np.uint8]:
    """The pixels, decoded in this process without a look at the limits. Raises PhotoError."""
    load_codec(info.format)
    image = _open(data, info)
    if reduced > 1:
        image.draft(None, (info.width // reduced, info.height // reduced))
    _load(image, info)
    return _pixels(image)


def _reduction(info: PhotoInfo, side: int) -> int:
    """How many times libjpeg may reduce a photo: without a remainder, so that every pixel is a whole mean."""
    if info.format != "JPEG":
        return 1
    longest = max(info.width, info.height)
    return next((n for n in REDUCTIONS if info.width % n == info.height % n == 0 and longest >= n * side), 1)


def load_codec(name: str) -> None:
    """Make Pillow read the format. Raises PhotoError where its library is not installed."""
    if name == "HEIC":
        try:
            import pi_heif
        except ImportError as error:
            raise PhotoError(PhotoReason.UNSUPPORTED, "HEIC cannot be read here: send JPEG, PNG or WebP.") from error
        pi_heif.options.DECODE_THREADS = THREADS
        pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    elif name == "AVIF":
        AvifImagePlugin.DEFAULT_MAX_THREADS = THREADS
        if features.check("avif"):
            return
        raise PhotoError(PhotoReason.UNSUPPORTED, "AVIF cannot be read here: send JPEG, PNG or WebP.")


def _open(data: bytes, info: PhotoInfo) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=["HEIF" if info.format == "HEIC" else info.format])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoError(PhotoReason.TOO_MANY_PIXELS, "The photo has too many pixels: scale it down.") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads them to
        raise damaged(info) from error
    if not _is_foretold(image, info):  # the budget was for another picture
        raise damaged(info)
    if image.format not in SEVERAL_STILLS and getattr(image, "n_frames", 1) > 1:
        raise PhotoError(PhotoReason.ANIMATED, "The picture is animated: send one still frame.")
    return image


def _load(image: Image.Image, info: PhotoInfo) -> None:
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise whatever damaged data leads them to
        raise damaged(info) from error


def _is_foretold(image: Image.Image, info: PhotoInfo) -> bool:
    """Whether the library found the picture that the header tells of; libheif has already turned and cropped it."""
    if info.format == "HEIC":
        return image.width * image.height <= info.pixels
    return image.size == (info.width, info.height)


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """(height, width, 3) uint8. Converted strip by strip into the place where it stays: no second copy of it all."""
    orientation, colours = _orientation(image), Colours(image)
    width, height = image.size
    upright = np.empty((width, height, 3) if orientation > 4 else (height, width, 3), np.uint8)
    stored = _as_stored(upright, orientation)
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        stored[top : top + rows] = np.asarray(colours.to_srgb(strip))
    return upright


def _orientation(image: Image.Image) -> int:
    """1 to 8 (EXIF 2.32, table 6); 1 without EXIF or when it is damaged: the pixels are taken as they lie."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow's reader raises whatever damaged EXIF leads it to
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _as_stored(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The view of the upright picture in which the file's rows are rows."""
    if orientation > 4:
        upright = upright.swapaxes(0, 1)
    flip_x, flip_y = orientation in (2, 3, 7, 8), orientation in (3, 4, 6, 7)
    return upright[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
