"""A third look at a face: 160 points where the aligner gives 68, so that a head can be fitted to them.

They are a part of the 478 points of the public face mesh topology, whose places on the head model are known: the lips,
the eyelids, the brows and the face's oval, and others evenly between them. The network is the aligner's with other last
layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from selfie3d.types.frames import CROP_SIZE, FACE_SIZE, Crop
from vrn.crop import sample
from vrn.errors import WeightsError
from vrn.finder.aligner import AlignerView, upright_view
from vrn.finder.networks import LightBlock, convolution, normalised
from vrn.weights import file as weights

FAMILY = "face-dense-aligner"
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
PATCH_LOOSENESS = 2.6  # side of the patch that the look is cut from / size of the face

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DenseConfig:
    """size : px of the square picture; channels : of the features at 1/2 to 1/16; head : before the heat maps."""

    size: int = 96
    channels: tuple[int, ...] = (24, 48, 96, 128)
    head: int = 64

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> DenseConfig:
        """From a weights file. Raises WeightsError."""
        if config.get("family") != FAMILY or set(config) != {"family", "size", "channels", "head"}:
            raise WeightsError(f"expected weights of the family {FAMILY!r}, found {dict(config)!r}")
        return cls(int(config["size"]), tuple(int(n) for n in config["channels"]), int(config["head"]))

    def to_dict(self) -> dict[str, Any]:
        """For a weights file."""
        return {"family": FAMILY} | asdict(self)


class DenseNetwork(nn.Module):
    """Centres of mass of heat maps for x and y, and a small fully connected branch that adds what the maps cannot say
    and gives the depth; as `vrn.finder.networks.AlignerNetwork`."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth, sixteenth = config.channels
        self.quarter = nn.Sequential(convolution(3, half, 3, 2), convolution(half, quarter, 3, 2), LightBlock(quarter))
        self.eighth = nn.Sequential(convolution(quarter, eighth, 3, 2), LightBlock(eighth), LightBlock(eighth))
        self.sixteenth = nn.Sequential(convolution(eighth, sixteenth, 3, 2), LightBlock(sixteenth))
        self.from_sixteenth = nn.Conv2d(sixteenth, config.head, 1)
        self.from_eighth = nn.Conv2d(eighth, config.head, 1)
        self.from_quarter = nn.Conv2d(quarter, config.head, 1)
        self.merge = convolution(config.head, config.head)
        self.dense_heat = nn.Conv2d(config.head, POINTS, 1)
        cells = (config.size // 16) ** 2
        self.dense_whole = nn.Sequential(
            convolution(sixteenth, 16, 1),
            nn.Flatten(),
            nn.Linear(16 * cells, 128),
            nn.ReLU(),
            nn.Linear(128, POINTS * 3),
        )
        last = self.dense_whole[-1]
        if isinstance(last, nn.Linear):
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3, size, size) 0..255 -> (n, 160, 3): x right, y down, depth to the viewer; 0 is the picture's centre,
        1 half its side. Mean depth is 0."""
        quarter = self.quarter(normalised(pictures))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        merged = self.from_eighth(eighth) + _doubled(self.from_sixteenth(sixteenth))
        merged = self.merge(functional.relu(self.from_quarter(quarter) + _doubled(merged)))
        share = functional.softmax(self.dense_heat(merged).float().flatten(2), 2)
        cells = merged.shape[-1]
        place = (torch.arange(cells, device=merged.device) + 0.5) * 2 / cells - 1
        x, y = share @ place.repeat(cells), share @ place.repeat_interleave(cells)
        points = torch.stack([x, y, torch.zeros_like(x)], 2)
        points = points + self.dense_whole(sixteenth).float().reshape(-1, POINTS, 3)
        return torch.cat([points[..., :2], points[..., 2:] - points[..., 2:].mean(1, keepdim=True)], 2)


class DenseAligner:
    """The points of a face whose 68 landmarks are known. network : in evaluation mode, on `device`."""

    def __init__(self, network: DenseNetwork, device: str = "cpu") -> None:
        self.network = network
        self.device = torch.device(device)

    @torch.inference_mode()
    def points(self, image: NDArray[np.uint8], landmarks_px: NDArray[np.floating]) -> Floats:
        """image : (height, width, 3) uint8 RGB; landmarks_px : (68, 3) -> (160, 3) float64, photo frame; depth has
        any zero."""
        patch, centre, half = patch_of(image, landmarks_px, round(self.network.config.size * 1.6))
        view = look_at(landmarks_px, centre, half)
        pictures = view.cut(torch.from_numpy(patch).permute(2, 0, 1)[None].to(self.device), self.network.config.size)
        answer = view.to_patch(self.network(pictures))[0].double().cpu().numpy()
        return np.asarray(answer * half + np.array([*centre, 0.0]))


def load_dense(path: str | Path, device: str = "cpu") -> DenseAligner:
    """Bundled weights by name, or a file. Raises WeightsError."""
    loaded = weights.load(weights.resolve(path))
    network = DenseNetwork(DenseConfig.of(loaded.config))
    weights.fill(network, loaded.tensors)
    network.eval().requires_grad_(False).to(device)
    return DenseAligner(network, device)


def patch_of(
    image: NDArray[np.uint8], landmarks_px: NDArray[np.floating], size: int
) -> tuple[NDArray[np.float32], Floats, float]:
    """The photo around a face, (size, size, 3) float32 0..255, its centre (2,) and half its side, photo px."""
    low, high = landmarks_px[:, :2].min(0), landmarks_px[:, :2].max(0)
    centre, face = np.asarray((low + high) / 2, np.float64), float(np.sqrt(np.prod(high - low)))
    crop = Crop.around((float(centre[0]), float(centre[1])), face * PATCH_LOOSENESS * FACE_SIZE / CROP_SIZE)
    return sample(image, crop, size), centre, face * PATCH_LOOSENESS / 2


def look_at(landmarks_px: NDArray[np.floating], centre: Floats, half: float) -> AlignerView:
    """The upright view of a face in a patch of the photo."""
    in_patch = (np.asarray(landmarks_px, np.float64) - np.array([*centre, 0.0])) / half
    return upright_view(torch.from_numpy(in_patch.astype(np.float32))[None])


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
