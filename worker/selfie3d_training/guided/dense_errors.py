"""What the third look gets wrong: a pool of its errors on training pictures, to be laid over the truth of others.

Errors are kept in the head's upright axes, as shares of the face's size, by the yaw of the head.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from selfie3d.types.atomic_file import replacing
from selfie3d.types.frames import transform
from selfie3d_training.dataset import SampleSource
from selfie3d_training.head import yaw_degrees
from vrn.finder.dense import DenseAligner

ERRORS = "dense-errors.npz"  # in the cache of landmarks
BINS = (-60.0, -30.0, -10.0, 10.0, 30.0, 60.0)  # degrees, between the pools

Floats = NDArray[np.float64]
Rng = np.random.Generator


class DenseErrors:
    """errors : (n, 160, 3) float32 - shares of the face's size, upright; yaw : (n,) degrees."""

    def __init__(self, errors: NDArray[np.float32], yaw: NDArray[np.float32]) -> None:
        self.errors, self.yaw = errors, yaw
        which = np.digitize(yaw, BINS)
        self._members = [np.flatnonzero(which == k) for k in range(len(BINS) + 1)]

    @classmethod
    def measured(
        cls, aligner: DenseAligner, sources: Iterable[tuple[SampleSource, Floats, NDArray[np.floating]]]
    ) -> DenseErrors:
        """From sources with their found landmarks (68, 3), picture frame, and true points (160, 3), head frame."""
        errors, yaw = [], []
        for source, found, points in tqdm(sources, desc="measuring the third look", mininterval=5):
            away = aligner.points(source.image, found) - transform(source.matrix, points)
            away[:, 2] -= away[:, 2].mean()
            errors.append(away @ _upright(source).T / _size(source))
            yaw.append(yaw_degrees(source.matrix))
        return cls(np.array(errors, np.float32), np.array(yaw, np.float32))

    @classmethod
    def load(cls, path: Path) -> DenseErrors:
        with np.load(path) as arrays:
            return cls(arrays["errors"], arrays["yaw"])

    def save(self, path: Path) -> None:
        with replacing(path) as part, part.open("wb") as file:
            np.savez(file, errors=self.errors, yaw=self.yaw)

    def draw(self, rng: Rng, source: SampleSource) -> Floats:
        """(160, 3) px - errors as they may be in this picture."""
        members = self._members[int(np.digitize(yaw_degrees(source.matrix), BINS))]
        if not len(members):
            members = np.arange(len(self.errors))
        error = self.errors[int(rng.choice(members))].astype(np.float64)
        return np.asarray(error * _size(source) @ _upright(source))


def _size(source: SampleSource) -> float:
    return float(np.sqrt(np.prod(np.ptp(source.landmarks[:, :2], axis=0))))


def _upright(source: SampleSource) -> Floats:
    """(3, 3) - picture axes to those in which the head's y axis points up."""
    x, y = source.matrix[:2, 1] / np.linalg.norm(source.matrix[:2, 1])
    return np.array([[-y, x, 0.0], [-x, -y, 0.0], [0.0, 0.0, 1.0]])
