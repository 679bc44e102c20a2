"""What the aligner learns from: faces cut out as the detector and its own first look deliver them, and non-faces."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from selfie3d_training.finder.augment import covered, degraded
from selfie3d_training.finder.faces import FacePicture, FaceSource, box_of, mirrored
from selfie3d_training.finder.nonfaces import NonFaces, cut
from selfie3d_training.photos import Image
from vrn.finder.config import LOOSENESS, AlignerConfig
from vrn.finder.face import AlignedFace
from vrn.finder.networks import AlignerNetwork

BACKGROUND = 0.28  # share of samples that show no face
HARD = 0.4  # share of these that a detector took for faces, as long as there are any
WAYWARD = 0.08  # share of samples that show a part of a face, or a face far too small
FIRST_LOOK = 0.5  # share of the faces that are cut out as the detector does it, the others as for the second look
DEPTH_WEIGHT, VERDICT_WEIGHT = 0.5, 0.15  # in the loss, beside 1 for x and y

Rng = np.random.Generator


@dataclass(frozen=True)
class Jitter:
    """How far a cut is from the perfect one: standard deviations, each cut off at 2.5 of them.

    Attributes
    ----------
    roll : degrees; spread evenly instead in half of the cuts if `wide_roll` is not 0
    scale : of the logarithm
    shift : share of the face's size, each of x and y
    wide_roll : degrees to either side
    """

    roll: float
    scale: float
    shift: float
    wide_roll: float = 0.0


FIRST = Jitter(roll=14, scale=0.13, shift=0.08, wide_roll=52)
SECOND = Jitter(roll=5, scale=0.06, shift=0.03)


class AlignerSamples:
    """Samples and loss of the aligner.

    hard : (n, side, side, 3) uint8 - what a detector took for faces, see `finder-mine`; may be empty
    """

    def __init__(
        self, faces: FaceSource, nonfaces: NonFaces, config: AlignerConfig, hard: NDArray[np.uint8] | None = None
    ) -> None:
        self.faces, self.nonfaces, self.config = faces, nonfaces, config
        self.hard = np.zeros((0, 1, 1, 3), np.uint8) if hard is None else hard

    def network(self) -> AlignerNetwork:
        """An untrained network."""
        return AlignerNetwork(self.config)

    def refresh(self) -> None:
        """Take in new turned views."""
        self.faces.refresh()

    def batch(self, rng: Rng, count: int) -> dict[str, Tensor]:
        """picture (n, 3, size, size) 0..255, landmarks (n, 68, 3) from -1 to 1 and face (n,), 1 or 0."""
        samples = [self.sample(rng) for _ in range(count)]
        pictures = torch.from_numpy(np.stack([image for image, _ in samples])).permute(0, 3, 1, 2)
        landmarks = np.stack([np.zeros((68, 3)) if known is None else known for _, known in samples])
        truth = torch.tensor([known is not None for _, known in samples], dtype=torch.float32)
        return {"picture": pictures, "landmarks": torch.from_numpy(landmarks).float(), "face": truth}

    def terms(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss and what it is made of; `error` is a distance in face sizes, `right` a share of verdicts."""
        known, truth = batch["landmarks"], batch["face"]
        landmarks, logits = network(batch["picture"])
        sizes = (known[..., :2].amax(1) - known[..., :2].amin(1)).prod(1).sqrt().clamp(min=1e-3)
        away = (landmarks - known).abs() / sizes[:, None, None] * truth[:, None, None]
        faces = truth.sum().clamp(min=1)
        flat, depth = away[..., :2].sum() / (faces * 136), away[..., 2].sum() / (faces * 68)
        verdict = nn.functional.binary_cross_entropy_with_logits(logits, truth)
        error = away[..., :2].detach().norm(dim=2).mean(1).sum() / faces
        right = ((logits > 0) == (truth > 0.5)).float().mean()
        loss = 10 * (flat + DEPTH_WEIGHT * depth) + VERDICT_WEIGHT * verdict * 10
        return {"loss": loss, "error": error, "depth": depth, "verdict": verdict, "right": right}

    def sample(self, rng: Rng) -> tuple[Image, NDArray[np.float64] | None]:
        """A picture and its landmarks from -1 to 1, or None for a non-face."""
        kind = rng.random()
        if kind < BACKGROUND:
            return degraded(self.nonface(rng), rng), None
        picture = self.faces.draw(rng)
        if rng.random() < 0.5:
            picture = mirrored(picture)
        if kind < BACKGROUND + WAYWARD:
            return degraded(wayward(picture, rng, self.config.size), rng), None
        jitter = FIRST if rng.random() < FIRST_LOOK else SECOND
        if rng.random() < 0.15:
            picture = bordered(picture, rng)
        image, landmarks = cut_out(picture, jitter, rng, self.config.size)
        if rng.random() < 0.2:
            centre, size = box_of((landmarks + 1) * self.config.size / 2)
            image = covered(image, self.nonfaces.draw(rng), centre, size, rng)
        return degraded(image, rng), landmarks

    def nonface(self, rng: Rng) -> Image:
        """(size, size, 3) uint8 without a face: anything, or what a detector took for one."""
        side = self.config.size
        if len(self.hard) and rng.random() < HARD:
            picture = self.hard[int(rng.integers(len(self.hard)))]
            return cut(picture, rng, side, 0.85 * len(picture) / side, 1.0 * len(picture) / side, 45)
        return cut(self.nonfaces.draw(rng), rng, side, 0.4, self.nonfaces.size / side, 45)


