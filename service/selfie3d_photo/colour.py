"""Any mode that Pillow decodes to, made 8-bit sRGB, a strip at a time."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

ICC_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # colour space of a profile -> Pillow mode it speaks of
PICTURES = {"L": ("1", "L", "LA", "La"), "CMYK": ("CMYK",)}  # Pillow modes of pictures that such a profile can be of
BACKGROUND = (255, 255, 255)  # behind transparent pixels


class Colours:
    """How one picture's pixels become sRGB; its profile is read once."""

    def __init__(self, image: Image.Image) -> None:
        self._is_wide = image.mode.startswith("I")
        self._is_transparent = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
        self._source, self._transform = ("", None)
        if not self._is_wide:
            self._source, self._transform = _profile(image)

    def to_srgb(self, strip: Image.Image) -> Image.Image:
        """RGB of a strip of the picture."""
        if self._is_wide:
            return _from_16_bit(strip)
        if self._is_transparent:
            return self._over_background(strip)
        return self._apply_profile(strip)

    def _over_background(self, strip: Image.Image) -> Image.Image:
        rgba = strip.convert("RGBA")
        flat = Image.new("RGB", strip.size, BACKGROUND)
        flat.paste(self._apply_profile(rgba.convert("RGB")), mask=rgba.getchannel("A"))
        return flat

    def _apply_profile(self, strip: Image.Image) -> Image.Image:
        """RGB through the embedded profile; without one, or with a useless one, the numbers are taken as sRGB."""
        if self._transform is None:
            return strip if strip.mode == "RGB" else strip.convert("RGB")  # which would be a copy
        try:
            source = strip if strip.mode == self._source else strip.convert(self._source)
            converted = ImageCms.applyTransform(source, self._transform)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None
        return strip.convert("RGB") if converted is None else converted


def _profile(image: Image.Image) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """(mode that the profile speaks of, transform to sRGB); (_, None) without a useful profile."""
    data = image.info.get("icc_profile")
    if data:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
            mode = ICC_MODES[profile.profile.xcolor_space]
            if image.mode not in PICTURES.get(mode, (image.mode,)):  # a colour photo through one of grey would be grey
                return "", None
            return mode, ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
        except (ImageCms.PyCMSError, OSError, KeyError, ValueError, TypeError):
            pass
    return "", None


def _from_16_bit(strip: Image.Image) -> Image.Image:
    grey = np.asarray(strip, np.uint32).clip(0, 65535) // 257
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
