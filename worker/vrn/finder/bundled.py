"""The finder that comes with the package: a detector and an aligner, trained by `selfie3d_training`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vrn.finder.aligner import Aligner
from vrn.finder.detector import Detector
from vrn.finder.face import AlignedFace, Detection, distinct, face_score, found_or_again
from vrn.finder.second_search import SecondSearch

MIN_SCORE = 0.4  # of a face: 99 % of the faces of held-out photos score more
SURE = 0.9985  # verdict of the aligner: all 122 upright faces looked at have more, 58 of 60 upside down less


class BundledFinder:
    """Finds faces of 40 px and more, from one profile to the other, rotated up to 45 degrees; lone ones of any roll.

    detector, aligner, second : share a device; without the last one nothing is searched for again
    min_score : 0..1, faces that score less are left out
    """

    def __init__(
        self, detector: Detector, aligner: Aligner, min_score: float = MIN_SCORE, second: SecondSearch | None = None
    ) -> None:
        self.detector = detector
        self.aligner = aligner
        self.second = second
        self.min_score = min_score

    def detect(self, image: NDArray[np.uint8], *, subject: bool = False) -> list[Detection]:
        """See `vrn.finder.face.Finder`."""
        return self.detector.detect(image, subject=subject)

    def align(self, image: NDArray[np.uint8], boxes: Sequence[Detection]) -> list[AlignedFace]:
        """See `vrn.finder.face.Finder`."""
        hopeful = [box for box in boxes if box.score >= self.min_score]  # the others could not reach the score
        aligned = zip(hopeful, self.aligner.align(image, hopeful), strict=True)
        faces = [replace(face, score=face_score(box, face), doubtful=face.score < SURE) for box, face in aligned]
        sure = sorted((face for face in faces if face.score >= self.min_score), key=lambda face: -face.score)
        return _by_size(distinct(sure))

    def search_again(self, image: NDArray[np.uint8]) -> list[AlignedFace]:
        """See `vrn.finder.face.Finder`."""
        found = self.second.find(image) if self.second is not None else []
        return _by_size([face for face in found if face.score >= self.min_score])

    def find(self, image: NDArray[np.uint8]) -> list[AlignedFace]:
        """See `vrn.finder.face.Finder`."""
        return found_or_again(self.align(image, self.detect(image)), lambda: self.search_again(image))


def _by_size(faces: Sequence[AlignedFace]) -> list[AlignedFace]:
    return sorted(faces, key=lambda face: -face.size_px)
