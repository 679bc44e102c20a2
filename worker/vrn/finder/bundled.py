"""The finder that comes with the package: a detector and an aligner, trained by `selfie3d_training`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vrn.finder.aligner import Aligner
from vrn.finder.detector import Detector
from vrn.finder.face import AlignedFace, Detection

MIN_SCORE = 0.4  # of a face: 99 % of the faces of held-out photos score more
VERDICT_POWER = 8  # of the aligner's verdict, which is 0.99 and more for almost every face
SAME_FACE = 0.4  # distance of two faces' centres / size of the larger, under which they are one


class BundledFinder:
    """Finds faces of 40 px and more, rotated up to 45 degrees, from one profile to the other.

    detector, aligner : share a device
    min_score : 0..1, faces that score less are left out
    """

    def __init__(self, detector: Detector, aligner: Aligner, min_score: float = MIN_SCORE) -> None:
        self.detector = detector
        self.aligner = aligner
        self.min_score = min_score

    def detect(self, image: NDArray[np.uint8], *, subject: bool = False) -> list[Detection]:
        """See `vrn.finder.face.Finder`."""
        return self.detector.detect(image, subject=subject)

    def align(self, image: NDArray[np.uint8], boxes: Sequence[Detection]) -> list[AlignedFace]:
        """See `vrn.finder.face.Finder`."""
        hopeful = [box for box in boxes if box.score >= self.min_score]  # the others could not reach the score
        aligned = zip(hopeful, self.aligner.align(image, hopeful), strict=True)
        faces = [replace(face, score=face_score(box, face)) for box, face in aligned]
        sure = [face for face in faces if face.score >= self.min_score]
        distinct: list[AlignedFace] = []
        for face in sorted(sure, key=lambda face: -face.score):
            if all(_apart(face, other) for other in distinct):
                distinct.append(face)
        return sorted(distinct, key=_size, reverse=True)

    def find(self, image: NDArray[np.uint8]) -> list[AlignedFace]:
        """See `vrn.finder.face.Finder`."""
        return self.align(image, self.detect(image))


def face_score(box: Detection, face: AlignedFace) -> float:
    """0..1, the detector's score of a box, less where the aligner has the least doubt about its face."""
    return box.score * face.score**VERDICT_POWER


def _size(face: AlignedFace) -> float:
    return float(np.sqrt(face.box_px[2] * face.box_px[3]))


def _apart(first: AlignedFace, second: AlignedFace) -> bool:
    centres = [np.add(face.box_px[:2], np.divide(face.box_px[2:], 2)) for face in (first, second)]
    distance = float(np.linalg.norm(centres[0] - centres[1]))
    return distance > SAME_FACE * max(_size(first), _size(second))
