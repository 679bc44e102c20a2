"""Where the faces of a photo are: one small network on a pyramid of the photo.

The network knows faces of 14 to 48 px only; every level of the pyramid halves the photo, so larger faces appear at
that size on a later level, and a face that fills the photo on one of the last. The finest level is the photo itself or,
for larger photos, the photo at 640 px: this bounds the time. There a face must have 18 px, 2.8 % of the long side;
if nothing is found, finer levels follow down to half the photo's scale, at which a face of 40 px has 20. Where only the
photo's subject is wanted, the coarse levels come first, and a large face spares the finest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vrn.engine import Graph
from vrn.finder.config import DETECTOR_FACE_SIZE, DETECTOR_STRIDE, DetectorConfig
from vrn.finder.face import Detection

QUICK_SIDE = 640  # px, long side of the finest level of the first search
FINE_SCALE = 0.5  # of the photo, the finest level of the second search: a face of 40 px has 20
FINE_SIDE = 4096  # px, long side that the second search never exceeds: bounds memory
LEAST_SIDE = 20  # px, long side of the coarsest level
MARGIN = 16  # px of grey around every level, for faces that leave the photo
MID_GREY = 127.5  # what the network takes for nothing
CELLS = 16  # px, the network halves the picture four times
MEAN_BLOCK = 2  # levels are twice as coarse as the one before
OVERLAP = 0.35  # intersection over union above which two boxes are one face
INCLUDED = 0.7  # share of the smaller box above which it is a part of the larger one
LARGE = 3  # times as large as the finest level: whole pixels of such photos are averaged first, which is quicker
FACE_SIZES = (13.0, 56.0)  # px on a level: what the network can tell; other answers are left out


SUBJECT_SCORE = 0.8  # of a face that is surely there
SUBJECT_MARGIN = 1.25  # by which it is larger: boxes are no exact measure

Singles = NDArray[np.float32]


class Detector:
    """Boxes of faces.

    graph : of a detector's network
    threshold : 0..1, boxes that score less are left out
    """

    def __init__(self, graph: Graph, threshold: float = 0.3) -> None:
        DetectorConfig.of(graph.config)
        self._graph = graph
        self._threshold = threshold

    def detect(self, image: NDArray[np.uint8], *, subject: bool = False) -> list[Detection]:
        """image : (height, width, 3) uint8 RGB, photo frame -> boxes by descending size. subject : see
        `vrn.finder.face.Finder`."""
        side = max(image.shape[:2])
        quick = min(1.0, QUICK_SIDE / side)
        fine = min(FINE_SCALE, FINE_SIDE / side)
        boxes = self._search(image, quick, subject)
        while not boxes and quick < fine:
            quick = min(2 * quick, fine)
            boxes = self._search(image, quick, subject)
        return boxes

    def _search(self, image: NDArray[np.uint8], scale: float, subject: bool) -> list[Detection]:
        """The boxes on a pyramid whose finest level is `scale` times the photo.

        subject : leave out the finest level, which costs three quarters, where all of its faces would be smaller than
            one that is surely there
        """
        finest = None if scale * LARGE <= 1 else _scaled(image, scale)
        coarser = _scaled(image, scale / 2) if finest is None else _halved(finest)
        levels = [coarser] if max(image.shape[:2]) * scale >= 2 * LEAST_SIDE else []
        while levels and max(levels[-1].shape[1:]) >= 2 * LEAST_SIDE:
            levels.append(_halved(levels[-1]))
        found = [self._boxes_of_level(level) * _to_photo(image, level) for level in levels]
        if subject and found:
            boxes = _boxes(found)
            if any(_is_subject(box, image, scale) for box in boxes):
                return boxes
        finest = _scaled(image, scale) if finest is None else finest
        return _boxes([self._boxes_of_level(finest) * _to_photo(image, finest), *found])

    def _boxes_of_level(self, level: Singles) -> Singles:
        """(3, h, w) 0..255 -> (n, 4): score, centre x, y from the level's corner, size; px of the level."""
        height, width = level.shape[1:]
        below, right = (-(side + 2 * MARGIN) % CELLS for side in (height, width))
        margins = ((0, 0), (MARGIN, MARGIN + below), (MARGIN, MARGIN + right))
        score, x, y, size = decoded(self._graph.run(np.pad(level, margins, constant_values=MID_GREY)[None])[0][0])
        low, high = FACE_SIZES
        keep = _peaks(score) & (score >= self._threshold) & (size >= low) & (size <= high)
        x, y = x - MARGIN, y - MARGIN
        keep &= (x > -size / 4) & (x < width + size / 4) & (y > -size / 4) & (y < height + size / 4)
        return np.stack([score[keep], x[keep], y[keep], size[keep]], 1)