def cut_out(picture: FacePicture, jitter: Jitter, rng: Rng, side: int) -> tuple[Image, NDArray[np.float64]]:
    """The face as a network sees it: (side, side, 3) uint8 and its landmarks from -1 to 1."""
    wide = jitter.wide_roll > 0 and rng.random() < 0.5
    roll = rng.uniform(-1, 1) * jitter.wide_roll if wide else jitter.roll * _bounded(rng)
    upright = 0.0 if jitter.wide_roll else AlignedFace(picture.landmarks, 1.0).roll
    turn = _rotation(np.deg2rad(roll) - upright)
    turned = picture.landmarks[:, :2] @ turn.T
    centre, size = box_of(turned)
    centre = centre + jitter.shift * size * np.array([_bounded(rng), _bounded(rng)])
    scale = side / (size * LOOSENESS * np.exp(jitter.scale * _bounded(rng)))
    matrix = scale * np.c_[turn, -centre]
    matrix[:, 2] += (side - 1) / 2
    flat = picture.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    depth = picture.landmarks[:, 2:] * scale
    landmarks = np.c_[(flat + 0.5) * 2 / side - 1, (depth - depth.mean()) * 2 / side]
    return _warped(picture.image, matrix, side, rng), landmarks


def wayward(picture: FacePicture, rng: Rng, side: int) -> Image:
    """A piece of a face, or a face far too small in its surroundings: (side, side, 3) uint8."""
    centre, size = box_of(picture.landmarks)
    kind = rng.random()
    if kind < 0.5:  # a part
        extent, away = size * LOOSENESS * rng.uniform(0.15, 0.38), rng.uniform(-0.45, 0.45, 2)
    elif kind < 0.8:  # beside
        angle = rng.uniform(0, 2 * np.pi)
        extent = size * LOOSENESS * rng.uniform(0.5, 1.2)
        away = rng.uniform(0.85, 1.1) * np.array([np.cos(angle), np.sin(angle)])
    else:  # far too small
        extent, away = size * LOOSENESS * rng.uniform(2.4, 4.0), rng.uniform(-0.4, 0.4, 2)
    turn = _rotation(np.deg2rad(rng.uniform(-45, 45)))
    matrix = side / extent * np.c_[turn, -turn @ (centre + away * size)]
    matrix[:, 2] += (side - 1) / 2
    return _warped(picture.image, matrix, side, rng)


def bordered(picture: FacePicture, rng: Rng) -> FacePicture:
    """The photo ends somewhere in the face; what is beyond shows as the finder shows it, mirrored and blurred."""
    centre, size = box_of(picture.landmarks)
    side = len(picture.image)
    quarter = int(rng.integers(4))
    at = int(centre[1] + size * rng.uniform(0.2, 0.75))
    turned = np.rot90(picture.image, quarter)
    if quarter:
        middle = (side - 1) / 2
        away = centre - middle
        for _ in range(quarter):
            away = np.array([away[1], -away[0]])  # rot90 turns anticlockwise: (x, y) goes to (y, -x)
        at = int(away[1] + middle + size * rng.uniform(0.2, 0.75))
    at = min(at, side - 1)
    beyond = np.minimum(np.arange(side - at), at - 1)
    soft = cv2.GaussianBlur(turned[at - 1 - beyond], (0, 0), max(0.5, 0.04 * size))
    image = np.concatenate([turned[:at], soft])
    return FacePicture(np.ascontiguousarray(np.rot90(image, -quarter)), picture.landmarks)


def _warped(image: Image, matrix: NDArray[np.float64], side: int, rng: Rng) -> Image:
    border = (cv2.BORDER_REFLECT, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)[int(rng.choice(3, p=[0.7, 0.15, 0.15]))]
    warped = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(warped, np.uint8)


def _rotation(angle: float) -> NDArray[np.float64]:
    """(2, 2), clockwise as seen by `angle` radians (y points down)."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _bounded(rng: Rng) -> float:
    return float(np.clip(rng.normal(), -2.5, 2.5))
