"""Samples for the guided network, made on the fly from a seed: a picture, a guide as wrong as it may be, and the truth.

The guide is fitted to the aligner's own landmarks and to the denser points of its third look, whose errors are made
smaller or larger at random, and its pose and shape are then disturbed in some of the samples, so that the network
learns to believe the picture. Some guides have the 68 landmarks alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from selfie3d.types.frames import CROP_CENTRE, CROP_SIZE, UPRIGHT, transform, upright
from selfie3d_training import augment
from selfie3d_training.dataset import SampleSource
from selfie3d_training.guided.config import GuidedTrainConfig
from selfie3d_training.guided.dense_errors import ERRORS, DenseErrors
from selfie3d_training.guided.found import cached
from selfie3d_training.photos import Ids, Photos
from selfie3d_training.raster import rasterise
from selfie3d_training.turn import photo_matrix
from selfie3d_training.views import TurnedViews
from vrn.avatar.fit import HeadPose, fit_landmarks, fit_points, rotations
from vrn.avatar.guide import COLUMNS, guide_maps, head_crops, to_columns
from vrn.avatar.model import HeadModel
from vrn.finder.aligner import Aligner
from vrn.finder.dense_points import INDICES
from vrn.finder.mirror import LANDMARKS as MIRROR

ERROR_RANGE = (0.3, 1.8)  # by how much the aligner's errors are scaled
DENSE_ERROR_RANGE = (0.4, 1.4)  # the same of the third look's errors
SPARSE = 0.1  # share of the batches whose guides have the 68 landmarks alone
DISTURBED = 0.15  # share of the samples whose guide is disturbed
WRONG = 0.02  # share of the samples whose guide is the mean head, with as disturbed a pose
ROTATION_SPREAD, SCALE_SPREAD, SHIFT_SPREAD = np.radians(3.0), 0.03, 2.0  # of the disturbance: radians, log, px
SHAPE_SPREAD, EXPRESSION_SPREAD = 0.3, 0.12
ROLL_DEGREES, CROP_SCALE, CROP_SHIFT = 5.0, 0.03, 3.0  # of the crop, the guide in it: standard deviations
MIRRORED = 0.5

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Rng = np.random.Generator


class HeadMaterial:
    """Photos, turned views, the head model and what the aligner found, of a folder of data.

    found : folder of the cached landmarks; views whose landmarks are missing in it are found first
    """

    def __init__(self, data: Path, views: Path, found: Path, model: HeadModel) -> None:
        self.model = model
        self.photos = Photos(data)
        self.views = TurnedViews(views)
        with np.load(data / "labels.npz") as arrays:
            self.residual: Singles = arrays["residual"].astype(np.float32)
        labels = self.photos.labels
        self.coefficients = np.concatenate([labels.identity, labels.expression], 1)
        self.found_photos = cached(found / "photos.npy", len(self.photos), self.of_photo, _aligner)
        self.found_views = cached(found / f"{views.name}.npy", len(self.views), self.of_view, _aligner)
        self.swap = Swap.of(model)
        path = found / ERRORS
        self.errors = DenseErrors.load(path) if path.is_file() else None
        self.points_of = dense_points(model, self.coefficients)

    def ids(self, split: str, most_residual: float) -> Ids:
        """Photos of a split whose fit can be trusted."""
        ids = self.photos.ids(split)
        return ids[self.residual[ids] <= most_residual]

    def of_photo(self, photo: int) -> SampleSource:
        landmarks = self.photos.labels.landmarks[photo].astype(np.float64)
        return SampleSource(self.photos.image(photo), photo, photo_matrix(self.photos, photo), landmarks)

    def of_view(self, index: int) -> SampleSource:
        view = self.views[index]
        return SampleSource(view.image, view.photo, view.matrix, view.landmarks)

    def points(self, source: SampleSource) -> Floats:
        """(160, 3) float64 - the true places of the third look's points, picture frame."""
        return transform(source.matrix, self.points_of[source.photo])

    def vertices(self, photos: list[int]) -> Singles:
        """(n, v, 3) float32 - the fitted shapes, cm, head frame."""
        return self.model.vertices(self.coefficients[photos])


@dataclass(frozen=True)
class Drawn:
    """A picture, its head and what the guide is fitted to, picture frame.

    landmarks : (68, 3) float64; points : (160, 3) float64
    """

    source: SampleSource
    landmarks: Floats
    points: Floats


