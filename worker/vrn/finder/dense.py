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

# fmt: off
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
        78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415)
EYES = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
        263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)
BROWS = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
BETWEEN = (5, 6, 34, 35, 36, 94, 108, 116, 118, 137, 151, 187, 210, 213, 214, 216, 217, 219, 266, 280, 337,
           346, 348, 352, 372, 401, 416, 427, 430, 437, 447, 455)
# fmt: on
INDICES = (*LIPS, *EYES, *BROWS, *OVAL, *BETWEEN)  # of the face mesh topology, in the order of the network's points
POINTS = len(INDICES)
PATCH_PIXELS = 1.6  # of a patch per px of the network's picture

Floats = NDArray[np.float64]


class DenseAligner:
    """The points of a face whose 68 landmarks are known. graph : of a dense aligner's look."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._size = round(DenseConfig.of(graph.config).size * PATCH_PIXELS)

    def points(self, image: NDArray[np.uint8], landmarks_px: NDArray[np.floating]) -> Floats:
        """image : (height, width, 3) uint8 RGB; landmarks_px : (68, 3) -> (160, 3) float64, photo frame; depth has
        any zero."""
        patch, centre, half = patch_of(image, landmarks_px, self._size)
        landmarks = in_patch(landmarks_px, centre, half)
        (points,) = self._graph.run(patch.transpose(2, 0, 1)[None], landmarks[None])
        return np.asarray(points[0].astype(np.float64) * half + np.array([*centre, 0.0]))


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
