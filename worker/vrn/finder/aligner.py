"""The 68 landmarks of a face whose box is roughly known.

The photo is sampled once around the box. The network then looks twice: at the box as the detector gave it, and, after
the first answer, at a crop that is centred, scaled and turned upright by that answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import CROP_SIZE, FACE_SIZE, Crop
from vrn.crop import sample
from vrn.engine import Graph
from vrn.finder.config import LOOSENESS, PATCH_LOOSENESS, AlignerConfig
from vrn.finder.face import AlignedFace, Detection


class Aligner:
    """Landmarks and a verdict for every box. graph : of an aligner's two looks."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._size = round(AlignerConfig.of(graph.config).size * PATCH_LOOSENESS / LOOSENESS)  # px of a patch

    def align(self, image: NDArray[np.uint8], boxes: Sequence[Detection]) -> list[AlignedFace]:
        """image : (height, width, 3) uint8 RGB, photo frame -> a face per box; its score is the aligner's alone."""
        if not boxes:
            return []
        landmarks, scores = self._graph.run(np.stack([self._patch(image, box) for box in boxes]))
        return [
            AlignedFace(_to_photo(points.astype(np.float64), box), float(score))
            for points, score, box in zip(landmarks, scores, boxes, strict=True)
        ]

    def _patch(self, image: NDArray[np.uint8], box: Detection) -> NDArray[np.float32]:
        """(3, size, size) 0..255: what lies around the box."""
        crop = Crop.around(box.centre_px, box.size_px * PATCH_LOOSENESS * FACE_SIZE / CROP_SIZE)
        return sample(image, crop, self._size).transpose(2, 0, 1)


def _to_photo(landmarks: NDArray[np.float64], box: Detection) -> NDArray[np.float64]:
    """(68, 3) from patch coordinates to the photo frame."""
    centre = np.array([*box.centre_px, 0.0])
    return np.asarray(landmarks * (box.size_px * PATCH_LOOSENESS / 2) + centre, np.float64)
