"""A second, slower search of a photo in which no face was found: steep profiles, and heads that lie or hang.

The photo is looked at in two sizes, in the mirror and turned by quarters. A weak answer of the detector counts as far
as the aligner is sure of the face, and several pictures that give the same face count together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vrn.finder.aligner import Aligner
from vrn.finder.detector import Detector
from vrn.finder.face import AlignedFace, distinct, face_score
from vrn.finder.mirror import LANDMARKS as MIRROR

SIDE = 640  # px, long side of the largest picture; bounds the time
SCALES = (1.0, 0.7)  # half an octave apart, so that a face has two sizes on the detector's pyramid
WEAK = 0.15  # least score of a box
MOST_BOXES = 6  # of a picture
TOGETHER = 3  # of the pictures that give a face the best so many count
ALIKE = 0.15  # mean distance of two faces' landmarks / size of the larger, under which they are the same
LEAST_SCORE, MOST_SCORE = 0.5, 0.99  # added up; 265 pictures without faces reach 0.3 at most

Floats = NDArray[np.float64]
Picture8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Variant:
    """The photo as the finder looks at it once more.

    Attributes
    ----------
    image : (height, width, 3) uint8 - RGB
    scale : px of it per px of the photo
    mirrored : after it was scaled
    quarters : by which it was turned then, anticlockwise
    """

    image: Picture8
    scale: float
    mirrored: bool = False
    quarters: int = 0

    def to_photo(self, landmarks: Floats) -> Floats:
        """Landmarks (68, 3) of the image in the photo frame."""
        x, y, depth = landmarks.T
        height, width = self.image.shape[:2]
        for _ in range(self.quarters):
            x, y, height, width = height - 1 - y, x, width, height
        if self.mirrored:
            x, y, depth = width - 1 - x[MIRROR], y[MIRROR], depth[MIRROR]
        return np.stack([(x + 0.5) / self.scale - 0.5, (y + 0.5) / self.scale - 0.5, depth / self.scale], 1)


def variants(photo: Picture8) -> Iterator[Variant]:
    """photo : (height, width, 3) uint8 - RGB."""
    fit = min(1.0, SIDE / max(photo.shape[:2]))
    images = [(fit * scale, _scaled(photo, fit * scale)) for scale in SCALES]
    for scale, image in images:
        yield Variant(image, scale)
        yield Variant(np.ascontiguousarray(image[:, ::-1]), scale, mirrored=True)
    scale, image = images[0]
    for quarters in (1, 2, 3):
        yield Variant(np.ascontiguousarray(np.rot90(image, quarters)), scale, quarters=quarters)


@dataclass(frozen=True)
class Seen:
    """A face as one variant shows it, photo frame; verdict : the aligner's."""

    face: AlignedFace
    verdict: float


class SecondSearch:
    """Finds what the first search missed. detector : one whose threshold is `WEAK`."""

    def __init__(self, detector: Detector, aligner: Aligner) -> None:
        self._detector, self._aligner = detector, aligner

    def find(self, photo: Picture8) -> list[AlignedFace]:
        """photo : (height, width, 3) uint8 RGB -> the faces that are surely there.

        Where variants disagree, as when a hanging head is taken for an upright one, the aligner's best verdict decides.
        """
        seen = sorted(
            (face for variant in variants(photo) for face in self._seen(variant)), key=lambda one: -one.verdict
        )
        faces = [_together([other.face for other in seen if _alike(one.face, other.face)]) for one in seen]
        return distinct([face for face in faces if face.score >= LEAST_SCORE])

    def _seen(self, variant: Variant) -> Iterator[Seen]:
        boxes = sorted(self._detector.detect(variant.image), key=lambda box: -box.score)[:MOST_BOXES]
        for box, face in zip(boxes, self._aligner.align(variant.image, boxes), strict=True):
            yield Seen(AlignedFace(variant.to_photo(face.landmarks_px), face_score(box, face)), face.score)


def _alike(first: AlignedFace, second: AlignedFace) -> bool:
    """Whether two variants have the same landmarks."""
    away = (first.landmarks_px - second.landmarks_px)[:, :2]
    return float(np.linalg.norm(away, axis=1).mean()) <= ALIKE * max(first.size_px, second.size_px)


def _together(faces: Sequence[AlignedFace]) -> AlignedFace:
    """The mean of the surest of a face's variants; their scores are added up."""
    surest = sorted(faces, key=lambda face: -face.score)[:TOGETHER]
    scores = np.array([face.score for face in surest])
    landmarks = np.stack([face.landmarks_px - [0, 0, face.landmarks_px[:, 2].mean()] for face in surest])
    total = max(float(scores.sum()), np.finfo(float).tiny)
    return AlignedFace(np.tensordot(scores / total, landmarks, 1), min(total, MOST_SCORE))


def _scaled(photo: Picture8, scale: float) -> Picture8:
    size = [max(1, round(side * scale)) for side in photo.shape[1::-1]]
    return np.asarray(Image.fromarray(photo).resize((size[0], size[1]), Image.Resampling.BILINEAR))
