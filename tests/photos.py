"""Photos for tests, all from what scikit-image ships."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image
from skimage import data as pictures


def encode(image: Image.Image, name: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def astronaut(**options: Any) -> bytes:
    """JPEG of the astronaut portrait (NASA, public domain): one face, 512 x 512 px."""
    return encode(Image.fromarray(pictures.astronaut()), quality=options.pop("quality", 92), **options)


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