def _boxes(found: Sequence[Singles]) -> list[Detection]:
    """Rows of score, centre from the photo's corner and size, level by level -> the boxes that stay."""
    boxes = [
        Detection((float(x) - 0.5, float(y) - 0.5), float(size), float(score))
        for score, x, y, size in strongest(np.concatenate(found))
    ]
    return sorted(boxes, key=lambda box: -box.size_px)


def _is_subject(box: Detection, image: NDArray[np.uint8], scale: float) -> bool:
    """Whether a face is surely there and shows more of itself than any that the level of this scale can find."""
    largest = SUBJECT_MARGIN * FACE_SIZES[1] / scale  # photo px
    half = box.size_px / 2
    sides = [
        min(centre + half, side) - max(centre - half, 0.0)
        for centre, side in zip(box.centre_px, image.shape[1::-1], strict=True)
    ]
    return box.score >= SUBJECT_SCORE and min(sides) > 0 and sides[0] * sides[1] >= largest**2


def decoded(maps: Singles) -> Singles:
    """The network's maps (4, h, w) -> score 0..1, centre x, y from the picture's corner, size; px of the picture."""
    y, x = (np.arange(n, dtype=np.float32) + np.float32(0.5) for n in maps.shape[1:])
    return np.stack(
        [
            1 / (1 + np.exp(-maps[0])),
            (x + maps[1]) * DETECTOR_STRIDE,
            (y[:, None] + maps[2]) * DETECTOR_STRIDE,
            DETECTOR_FACE_SIZE * np.exp(maps[3].clip(-3, 3)),
        ]
    ).astype(np.float32)


def _peaks(score: Singles) -> NDArray[np.bool_]:
    """(h, w): whether none of the eight cells around a cell scores more."""
    framed = np.pad(score, 1, constant_values=-np.inf)
    rows = np.maximum(np.maximum(framed[:-2], framed[1:-1]), framed[2:])
    most = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return np.asarray(score == most)


def _scaled(image: NDArray[np.uint8], scale: float) -> Singles:
    """(height, width, 3) uint8 -> (3, h, w) float32, antialiased."""
    if scale != 1.0:
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        whole, gap = Image.fromarray(np.ascontiguousarray(image)), 1.0 if scale * LARGE <= 1 else None
        image = np.asarray(whole.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=gap))
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)


def _halved(level: Singles) -> Singles:
    """(3, h, w) -> half of it, rounded up: means of 2 x 2 px, or of what there is of them."""
    height, width = level.shape[1:]
    if height % MEAN_BLOCK or width % MEAN_BLOCK:
        level = np.pad(level, ((0, 0), (0, height % MEAN_BLOCK), (0, width % MEAN_BLOCK)), mode="edge")
    rows = level[:, ::2] + level[:, 1::2]
    return np.asarray((rows[..., ::2] + rows[..., 1::2]) / np.float32(4), np.float32)


def _to_photo(image: NDArray[np.uint8], level: Singles) -> Singles:
    """Factors for (score, x, y, size) from px of the level to px of the photo."""
    y, x = (photo / part for photo, part in zip(image.shape[:2], level.shape[1:], strict=True))
    return np.array([1.0, x, y, (x * y) ** 0.5], np.float32)


def strongest(boxes: Singles) -> Singles:
    """Non-maximum suppression of squares. boxes : (n, 4) - score, centre x, y, size."""
    boxes = boxes[np.argsort(-boxes[:, 0], kind="stable")]
    low, high = boxes[:, 1:3] - boxes[:, 3:] / 2, boxes[:, 1:3] + boxes[:, 3:] / 2
    sides = (np.minimum(high[:, None], high) - np.maximum(low[:, None], low)).clip(min=0)
    shared, areas = sides.prod(2), boxes[:, 3] ** 2
    alike = shared / (areas[:, None] + areas - shared) > OVERLAP
    same = alike | (shared / np.minimum(areas[:, None], areas) > INCLUDED)
    kept: list[int] = []
    for candidate in range(len(boxes)):
        if not same[candidate, kept].any():
            kept.append(candidate)
    return boxes[kept]
