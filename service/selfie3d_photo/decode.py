"""From photo bytes to pixels: upright, 8 bit, sRGB, without alpha."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from selfie3d_photo.errors import PhotoError, PhotoReason
from selfie3d_photo.header import Limits, PhotoInfo, read_header

DEFAULT_LIMITS = Limits()
ICC_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # colour space of a profile -> Pillow mode it speaks of
BACKGROUND = (255, 255, 255)  # behind transparent pixels
JPEG_CHECK_SCALE = 8  # the check decodes a JPEG at 1/8 of its size: all of the file, 1/64 of the pixels


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes
    ----------
    rgb : (height, width, 3) uint8 - sRGB, photo frame (after EXIF orientation)
    info : PhotoInfo - the header, before EXIF orientation
    """

    rgb: NDArray[np.uint8]
    info: PhotoInfo


def inspect(data: bytes, limits: Limits = DEFAULT_LIMITS) -> PhotoInfo:
    """Check a photo as far as a caller should learn of it at once: header, limits, and that it decodes to its end.

    Raises PhotoError.
    """
    info, image = read_header(data, limits)
    if info.format == "JPEG":
        image.draft(None, (info.width // JPEG_CHECK_SCALE, info.height // JPEG_CHECK_SCALE))
    _load(image, info)
    return info


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Photo:
    """Decode a photo.

    JPEG, PNG or WebP; grey, palette, CMYK, 16 bit and alpha (over white) become RGB, an ICC profile is applied,
    EXIF orientation is undone. Raises PhotoError.
    """
    info, image = read_header(data, limits)
    _load(image, info)
    upright = _undo_orientation(image)
    return Photo(np.array(_to_srgb(upright)), info)


def _load(image: Image.Image, info: PhotoInfo) -> None:
    try:
        image.load()
    except Exception as error:  # Pillow's decoders raise whatever damaged data leads them to
        raise PhotoError(
            PhotoReason.CORRUPT, f"The {info.format} file is damaged or cut short: send the original file."
        ) from error


def _undo_orientation(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF: the pixels are fine, so they are taken as they lie
        return image


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _over_background(image)
    return _apply_profile(image)


def _from_16_bit(image: Image.Image) -> Image.Image:
    grey = np.asarray(image, np.uint32).clip(0, 65535) // 257
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


def _over_background(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    alpha = rgba.getchannel("A")
    colour = rgba.convert("RGB")
    colour.info["icc_profile"] = image.info.get("icc_profile")
    flat = Image.new("RGB", image.size, BACKGROUND)
    flat.paste(_apply_profile(colour), mask=alpha)
    return flat


def _apply_profile(image: Image.Image) -> Image.Image:
    """RGB through the embedded profile; without one, or with a useless one, the numbers are taken as sRGB."""
    data = image.info.get("icc_profile")
    if data:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
            mode = ICC_MODES[profile.profile.xcolor_space]
            source = image if image.mode == mode else image.convert(mode)
            converted = ImageCms.profileToProfile(source, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, KeyError, ValueError, TypeError):
            pass
    return image.convert("RGB")
