"""The texture chart: one layout for every head, so that textures can be swapped and averaged.

Skin and scalp are one island with its seam behind; the eyes, the inside of the mouth and the neck's cap are discs of
their own. `python -m selfie3d_training head-chart` made it, once, from the head model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.raster import crossings, foremost
from vrn.errors import WeightsError

CHART_FILE = Path(__file__).with_name("chart.npz")
UV_STEPS = 65535  # of a coordinate in the file
MARGIN = 0.008  # of the picture between islands and around them
DISC = 0.15  # side of the squares of the small islands, below from the left: eyes, mouth, neck's cap, an eyeball
BAND = 128  # rows of a picture that are covered at once; all 2048 would take 0.6 GB meanwhile
EYEBALL = (4 * DISC + MARGIN, MARGIN, DISC - 2 * MARGIN)  # left, bottom and side of the eyeball's square

Singles = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Chart:
    """Where the head model's triangles lie in the texture.

    Attributes
    ----------
    uv : (k, 2) float32 - u to the right, v up, 0..1
    source : (k,) int64 - the model's vertex: the model's own in their order, then those of the seams' other sides
    triangles : (t, 3) int64 - the model's triangles, in its order, in these k places
    """

    uv: Singles
    source: Integers
    triangles: Integers

    @classmethod
    def load(cls, path: Path | str = CHART_FILE) -> Chart:
        """Raises WeightsError when the file is missing or no chart."""
        try:
            with np.load(path) as arrays:
                uv = arrays["uv"].astype(np.float32) / np.float32(UV_STEPS)
                return cls(uv, arrays["source"].astype(np.int64), arrays["triangles"].astype(np.int64))
        except (OSError, KeyError, ValueError) as error:
            raise WeightsError(f"{path} is no chart: {error}") from error

    def pixels(self, size: int) -> tuple[Integers, Singles]:
        """Which triangle covers each pixel of a picture of size x size, and where in it.

        Returns (size, size) int64, -1 where there is none, and barycentric weights (size, size, 3) float32.
        """
        at = np.zeros((len(self.uv), 3))
        at[:, 0], at[:, 1] = self.uv[:, 0] * size - 0.5, (1 - self.uv[:, 1]) * size - 0.5
        bands = [self._band(at, top, min(BAND, size - top), size) for top in range(0, size, BAND)]
        triangle, weights = (np.concatenate(parts) for parts in zip(*bands, strict=True))
        return triangle, weights

    def _band(self, at: NDArray[np.float64], top: int, rows: int, size: int) -> tuple[Integers, Singles]:
        """Some rows of `pixels`."""
        triangle, two, _ = foremost(crossings(at - [0, top, 0], self.triangles, rows, size), rows, size)
        return triangle, np.concatenate([1 - two.sum(-1, keepdims=True), two], -1)


@lru_cache(maxsize=1)
def load_chart() -> Chart:
    """The chart that comes with the package, read once."""
    return Chart.load()
