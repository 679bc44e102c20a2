"""A third look at a face: 160 points where the aligner gives 68, so that a head can be fitted to them.

They are a part of the 478 points of the public face mesh topology, whose places on the head model are known: the lips,
the eyelids, the brows and the face's oval, and others evenly between them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import CROP_SIZE, FACE_SIZE, Crop
from vrn.crop import sample
from vrn.engine import Engine, Graph, open_graph
from vrn.finder.config import DENSE, PATCH_LOOSENESS, DenseConfig
from vrn.finder.dense_points import INDICES
from vrn.finder.mirror import LANDMARKS, of_dense

POINTS = len(INDICES)
MIRRORED = np.array([-1, 1, 1], np.float32)
PATCH_PIXELS = 1.6  # of a patch per px of the network's picture

Floats = NDArray[np.float64]


class DenseAligner:
    """The points of a face whose 68 landmarks are known, seen in the photo and in its mirror image.

    graph : of a dense aligner's look
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._size = round(DenseConfig.of(graph.config).size * PATCH_PIXELS)

    def points(self, image: NDArray[np.uint8], landmarks_px: NDArray[np.floating]) -> Floats:
        """image : (height, width, 3) uint8 RGB; landmarks_px : (68, 3) -> (160, 3) float64, photo frame; depth has
        any zero."""
        patch, centre, half = patch_of(image, landmarks_px, self._size)
        landmarks = in_patch(landmarks_px, centre, half)
        patches, both = (
            np.stack([one, other])
            for one, other in ((patch, patch[:, ::-1]), (landmarks, landmarks[LANDMARKS] * MIRRORED))
        )
        (answers,) = self._graph.run(np.ascontiguousarray(patches.transpose(0, 3, 1, 2)), both)
        return np.asarray(averaged(*answers.astype(np.float64)) * half + np.array([*centre, 0.0]))


def averaged(points: Floats, mirrored: Floats) -> Floats:
    """(160, 3) - the mean of what is seen in a patch and in its mirror image, of the points that have a partner."""
    at, partner = of_dense()
    answer = points.copy()
    answer[at] = (points[at] + mirrored[partner] * MIRRORED) / 2
    return answer


def load_dense(path: str | Path, engine: Engine | None = None) -> DenseAligner:
    """Bundled weights by name, or a file. Raises WeightsError."""
    return DenseAligner(open_graph(path, (DENSE,), engine))


def patch_of(
    image: NDArray[np.uint8], landmarks_px: NDArray[np.floating], size: int
) -> tuple[NDArray[np.float32], Floats, float]:
    """The photo around a face, (size, size, 3) float32 0..255, its centre (2,) and half its side, photo px."""
    low, high = landmarks_px[:, :2].min(0), landmarks_px[:, :2].max(0)
    centre, face = np.asarray((low + high) / 2, np.float64), float(np.sqrt(np.prod(high - low)))
    crop = Crop.around((float(centre[0]), float(centre[1])), face * PATCH_LOOSENESS * FACE_SIZE / CROP_SIZE)
    return sample(image, crop, size), centre, face * PATCH_LOOSENESS / 2


def in_patch(landmarks_px: NDArray[np.floating], centre: Floats, half: float) -> NDArray[np.float32]:
    """(68, 3) float32 - a face's landmarks in the coordinates of a patch of the photo, -1 to 1."""
    return np.asarray((np.asarray(landmarks_px, np.float64) - np.array([*centre, 0.0])) / half, np.float32)
