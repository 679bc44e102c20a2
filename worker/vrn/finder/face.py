"""A face as the finder delivers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import Crop

VERDICT_POWER = 8  # of the aligner's verdict, which is 0.99 and more for almost every face
SAME_FACE = 0.4  # distance of two faces' centres / size of the larger, under which they are one


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
    doubtful : a more thorough search may know better; so it is of most heads that hang upside down
    """

    landmarks_px: NDArray[np.float64]
    score: float
    doubtful: bool = False

    @property
    def box_px(self) -> tuple[float, float, float, float]:
        """x, y, width, height of the box of the landmarks, photo px."""
        low, high = self.landmarks_px[:, :2].min(0), self.landmarks_px[:, :2].max(0)
        return (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))

    @property
    def size_px(self) -> float:
        """sqrt(width * height) of the box of the landmarks, photo px."""
        return float(np.sqrt(self.box_px[2] * self.box_px[3]))

    @property
    def roll(self) -> float:
        """Radians by which the face is tilted clockwise: by its eyes, and by nose and chin where they lie behind one
        another."""
        across = self.landmarks_px[42:48, :2].mean(0) - self.landmarks_px[36:42, :2].mean(0)
        down = self.landmarks_px[8, :2] - self.landmarks_px[27, :2]
        return float(np.arctan2(across[1] - down[0], across[0] + down[1]))

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


def face_score(box: Detection, face: AlignedFace) -> float:
    """0..1, the detector's score of a box, less where the aligner has the least doubt about its face."""
    return box.score * face.score**VERDICT_POWER


def same_face(first: AlignedFace, second: AlignedFace) -> bool:
    """Whether two faces lie at the same place."""
    centres = [np.add(face.box_px[:2], np.divide(face.box_px[2:], 2)) for face in (first, second)]
    return float(np.linalg.norm(centres[0] - centres[1])) <= SAME_FACE * max(first.size_px, second.size_px)


def distinct(faces: Sequence[AlignedFace]) -> list[AlignedFace]:
    """Of faces at the same place the first."""
    kept: list[AlignedFace] = []
    for face in faces:
        if not any(same_face(face, other) for other in kept):
            kept.append(face)
    return kept


def found_or_again(found: list[AlignedFace], again: Callable[[], list[AlignedFace]]) -> list[AlignedFace]:
    """Where no face is beyond doubt, what a second search finds, if it finds any."""
    return (again() or found) if all(face.doubtful for face in found) else found


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

    def search_again(self, image: NDArray[np.uint8]) -> list[AlignedFace]:
        """What a slower search finds where `detect` and `align` found none but doubtful faces; by descending size.

        image : (height, width, 3) uint8 - RGB, photo frame
        """
        ...

    def find(self, image: NDArray[np.uint8]) -> list[AlignedFace]:
        """The faces of the photo by descending size of the landmarks' box: `detect`, then `align`, then perhaps
        `search_again`.

        image : (height, width, 3) uint8 - RGB, photo frame
        """
        ...
