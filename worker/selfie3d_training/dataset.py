"""Pairs of a crop and its volume, made on the fly from a seed: step n of a run is the same batch every time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from selfie3d.types.frames import DEPTH_RANGE, Grid, transform
from selfie3d_training import augment
from selfie3d_training.config import TrainConfig
from selfie3d_training.head import Head, planes_in
from selfie3d_training.photos import Ids, Image, Photos
from selfie3d_training.turn import photo_matrix
from selfie3d_training.views import TurnedViews
from selfie3d_training.voxelise import voxelise

FRONT_DEPTH = DEPTH_RANGE - 4.0  # px, where the foremost point of the face lies
REFRESH_EVERY = 50  # batches between looks for new views

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Phase = tuple[int, int]


@dataclass(frozen=True)
class SampleSource:
    """A picture and the head in it: what photos and turned views have in common.

    matrix : (4, 4) float64 - head frame to picture frame; landmarks : (68, 3) float64 - picture frame, for the crop
    """

    image: Image
    photo: int
    matrix: Floats
    landmarks: Floats


@dataclass(frozen=True)
class VolumeTarget:
    """The volume of a head in a crop.

    occupancy : (depth, height, width) uint8; front : (height, width) float32 - crop px, NaN where there is none
    hull : (height, width) uint8 - 1 inside the slightly widened convex hull of the landmarks
    landmarks : (68, 3) float64 - of the fitted head, crop frame
    """

    occupancy: NDArray[np.uint8]
    front: Singles
    hull: NDArray[np.uint8]
    landmarks: Floats


class Material:
    """Photos, head and turned views of a folder of data."""

    def __init__(self, data: Path, views: Path) -> None:
        self.photos = Photos(data)
        self.head = Head.load(data / "head_model.npz")
        self.views = TurnedViews(views)

    def of_photo(self, photo: int) -> SampleSource:
        landmarks = self.photos.labels.landmarks[photo].astype(np.float64)
        return SampleSource(self.photos.image(photo), photo, photo_matrix(self.photos, photo), landmarks)

    def of_view(self, index: int) -> SampleSource:
        view = self.views[index]
        return SampleSource(view.image, view.photo, view.matrix, view.landmarks)

    def vertices(self, photos: list[int]) -> Singles:
        """(n, v, 3) float32 - the fitted shapes, cm, head frame."""
        labels = self.photos.labels
        return self.head.vertices(labels.identity[photos], labels.expression[photos])

    def target(self, source: SampleSource, vertices: Singles, to_crop: Floats, grid: Grid) -> VolumeTarget:
        """The volume of a source's head on `grid`, in the crop that `to_crop` (4, 4) leads to from the picture."""
        matrix = to_crop @ source.matrix
        planes = planes_in(matrix, self.head.face_planes(self.photos.labels.identity[source.photo]))
        in_crop = transform(matrix, vertices)
        kept = (in_crop @ planes[:, :3].T + planes[:, 3] >= 0).all(1)
        shift = FRONT_DEPTH - in_crop[kept, 2].max()
        in_crop[:, 2] += shift
        planes[:, 3] -= planes[:, 2] * shift
        landmarks = np.asarray(self.head.landmarks(in_crop))
        occupancy, front = voxelise(in_crop, self.head.triangles, planes, grid)
        return VolumeTarget(occupancy, front, _hull(landmarks, grid), landmarks)


