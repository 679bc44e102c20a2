"""A face as the finder delivers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import Crop


@dataclass(frozen=True)
class Detection:
    """Where a face probably is, before its landmarks are known.

    Attributes
    ----------
    centre_px : (x, y) of the centre of the box of the 68 landmarks, photo frame
    size_px : sqrt(width * height) of that box, photo px
    score : 0..1, how sure the detector is
    """

    centre_px: tuple[float, float]
    size_px: float
    score: float

    @property
    def crop(self) -> Crop:
        """The crop by the detector's estimate."""
        return Crop.around(self.centre_px, self.size_px)


@dataclass(frozen=True)
class AlignedFace:
    """One face of a photo.

    Attributes
    ----------
    landmarks_px : (68, 3) float64 - Multi-PIE scheme, 3D (hidden side included), photo frame
    score : 0..1, how sure the finder is that this is a face
    """

    landmarks_px: NDArray[np.float64]
    score: float

    @property
    def box_px(self) -> tuple[float, float, float, float]:
        """x, y, width, height of the box of the landmarks, photo px."""
        low, high = self.landmarks_px[:, :2].min(0), self.landmarks_px[:, :2].max(0)
        return (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))

    def area_in(self, image: NDArray[np.uint8]) -> float:
        """px^2 of the box that lie in the photo, (height, width, 3) uint8."""
        x, y, width, height = self.box_px
        across = min(x + width, image.shape[1]) - max(x, 0.0)
        down = min(y + height, image.shape[0]) - max(y, 0.0)
        return float(max(across, 0.0) * max(down, 0.0))

    @property
    def crop(self) -> Crop:
        """The network's crop of this face."""
        return Crop.of_landmarks(self.landmarks_px)


class Finder(Protocol):
    """Finds the faces of a photo: first where they are, then their landmarks. Implementations: `vrn.finder`."""

    def detect(self, image: NDArray[np.uint8], *, subject: bool = False) -> list[Detection]:
        """Where faces probably are, by descending size.

        image : (height, width, 3) uint8 - RGB, photo frame
        subject : only the largest is wanted, so that smaller ones may be missing; that may be faster
        """
        ...

    def align(self, image: NDArray[np.uint8], boxes: Sequence[Detection]) -> list[AlignedFace]:
        """The landmarks of those boxes that hold a face, by descending size of the landmarks' box.

        image : (height, width, 3) uint8 - RGB, photo frame
        """
        ...

    def find(self, image: NDArray[np.uint8]) -> list[AlignedFace]:
        """The faces of the photo by descending size of the landmarks' box: `detect`, then `align`.

        image : (height, width, 3) uint8 - RGB, photo frame
        """
        ...
