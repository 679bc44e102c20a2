"""Samples and loss of the dense aligner: 160 points of a face, seen once more from its 68 landmarks.

The truth is where the fitted heads have the points, on the hidden side too. The look starts from the aligner's own
landmarks, a little disturbed.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from selfie3d.types.frames import transform
from selfie3d_training.engine import Batch
from selfie3d_training.finder.augment import degraded
from selfie3d_training.guided.config import MOST_RESIDUAL
from selfie3d_training.guided.pairs import HeadMaterial, dense_points
from selfie3d_training.guided.train import start_from
from selfie3d_training.photos import Image
from vrn.finder.config import LOOSENESS, DenseConfig
from vrn.finder.dense_network import DenseNetwork
from vrn.weights import file as weights

ROLL, SCALE, SHIFT = 5.0, 0.06, 0.03  # standard deviations of the look: degrees, logarithm, share of the face
TURNED = 0.4  # share of the samples that are turned views
DEPTH_WEIGHT = 0.5
ALIGNER_HEAD = "heat.weight"  # a tensor that only an aligner has
YAW_FROM, YAW_BOOST = (25.0, 40.0), (2.5, 5.0)

Floats = NDArray[np.float64]
Rng = np.random.Generator


class DenseSamples:
    """See `selfie3d_training.finder.train.Samples`."""

    def __init__(self, material: HeadMaterial, config: DenseConfig, initial: str | None = None) -> None:
        self.material, self._config, self._initial = material, config, initial
        self._points = dense_points(material.model, material.coefficients)
        self._mirrored = dense_points(material.model, material.swap(material.coefficients))
        self._ids = material.ids("train", MOST_RESIDUAL)
        yaw = np.abs(material.photos.labels.yaw[self._ids])
        chances = np.ones(len(yaw))
        for limit, boost in zip(YAW_FROM, YAW_BOOST, strict=True):
            chances[yaw > limit] = boost
        self._chances = np.cumsum(chances) / chances.sum()
        self._views = np.flatnonzero(np.isin(material.views.photos, self._ids))

    def network(self) -> DenseNetwork:
        """A network that starts from the aligner, or from weights of its own kind."""
        network = DenseNetwork(self._config)
        if self._initial:
            path = weights.resolve(self._initial)
            start_from(network, path)
            tensors = weights.load(path).tensors
            if ALIGNER_HEAD in tensors:
                start_at_landmarks(network, tensors, self.material)
        return network

    def refresh(self) -> None:
        """Nothing changes."""

    def batch(self, rng: Rng, count: int) -> Batch:
        """pictures (n, 3, size, size) uint8 and points (n, 160, 3) float32 from -1 to 1."""
        samples = [self.sample(rng) for _ in range(count)]
        pictures = torch.from_numpy(np.stack([image for image, _ in samples])).permute(0, 3, 1, 2)
        return {"pictures": pictures, "points": torch.from_numpy(np.stack([points for _, points in samples])).float()}

    def sample(self, rng: Rng) -> tuple[Image, Floats]:
        """A picture and its points."""
        material = self.material
        if len(self._views) and rng.random() < TURNED:
            index = int(rng.choice(self._views))
            source, found = material.of_view(index), material.found_views[index]
        else:
            photo = int(self._ids[int(np.searchsorted(self._chances, rng.random()))])
            source, found = material.of_photo(photo), material.found_photos[photo]
        mirrored = rng.random() < 0.5
        points = self._mirrored[source.photo] * [-1, 1, 1] if mirrored else self._points[source.photo]
        image, points = cut(source.image, found, transform(source.matrix, points), rng, self._config.size)
        if mirrored:
            image, points = np.ascontiguousarray(image[:, ::-1]), points * [-1, 1, 1]
        return degraded(image, rng), points

    def terms(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The loss, and the mean errors as shares of the face."""
        away = (network(batch["pictures"]) - batch["points"]).abs() * LOOSENESS / 2
        flat, depth = away[..., :2].mean(), away[..., 2].mean()
        loss: Tensor = 10 * (flat + DEPTH_WEIGHT * depth)
        return {"loss": loss, "error": away[..., :2].norm(dim=2).mean(), "depth": depth}


@torch.no_grad()
def start_at_landmarks(network: DenseNetwork, aligner: Mapping[str, Tensor], material: HeadMaterial) -> None:
    """Let every point start where the aligner sees the nearest of its 68 landmarks, moved as on the mean head."""
    model = material.model
    points = dense_points(material.model, material.coefficients.mean(0, keepdims=True))[0]
    landmarks = model.landmarks(model.vertices(material.coefficients.mean(0)))
    nearest = np.linalg.norm(points[:, None] - landmarks[None], axis=-1).argmin(1)
    size = float(np.sqrt(np.prod(np.ptp(landmarks[:, :2], axis=0))))
    offset = (points - landmarks[nearest]) * [1, -1, 1] * 2 / (size * LOOSENESS)
    of = torch.from_numpy(nearest)
    state = network.state_dict()
    state["dense_heat.weight"].copy_(aligner["heat.weight"][of])
    state["dense_heat.bias"].copy_(aligner["heat.bias"][of])
    for name, value in aligner.items():
        if name.startswith("whole.") and name.removeprefix("whole.").split(".")[0] != "4":
            state[f"dense_{name}"].copy_(value)
    rows = (1 + 3 * of[:, None] + torch.arange(3)).flatten()
    state["dense_whole.4.weight"].copy_(aligner["whole.4.weight"][rows])
    state["dense_whole.4.bias"].copy_(aligner["whole.4.bias"][rows] + torch.from_numpy(offset).float().flatten())


def cut(image: Image, landmarks: Floats, points: Floats, rng: Rng | None, size: int) -> tuple[Image, Floats]:
    """The upright look at a face: (size, size, 3) uint8 and the points from -1 to 1, mean depth 0."""
    across = landmarks[42:48, :2].mean(0) - landmarks[36:42, :2].mean(0)
    down = landmarks[8, :2] - landmarks[27, :2]
    roll = -np.arctan2(across[1] - down[0], across[0] + down[1])
    if rng is not None:
        roll += np.radians(ROLL * _bounded(rng))
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    turned = landmarks[:, :2] @ turn.T
    low, high = turned.min(0), turned.max(0)
    face = float(np.sqrt(np.prod(high - low)))
    centre, extent = (low + high) / 2, face * LOOSENESS
    if rng is not None:
        centre = centre + SHIFT * face * np.array([_bounded(rng), _bounded(rng)])
        extent *= float(np.exp(SCALE * _bounded(rng)))
    matrix = size / extent * np.c_[turn, -centre]
    matrix[:, 2] += (size - 1) / 2
    flat = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    depth = points[:, 2:] - points[:, 2:].mean()
    borders = (cv2.BORDER_REFLECT, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)
    border = borders[0 if rng is None else int(rng.choice(3, p=[0.7, 0.15, 0.15]))]
    shrink = extent / size
    if shrink > 1.3:  # px of the photo per px of the picture
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 * shrink), np.uint8)
    picture = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(picture, np.uint8), np.c_[(flat + 0.5) * 2 / size - 1, depth * 2 / extent]


def _bounded(rng: Rng) -> float:
    return float(np.clip(rng.normal(), -2.5, 2.5))
