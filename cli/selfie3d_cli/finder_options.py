"""The face finder that the environment names, for what runs in this process."""

from __future__ import annotations

import os
from typing import Any

PREFIX = "SELFIE3D_FACE_ALIGNMENT_"  # WEIGHTS, LANDMARKS, DETECTOR, FLIP, as a worker reads them


def finder_options(aligner: str) -> dict[str, Any]:
    """The options of `vrn.finder.load_finder` for a finder; the bundled one has none."""
    if aligner != "face-alignment":
        return {}
    given = {name: os.environ.get(f"{PREFIX}{name.upper()}") for name in ("weights", "landmarks", "detector")}
    flip = os.environ.get(f"{PREFIX}FLIP", "").lower() in ("1", "true", "yes", "on")
    return {name: value for name, value in given.items() if value} | {"flip": flip}
