"""JPEG bytes of a picture."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITY = 93


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """image : (h, w, 3) uint8 - sRGB. Full colour resolution, so that red lips do not bleed."""
    out = BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()