class Pairs(Dataset[dict[str, torch.Tensor]]):
    """Batches by step number; see :meth:`__getitem__`."""

    def __init__(self, material: Material, config: TrainConfig, rank: int = 0, world: int = 1) -> None:
        self._material, self._config = material, config
        self._rank, self._world = rank, world
        self._ids = material.photos.ids("train")
        self._chances = draw_chances(material.photos.labels.yaw[self._ids], config)
        self._age = 0

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        """The batch of a step.

        picture (n, 192, 192, 3) uint8 RGB, occupancy (n, depth, h, w) uint8, front (n, h, w) float32, hull
        (n, h, w) uint8 and phase (2,) int64: with 96 columns a step sees one 2 x 2 phase of them.
        """
        self._age += 1
        if self._age % REFRESH_EVERY == 0:
            self._material.views.refresh()
        phase = phase_of(self._config, step)
        rng = np.random.default_rng((self._config.seed, step * self._world + self._rank))
        sources = [self._draw(rng) for _ in range(self._config.batch)]
        shapes = self._material.vertices([source.photo for source in sources])
        grid = phase_grid(self._config.network.grid, phase)
        return _batch([self._pair(rng, s, v, grid) for s, v in zip(sources, shapes, strict=True)], phase)

    def _draw(self, rng: np.random.Generator) -> SampleSource:
        views = len(self._material.views)
        if views and rng.random() < self._config.turned_share:
            return self._material.of_view(int(rng.integers(views)))
        return self._material.of_photo(int(rng.choice(self._ids, p=self._chances)))

    def _pair(
        self, rng: np.random.Generator, source: SampleSource, vertices: Singles, grid: Grid
    ) -> tuple[Image, VolumeTarget]:
        to_crop = augment.jittered_crop(rng, source.landmarks)
        target = self._material.target(source, vertices, to_crop, grid)
        picture = augment.warp(source.image, to_crop, augment.random_border(rng))
        return augment.change_picture(rng, picture, target.landmarks), target


def plain_batch(material: Material, ids: Ids, config: TrainConfig) -> dict[str, torch.Tensor]:
    """Photos as they are, in the crop of their labels: one batch for validation; see :meth:`Pairs.__getitem__`."""
    phase = phase_of(config, 0)
    grid, pairs = phase_grid(config.network.grid, phase), []
    for photo in ids.tolist():
        source = material.of_photo(photo)
        to_crop = augment.plain_crop(source.landmarks)
        target = material.target(source, material.vertices([photo])[0], to_crop, grid)
        pairs.append((augment.warp(source.image, to_crop), target))
    return _batch(pairs, phase)


def draw_chances(yaw: Singles, config: TrainConfig) -> Floats:
    """How likely each photo is drawn: those that look aside more often. (n,) degrees -> (n,) float64, sum 1."""
    chances = np.ones(len(yaw))
    for limit, boost in zip(config.yaw_from, config.yaw_boost, strict=True):
        chances[np.abs(yaw) > limit] = boost
    return np.asarray(chances / chances.sum())


def phase_of(config: TrainConfig, step: int) -> Phase:
    """The phase (row, column) of the columns that a step trains: the four in an order of their own for each four."""
    if config.network.columns == 48:
        return (0, 0)
    order = np.random.default_rng((config.seed, 7, step // 4)).permutation(4)
    return divmod(int(order[step % 4]), 2)


def phase_grid(grid: Grid, phase: Phase) -> Grid:
    """Every second column of a grid of 96 x 96, from `phase` on; a grid of 48 x 48 as it is."""
    depth, height, width = grid.shape
    if width == 48:
        return grid
    (x, y, z), (dx, dy, dz) = grid.origin, grid.step
    return Grid((depth, height // 2, width // 2), (x + phase[1] * dx, y + phase[0] * dy, z), (2 * dx, 2 * dy, dz))


def _hull(landmarks: Floats, grid: Grid) -> NDArray[np.uint8]:
    places = (landmarks[:, :2] - grid.origin[:2]) / grid.step[:2]
    outline = cv2.convexHull(np.rint(places).astype(np.int32))
    mask = np.zeros(grid.shape[1:], np.uint8)
    cv2.fillConvexPoly(mask, outline, 1)
    return np.asarray(cv2.dilate(mask, np.ones((3, 3), np.uint8)), np.uint8)


def _batch(pairs: list[tuple[Image, VolumeTarget]], phase: Phase) -> dict[str, torch.Tensor]:
    return {
        "picture": torch.from_numpy(np.stack([picture for picture, _ in pairs])),
        "occupancy": torch.from_numpy(np.stack([target.occupancy for _, target in pairs])),
        "front": torch.from_numpy(np.stack([target.front for _, target in pairs])),
        "hull": torch.from_numpy(np.stack([target.hull for _, target in pairs])),
        "phase": torch.tensor(phase),
    }
