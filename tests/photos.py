"""Photos for tests, all from what scikit-image ships."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageOps
from skimage import data as pictures

pillow_heif.register_heif_opener()


def encode(image: Image.Image, name: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def astronaut(**options: Any) -> bytes:
    """JPEG of the astronaut portrait (NASA, public domain): one face, 512 x 512 px."""
    return encode(Image.fromarray(pictures.astronaut()), quality=options.pop("quality", 92), **options)


def as_heic(image: Image.Image, *, tile: int = 0, **options: Any) -> bytes:
    """HEIC; with `tile` as phones write it, a grid of coded squares. EXIF orientation becomes HEIF's own, too."""
    if "exif" in options:
        options["exif"] = options["exif"].tobytes()
    pillow_heif.options.GRID_TILE_SIZE = tile
    return encode(image, "HEIF", **options)


def as_heic_of_10_bits(rgb: Any, **options: Any) -> bytes:
    """HEIC of 10 bits without subsampling, of (height, width, 3) uint8."""
    buffer = io.BytesIO()
    wide = rgb.astype(np.uint16) * 257
    pillow_heif.options.GRID_TILE_SIZE = 0
    picture = pillow_heif.from_bytes("RGB;16", (rgb.shape[1], rgb.shape[0]), wide.tobytes())
    picture.save(buffer, chroma=444, **options)
    return buffer.getvalue()


def mirrored_astronaut() -> bytes:
    """JPEG of the astronaut, mirrored."""
    return encode(ImageOps.mirror(Image.fromarray(pictures.astronaut())), quality=92)


def coffee() -> bytes:
    """JPEG of a cup of coffee: no face, 600 x 400 px."""
    return encode(Image.fromarray(pictures.coffee()), quality=90)


def two_faces() -> bytes:
    """JPEG of the astronaut beside a smaller astronaut: two faces, 800 x 512 px."""
    canvas = Image.new("RGB", (800, 512), (120, 130, 140))
    portrait = Image.fromarray(np.ascontiguousarray(pictures.astronaut()))
    canvas.paste(portrait, (0, 0))
    canvas.paste(portrait.crop((80, 0, 380, 300)).resize((240, 240), Image.Resampling.LANCZOS), (540, 120))
    return encode(canvas, quality=92)
