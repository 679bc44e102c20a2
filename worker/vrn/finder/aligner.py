"""The 68 landmarks of a face whose box is roughly known.

The photo is sampled once around the box. The network then looks twice: at the box as the detector gave it, and, after
the first answer, at a crop that is centred, scaled and turned upright by that answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from selfie3d.types.frames import CROP_SIZE, FACE_SIZE, Crop
from vrn.crop import sample
from vrn.finder.face import AlignedFace, Detection
from vrn.finder.networks import AlignerNetwork

LOOSENESS = 1.7  # side of the network's picture / size of the face's box
PATCH_LOOSENESS = 2.6  # side of the patch of the photo that both looks are cut from / size of the detector's box
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)  # of the subject
LOOKS = 2


@dataclass(frozen=True)
class AlignerView:
    """A square looked at: ``patch = centre + half * rotation(roll) @ view``, view coordinates from -1 to 1.

    Attributes
    ----------
    centre : (n, 2) float - patch coordinates, -1 to 1
    half : (n,) float - half the side
    roll : (n,) float - radians, clockwise as seen
    """

    centre: Tensor
    half: Tensor
    roll: Tensor

    def matrix(self) -> Tensor:
        """(n, 2, 3), view to patch."""
        cos, sin = self.roll.cos() * self.half, self.roll.sin() * self.half
        turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
        return torch.cat([turn, self.centre[:, :, None]], 2)

    def cut(self, patches: Tensor, size: int) -> Tensor:
        """(n, 3, h, h) -> (n, 3, size, size)."""
        grid = functional.affine_grid(self.matrix(), [len(patches), 3, size, size], align_corners=False)
        return functional.grid_sample(patches, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def to_patch(self, landmarks: Tensor) -> Tensor:
        """Landmarks (n, 68, 3) of the view to the patch, depth in the same unit."""
        matrix = self.matrix()
        flat = landmarks[..., :2] @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]
        return torch.cat([flat, landmarks[..., 2:] * self.half[:, None, None]], 2)


class Aligner:
    """Landmarks and a verdict for every box.

    network : in evaluation mode, on `device`
    """

    def __init__(self, network: AlignerNetwork, device: str = "cpu") -> None:
        self.network = network
        self.device = torch.device(device)

    @torch.inference_mode()
    def align(self, image: NDArray[np.uint8], boxes: Sequence[Detection]) -> list[AlignedFace]:
        """image : (height, width, 3) uint8 RGB, photo frame -> a face per box; its score is the aligner's alone."""
        if not boxes:
            return []
        picture = self.network.config.size
        patches = self._patches(image, boxes, round(picture * PATCH_LOOSENESS / LOOSENESS))
        landmarks, none = torch.zeros(0), torch.zeros(len(boxes), device=self.device)
        view = AlignerView(torch.stack([none, none], 1), none + LOOSENESS / PATCH_LOOSENESS, none)
        verdicts = []
        for _ in range(LOOKS):
            answer, logit = self.network(view.cut(patches, picture))
            landmarks = view.to_patch(answer)
            verdicts.append(logit.sigmoid())
            view = upright_view(landmarks)
        scores = torch.stack(verdicts).amin(0).tolist()
        answers = landmarks.double().cpu().numpy()
        return [
            AlignedFace(_to_photo(points, box), score)
            for points, box, score in zip(answers, boxes, scores, strict=True)
        ]

    def _patches(self, image: NDArray[np.uint8], boxes: Sequence[Detection], size: int) -> Tensor:
        """(n, 3, size, size) 0..255: what lies around each box."""
        crops = [Crop.around(box.centre_px, box.size_px * PATCH_LOOSENESS * FACE_SIZE / CROP_SIZE) for box in boxes]
        patches = torch.from_numpy(np.stack([sample(image, crop, size) for crop in crops]))
        return patches.permute(0, 3, 1, 2).to(self.device)


def _to_photo(landmarks: NDArray[np.float64], box: Detection) -> NDArray[np.float64]:
    """(68, 3) from patch coordinates to the photo frame."""
    centre = np.array([*box.centre_px, 0.0])
    return np.asarray(landmarks * (box.size_px * PATCH_LOOSENESS / 2) + centre, np.float64)


def upright_view(landmarks: Tensor) -> AlignerView:
    """The view in which a face is centred, upright and of the usual size.

    landmarks : (n, 68, 3) - patch coordinates
    """
    flat = landmarks[..., :2]
    across = flat[:, LEFT_EYE].mean(1) - flat[:, RIGHT_EYE].mean(1)
    down = flat[:, 8] - flat[:, 27]  # chin and the nose's root: sure where the eyes lie behind one another
    roll = torch.atan2(across[:, 1] - down[:, 0], across[:, 0] + down[:, 1])
    upright = AlignerView(torch.zeros_like(flat[:, 0]), torch.ones_like(roll), -roll).to_patch(landmarks)[..., :2]
    low, high = upright.amin(1), upright.amax(1)
    middle = ((low + high) / 2)[:, None]
    centre = AlignerView(torch.zeros_like(flat[:, 0]), torch.ones_like(roll), roll).to_patch(
        functional.pad(middle, (0, 1))
    )[:, 0, :2]
    half = (high - low).prod(1).sqrt().clamp(0.1, 2.0) * LOOSENESS / 2
    return AlignerView(centre, half, roll)