class HeadPairs(Dataset[dict[str, Tensor]]):
    """Batches by step number; step n of a run is the same batch every time."""

    def __init__(self, material: HeadMaterial, config: GuidedTrainConfig) -> None:
        self._material, self._config = material, config
        self._ids = material.ids("train", config.most_residual)
        good = set(self._ids.tolist())
        self._views = np.flatnonzero([photo in good for photo in material.views.photos.tolist()])
        yaw = np.abs(material.photos.labels.yaw[self._ids])
        chances = np.ones(len(yaw))
        for limit, boost in zip(config.yaw_from, config.yaw_boost, strict=True):
            chances[yaw > limit] = boost
        self._chances = chances / chances.sum()

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """The batch of a step, see :func:`batch_of`."""
        rng = np.random.default_rng((self._config.seed, step))
        drawn = [self._draw(rng) for _ in range(self._config.batch)]
        return batch_of(self._material, drawn, rng)

    def _draw(self, rng: Rng) -> Drawn:
        material = self._material
        if len(self._views) and rng.random() < self._config.turned_share:
            index = int(rng.choice(self._views))
            source, found = material.of_view(index), material.found_views[index]
        else:
            photo = int(rng.choice(self._ids, p=self._chances))
            source, found = material.of_photo(photo), material.found_photos[photo]
        landmarks = source.landmarks + rng.uniform(*ERROR_RANGE) * _error(found, source.landmarks)
        points = material.points(source)
        if material.errors is not None:
            points = points + rng.uniform(*DENSE_ERROR_RANGE) * material.errors.draw(rng, source)
        return Drawn(source, landmarks, points)


def batch_of(material: HeadMaterial, drawn: list[Drawn], rng: Rng | None) -> dict[str, Tensor]:
    """A batch, all in the head crop frame; without a generator nothing is disturbed and no picture is changed.

    picture (n, 192, 192, 3) uint8 RGB; maps (n, 5, 96, 96) float32; scale (n,), rotation (n, 3, 3), translation (n, 3)
    and coefficients (n, k) float32 of the guide; target (n, v, 3) float32 and landmarks (n, 68, 3) float32, the truth,
    whose depth has any zero.
    """
    model = material.model
    landmarks, points = np.stack([d.landmarks for d in drawn]), np.stack([d.points for d in drawn])
    if material.errors is None or (rng is not None and rng.random() < SPARSE):
        guides = fit_landmarks(model, landmarks, steps=3)
    else:
        guides = fit_points(model, landmarks, points, INDICES, steps=3)
    if rng is not None:
        guides = disturbed(guides, model, rng)
    crops = head_crops(guides)
    truth = material.vertices([d.source.photo for d in drawn])
    shapes = model.vertices(guides.coefficients)
    rows = []
    for n, d in enumerate(drawn):
        to_crop = crops[n] if rng is None else _jitter(rng) @ crops[n]
        mirrored = rng is not None and rng.random() < MIRRORED
        pose = _in_crop(guides, n, to_crop, _mirror() if mirrored else None, material.swap)
        matrix, target_matrix = to_crop @ guides.matrices()[n], to_crop @ d.source.matrix
        guide, target = transform(matrix, shapes[n]), transform(target_matrix, truth[n])
        if mirrored:
            to_crop = _mirror() @ to_crop
            guide, target = (transform(_mirror(), points)[model.mirror] for points in (guide, target))
        border = augment.random_border(rng) if rng is not None else augment.BORDERS[2]
        picture = augment.warp(d.source.image, to_crop, border)
        if rng is not None:
            picture = augment.change_picture(rng, picture, np.asarray(model.landmarks(target)))
        labels = transform(to_crop, d.source.landmarks)[MIRROR if mirrored else slice(None)]
        rows.append((picture, maps_of(model, guide), pose, target.astype(np.float32), labels.astype(np.float32)))
    poses = [pose for _, _, pose, _, _ in rows]
    return {
        "picture": torch.from_numpy(np.stack([picture for picture, _, _, _, _ in rows])),
        "maps": torch.from_numpy(np.stack([maps for _, maps, _, _, _ in rows])),
        "target": torch.from_numpy(np.stack([target for _, _, _, target, _ in rows])),
        "landmarks": torch.from_numpy(np.stack([labels for _, _, _, _, labels in rows])),
        "scale": _tensor(np.concatenate([pose.scale for pose in poses])),
        "rotation": _tensor(np.concatenate([pose.rotation for pose in poses])),
        "translation": _tensor(np.concatenate([pose.translation for pose in poses])),
        "coefficients": _tensor(np.concatenate([pose.coefficients for pose in poses])),
    }


def maps_of(model: HeadModel, guide: Floats) -> Singles:
    """The guide's pictures, (5, 96, 96) float32; guide : (v, 3) float64, head crop frame."""
    depth, shown, weights = rasterise(to_columns(guide), model.triangles, COLUMNS, COLUMNS)
    return guide_maps(shown, weights, depth, model.triangles, model.neutral)


