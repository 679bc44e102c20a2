"""Where the faces of a photo are: one small network on a pyramid of the photo.

The network knows faces of 16 to 48 px only; every level of the pyramid halves the photo, so larger faces appear at
that size on a later level, and a face that fills the photo on one of the last. The finest level is the photo itself or,
for larger photos, the photo at 640 px: this bounds the time. There a face must have 18 px, 2.8 % of the long side;
if nothing is found, finer levels follow down to half the photo's scale, at which a face of 40 px has 20.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vrn.finder.face import Detection
from vrn.finder.networks import DETECTOR_FACE_SIZE, DETECTOR_STRIDE, DetectorNetwork, normalised

QUICK_SIDE = 640  # px, long side of the finest level of the first search
FINE_SCALE = 0.5  # of the photo, the finest level of the second search: a face of 40 px has 20
FINE_SIDE = 4096  # px, long side that the second search never exceeds: bounds memory
LEAST_SIDE = 20  # px, long side of the coarsest level
MARGIN = 16  # px of grey around every level, for faces that leave the photo
CELLS = 16  # px, the network halves the picture four times
MEAN_BLOCK = 2  # levels are twice as coarse as the one before
OVERLAP = 0.35  # intersection over union above which two boxes are one face
INCLUDED = 0.7  # share of the smaller box above which it is a part of the larger one
FACE_SIZES = (13.0, 56.0)  # px on a level: what the network can tell; other answers are left out


class Detector:
    """Boxes of faces.

    network : in evaluation mode, on `device`
    threshold : 0..1, boxes that score less are left out
    """

    def __init__(self, network: DetectorNetwork, threshold: float = 0.3, device: str = "cpu") -> None:
        self.network = network
        self.threshold = threshold
        self.device = torch.device(device)

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """image : (height, width, 3) uint8 RGB, photo frame -> boxes by descending size."""
        side = max(image.shape[:2])
        quick = min(1.0, QUICK_SIDE / side)
        fine = min(FINE_SCALE, FINE_SIDE / side)
        boxes = self._search(image, quick)
        while not boxes and quick < fine:
            quick = min(2 * quick, fine)
            boxes = self._search(image, quick)
        return boxes

    @torch.inference_mode()
    def _search(self, image: NDArray[np.uint8], scale: float) -> list[Detection]:
        """The boxes on a pyramid whose finest level is `scale` times the photo."""
        level = _scaled(torch.tensor(np.ascontiguousarray(image), device=self.device), scale)
        found = []
        while True:
            found.append(self._boxes_of_level(level) * _to_photo(image, level))
            if max(level.shape[2:]) < 2 * LEAST_SIDE:
                break
            level = functional.avg_pool2d(level, MEAN_BLOCK, ceil_mode=True, count_include_pad=False)
        rows = strongest(torch.cat(found)).cpu().numpy()
        boxes = [Detection((float(x) - 0.5, float(y) - 0.5), float(size), float(score)) for score, x, y, size in rows]
        return sorted(boxes, key=lambda box: -box.size_px)

    def _boxes_of_level(self, level: Tensor) -> Tensor:
        """(1, 3, h, w) 0..255 -> (n, 4): score, centre x, y from the level's corner, size; px of the level."""
        height, width = level.shape[2:]
        below, right = (-(side + 2 * MARGIN) % CELLS for side in (height, width))
        padded = functional.pad(normalised(level), (MARGIN, MARGIN + right, MARGIN, MARGIN + below))
        score, x, y, size = decoded(self.network.maps(padded))[0]
        low, high = FACE_SIZES
        peak = functional.max_pool2d(score[None], 3, 1, 1)[0] == score
        keep = peak & (score >= self.threshold) & (size >= low) & (size <= high)
        x, y = x - MARGIN, y - MARGIN
        keep &= (x > -size / 4) & (x < width + size / 4) & (y > -size / 4) & (y < height + size / 4)
        return torch.stack([score[keep], x[keep], y[keep], size[keep]], 1)


def decoded(maps: Tensor) -> Tensor:
    """The network's maps (n, 4, h, w) -> score 0..1, centre x, y from the picture's corner, size; px of the picture."""
    maps = maps.float()
    y, x = (torch.arange(n, device=maps.device) + 0.5 for n in maps.shape[2:])
    return torch.stack(
        [
            maps[:, 0].sigmoid(),
            (x + maps[:, 1]) * DETECTOR_STRIDE,
            (y[:, None] + maps[:, 2]) * DETECTOR_STRIDE,
            DETECTOR_FACE_SIZE * maps[:, 3].clamp(-3, 3).exp(),
        ],
        1,
    )


def _scaled(image: Tensor, scale: float) -> Tensor:
    """(height, width, 3) uint8 -> (1, 3, h, w) float32, antialiased."""
    planes = image.permute(2, 0, 1)[None]
    if scale == 1.0:
        return planes.float()
    size = [max(1, round(side * scale)) for side in image.shape[:2]]
    return functional.interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False).float()


def _to_photo(image: NDArray[np.uint8], level: Tensor) -> Tensor:
    """Factors for (score, x, y, size) from px of the level to px of the photo."""
    y, x = (photo / part for photo, part in zip(image.shape[:2], level.shape[2:], strict=True))
    return torch.tensor([1.0, x, y, (x * y) ** 0.5], device=level.device)


def strongest(boxes: Tensor) -> Tensor:
    """Non-maximum suppression of squares. boxes : (n, 4) - score, centre x, y, size."""
    order = boxes[:, 0].argsort(descending=True)
    boxes = boxes[order]
    low, high = boxes[:, 1:3] - boxes[:, 3:] / 2, boxes[:, 1:3] + boxes[:, 3:] / 2
    sides = (torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low)).clamp(min=0)
    shared, areas = sides.prod(2), boxes[:, 3] ** 2
    alike = shared / (areas[:, None] + areas - shared) > OVERLAP
    same = alike | (shared / torch.minimum(areas[:, None], areas) > INCLUDED)
    kept: list[int] = []
    for candidate in range(len(boxes)):
        if not same[candidate, kept].any():
            kept.append(candidate)
    return boxes[kept]
