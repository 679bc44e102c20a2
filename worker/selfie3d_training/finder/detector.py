"""What the detector learns from: small scenes with faces of every size and roll, with blanked heads, and without."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from selfie3d_training.finder.augment import covered, degraded
from selfie3d_training.finder.faces import FacePicture, FaceSource, box_of, mirrored
from selfie3d_training.finder.nonfaces import NonFaces, cut
from selfie3d_training.photos import Image
from vrn.finder.config import DETECTOR_FACE_SIZE, DETECTOR_STRIDE, DetectorConfig
from vrn.finder.networks import DetectorNetwork

SCENE = 96  # px, side of a scene
LEARNT = (14.0, 48.0)  # px, sizes that must be found; a pyramid with factor 2 shows every face at one of them
IGNORED = (10.0, 72.0)  # px, sizes that may be found; larger and smaller ones must not
DRAWN = (11.0, 110.0)  # px, sizes in the scenes
SPREAD = 0.11  # of the score around a face's centre, share of its size
NEGATIVE_POWER, POSITIVE_POWER = 4, 2  # of the focal loss; Law and Deng 2018

Rng = np.random.Generator


@dataclass(frozen=True)
class DetectorTarget:
    """A face in a scene: centre (2,) and size of its box, scene px."""

    centre: NDArray[np.float64]
    size: float


class DetectorSamples:
    """Scenes and loss of the detector."""

    def __init__(self, faces: FaceSource, nonfaces: NonFaces, config: DetectorConfig) -> None:
        self.faces, self.nonfaces, self.config = faces, nonfaces, config

    def network(self) -> DetectorNetwork:
        """An untrained network."""
        return DetectorNetwork(self.config)

    def refresh(self) -> None:
        """Take in new turned views."""
        self.faces.refresh()

    def batch(self, rng: Rng, count: int) -> dict[str, Tensor]:
        """picture (n, 3, 96, 96) as the network's `maps` takes it, and target (n, 5, 24, 24): see `target_maps`."""
        scenes = [self.scene(rng) for _ in range(count)]
        pictures = torch.from_numpy(np.stack([picture for picture, _ in scenes])).permute(0, 3, 1, 2)
        maps = np.stack([target_maps(targets, SCENE // DETECTOR_STRIDE) for _, targets in scenes])
        return {"picture": pictures.contiguous(memory_format=torch.channels_last), "target": torch.from_numpy(maps)}

    def terms(self, network: DetectorNetwork, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Focal loss of the score, L1 of centre and log size at the faces; and what the loss is made of."""
        answers = network.maps(batch["picture"]).float()
        heat, x, y, size, weight = batch["target"].unbind(1)
        logit = answers[:, 0]
        score = logit.sigmoid()
        found = heat == 1
        positive = -((1 - score) ** POSITIVE_POWER * functional.logsigmoid(logit))[found].sum()
        negative = -((1 - heat) ** NEGATIVE_POWER * score**2 * functional.logsigmoid(-logit) * weight)[~found].sum()
        count = found.sum().clamp(min=1)
        near = (heat > 0.4) * heat
        shares = near / near.sum().clamp(min=1)
        cells = DETECTOR_FACE_SIZE / DETECTOR_STRIDE * size.exp()
        centre = (((answers[:, 1] - x).abs() + (answers[:, 2] - y).abs()) / cells * shares).sum()
        extent = ((answers[:, 3] - size).abs() * shares).sum()
        focal = (positive + negative) / count
        return {"loss": focal + 5 * centre + 3 * extent, "focal": focal, "centre": centre, "size": extent}

    def scene(self, rng: Rng) -> tuple[NDArray[np.float32], list[DetectorTarget]]:
        """A scene (96, 96, 3), normalised, and the faces in it."""
        faces = int(rng.choice(4, p=[0.25, 0.5, 0.17, 0.08]))
        background = self.nonfaces.draw(rng)
        image = cut(background, rng, SCENE, 0.25, self.nonfaces.size / SCENE, 30)
        targets: list[DetectorTarget] = []
        if faces == 0 and rng.random() < 0.4:
            image = pasted(image, cut(self.nonfaces.draw(rng), rng, SCENE, 0.8, 1.6, 45), _patch_mask(rng))
        for _ in range(faces):
            image, target = self._with_face(image, targets, rng, alone=faces == 1)
            targets += [target] if target else []
        image = degraded(image, rng)
        return self._ended(image, targets, rng)

    def _with_face(
        self, image: Image, others: list[DetectorTarget], rng: Rng, alone: bool
    ) -> tuple[Image, DetectorTarget | None]:
        """The scene with one more face, unless there is no room for it."""
        picture = self.faces.draw(rng)
        if rng.random() < 0.5:
            picture = mirrored(picture)
        size = float(np.exp(rng.uniform(np.log(DRAWN[0]), np.log(DRAWN[1] if alone else 40.0))))
        centre = rng.uniform(-0.1 * size, SCENE - 1 + 0.1 * size, 2)
        if any(np.linalg.norm(centre - other.centre) < 0.75 * (size + other.size) for other in others):
            return image, None
        roll = rng.uniform(-52, 52) if rng.random() < 0.5 else rng.normal(0, 12)
        target, matrix = placed(picture, centre, size, np.deg2rad(roll))
        source = picture.image
        if size < 0.3 * box_of(picture.landmarks)[1]:
            source = np.asarray(cv2.GaussianBlur(source, (0, 0), 1.2), np.uint8)
        face = np.asarray(cv2.warpAffine(source, matrix, (SCENE, SCENE), flags=cv2.INTER_LINEAR), np.uint8)
        if rng.random() < 0.15:
            face = covered(face, self.nonfaces.draw(rng), target.centre, size, rng)
        whole = rng.random() < (0.6 if alone else 0.4)
        mask = _photo_mask(picture, matrix) if whole else _head_mask(matrix, target, rng)
        soft = size * float(np.exp(rng.uniform(np.log(0.01), np.log(0.12))))
        return pasted(image, face, np.asarray(cv2.GaussianBlur(mask, (0, 0), max(0.3, soft)), np.float32)), target

    def _ended(
        self, image: Image, targets: list[DetectorTarget], rng: Rng
    ) -> tuple[NDArray[np.float32], list[DetectorTarget]]:
        """Normalised; sometimes the photo ends within the scene, and grey follows, as around a level of the pyramid."""
        scene = ((image.astype(np.float64) - 127.5) / 64).astype(np.float32)
        inside = np.array([[0, 0], [SCENE, SCENE]])
        if rng.random() < 0.35:
            for side in range(4):
                if rng.random() < 0.4:
                    inside[side // 2, side % 2] += int(rng.integers(1, 40)) * (1 if side < 2 else -1)
        (left, top), (right, bottom) = inside
        bounded = np.zeros_like(scene)
        bounded[top:bottom, left:right] = scene[top:bottom, left:right]
        return bounded, [t for t in targets if _reaches_into(t, *inside)]


def placed(
    picture: FacePicture, centre: NDArray[np.float64], size: float, roll: float
) -> tuple[DetectorTarget, NDArray[np.float64]]:
    """Where a face comes to lie and the (2, 3) map from its picture to the scene: its box at `centre`, `size` px."""
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    middle, before = box_of(picture.landmarks[:, :2] @ turn.T)
    scale = size / before
    return DetectorTarget(centre, size), np.c_[scale * turn, centre - scale * middle]


def pasted(image: Image, other: Image, mask: NDArray[np.float32]) -> Image:
    """`other` over `image` where the mask (h, w) is 1."""
    mixed = image * (1 - mask[..., None]) + other * mask[..., None]
    return np.asarray(mixed, np.float32).clip(0, 255).astype(np.uint8)


def target_maps(targets: list[DetectorTarget], cells: int) -> NDArray[np.float32]:
    """(5, cells, cells) float32: score, centre x and y from the cell's middle in cells, log size / 28 px, weight.

    The score is 1 in the cell nearest to a face's centre and falls off around it; the weight is 0 around faces that
    are neither to be found nor to be left out.
    """
    maps = np.zeros((5, cells, cells), np.float32)
    maps[4] = 1
    middles = (np.arange(cells) + 0.5) * DETECTOR_STRIDE
    for target in targets:
        x, y = target.centre + 0.5  # from the corner
        distance = np.hypot(middles - x, (middles - y)[:, None]) / target.size
        if not LEARNT[0] <= target.size <= LEARNT[1]:
            if IGNORED[0] <= target.size <= IGNORED[1]:
                maps[4][distance < 0.4] = 0
            continue
        heat = np.exp(-0.5 * (distance / SPREAD) ** 2)
        own = heat > maps[0]
        maps[0] = np.maximum(maps[0], 0.95 * heat)
        nearest = np.unravel_index(distance.argmin(), distance.shape)
        if np.abs([middles[nearest[1]] - x, middles[nearest[0]] - y]).max() <= DETECTOR_STRIDE / 2:
            maps[0][nearest] = 1
        maps[1][own] = np.broadcast_to((x - middles) / DETECTOR_STRIDE, own.shape)[own]
        maps[2][own] = np.broadcast_to(((y - middles) / DETECTOR_STRIDE)[:, None], own.shape)[own]
        maps[3][own] = np.log(target.size / DETECTOR_FACE_SIZE)
    return maps


def _photo_mask(picture: FacePicture, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """1 where the face's whole picture lies in the scene."""
    whole = np.ones(picture.image.shape[:2], np.float32)
    return np.asarray(cv2.warpAffine(whole, matrix, (SCENE, SCENE), flags=cv2.INTER_LINEAR), np.float32)


def _head_mask(matrix: NDArray[np.float64], target: DetectorTarget, rng: Rng) -> NDArray[np.float32]:
    """1 on the head and, as it comes, a little around it."""
    mask = np.zeros((SCENE, SCENE), np.float32)
    angle = float(np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0])))
    axes = tuple((target.size * rng.uniform((1.25, 1.5), (2.0, 2.3))).tolist())
    cv2.ellipse(mask, (tuple(target.centre.tolist()), axes, angle), 1.0, -1)
    return mask


def _reaches_into(target: DetectorTarget, low: NDArray[np.int64], high: NDArray[np.int64]) -> bool:
    """Whether enough of a face lies in the rectangle from `low` to `high` to be found."""
    rim = 0.2 * target.size
    return bool(np.all(target.centre > low - rim) and np.all(target.centre < high + rim))


def _patch_mask(rng: Rng) -> NDArray[np.float32]:
    """A soft blob anywhere: what a pasted face's rim looks like, without a face."""
    mask = np.zeros((SCENE, SCENE), np.float32)
    centre, axes = rng.uniform(0, SCENE, 2), rng.uniform(20, 80, 2)
    cv2.ellipse(mask, (tuple(centre.tolist()), tuple(axes.tolist()), float(rng.uniform(0, 180))), 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), float(np.exp(rng.uniform(-1, 1.5)))), np.float32)