def disturbed(guides: HeadPose, model: HeadModel, rng: Rng) -> HeadPose:
    """Some of the guides with other poses and shapes."""
    n = len(guides)
    wrong = rng.random(n) < WRONG
    chosen = (rng.random(n) < DISTURBED) | wrong
    strength = np.where(chosen, rng.uniform(0.3, 1.5, n), 0.0)
    turn = rotations(rng.normal(0, ROTATION_SPREAD, (n, 3)) * strength[:, None])
    grown = np.exp(rng.normal(0, SCALE_SPREAD, n) * strength)
    shift = rng.normal(0, SHIFT_SPREAD, (n, 3)) * strength[:, None] * guides.scale[:, None] / 6.4
    spread = np.full(guides.coefficients.shape[1], SHAPE_SPREAD)
    spread[model.identities :] = EXPRESSION_SPREAD
    coefficients = guides.coefficients + rng.normal(0, 1, guides.coefficients.shape) * spread * strength[:, None]
    coefficients[wrong] = 0.0
    return HeadPose(guides.scale * grown, turn @ guides.rotation, guides.translation + shift, coefficients)


@dataclass(frozen=True)
class Swap:
    """What mirroring a head does to its coefficients: ``mirrored = sign * coefficients[index]``, both (k,)."""

    index: NDArray[np.int64]
    sign: Floats

    @classmethod
    def of(cls, model: HeadModel) -> Swap:
        """Identities are symmetric or the negative of their mirror image; expressions have another as theirs."""
        shapes = model.shapes.at()
        mirrored = shapes[:, model.mirror] * np.array([-1, 1, 1], np.float32)
        flat, other = shapes.reshape(len(shapes), -1), mirrored.reshape(len(shapes), -1)
        alike = other @ flat.T / np.outer(np.linalg.norm(other, axis=1), np.linalg.norm(flat, axis=1))
        index = np.abs(alike).argmax(0)
        return cls(index, np.sign(alike[index, np.arange(len(index))]).astype(np.float64))

    def __call__(self, coefficients: Floats) -> Floats:
        """(..., k) -> (..., k)."""
        return np.asarray(self.sign * coefficients[..., self.index])


def dense_points(model: HeadModel, coefficients: NDArray[np.floating]) -> Singles:
    """(n, 160, 3) float32 - the third look's points on the heads of (n, k) coefficients, cm, head frame."""
    neutral, shapes = model.dense_shapes(INDICES)
    return np.asarray(
        neutral + (coefficients @ shapes.reshape(len(shapes), -1)).reshape(-1, *neutral.shape), np.float32
    )


def _error(found: Floats, landmarks: Floats) -> Floats:
    """What the aligner got wrong; depth is compared without its arbitrary zero."""
    error = found - landmarks
    error[:, 2] -= np.median(error[:, 2])
    return error


def _jitter(rng: Rng) -> Floats:
    """A crop that is a little off, about its middle."""
    angle = np.radians(rng.normal(0, ROLL_DEGREES))
    scale = np.exp(np.clip(rng.normal(0, CROP_SCALE), -0.08, 0.08))
    matrix = np.diag([scale, scale, scale, 1.0])
    matrix[:2, :2] = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix[:3, 3] = CROP_CENTRE - matrix[:3, :3] @ np.full(3, CROP_CENTRE)
    matrix[:2, 3] += np.clip(rng.normal(0, CROP_SHIFT, 2), -8, 8)
    return matrix


def _mirror() -> Floats:
    matrix = np.diag([-1.0, 1.0, 1.0, 1.0])
    matrix[0, 3] = CROP_SIZE - 1
    return matrix


def _in_crop(guides: HeadPose, n: int, to_crop: Floats, mirror: Floats | None, swap: Swap) -> HeadPose:
    """Guide n as a fit in the head crop frame, mirrored if `mirror` is given."""
    matrix, coefficients = to_crop @ guides.matrices()[n], guides.coefficients[n]
    if mirror is not None:
        matrix = mirror @ matrix @ np.diag([-1.0, 1.0, 1.0, 1.0])
        coefficients = swap(coefficients)
    scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
    rotation = UPRIGHT @ matrix[:3, :3] / scale
    return HeadPose(np.array([scale]), rotation[None], upright(matrix[:3, 3])[None], coefficients[None])


def _tensor(values: Floats) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _aligner() -> Aligner:
    from vrn.finder.open import open_bundled  # here, because it reads weights

    return open_bundled().aligner
