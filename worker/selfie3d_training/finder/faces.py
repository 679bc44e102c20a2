"""The faces that the finder learns from: photos and turned views, decoded once, at one size, with their landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import FACE_SIZE
from selfie3d_training.photos import Ids, Image, Photos
from selfie3d_training.views import TurnedViews
from vrn.finder.mirror import LANDMARKS as MIRROR

TURNED_EXTENT = 2.6  # side of what is kept of a turned view / size of the face
STEEP_YAWS = ((25.0, 3.0), (40.0, 7.0))  # degrees of yaw above which a photo is drawn this many times as often


@dataclass(frozen=True)
class FacePicture:
    """A square picture with one labelled face in its middle.

    Attributes
    ----------
    image : (side, side, 3) uint8 - RGB
    landmarks : (68, 3) float64 - picture px, depth towards the viewer
    """

    image: Image
    landmarks: NDArray[np.float64]


class FaceSource:
    """Draws faces at random: photos of a split, and a share of turned views of the same photos.

    photos, ids : which photos
    views : a cache of turned views that may still be growing; views of other photos are left out
    side : px of the pictures; kept in memory once decoded, side * side * 3 bytes each
    turned : share of the draws that are turned views, as long as there are any
    """

    def __init__(self, photos: Photos, ids: Ids, views: TurnedViews, side: int, turned: float = 0.35) -> None:
        self.photos, self.ids, self.views, self.side, self.turned = photos, ids, views, side, turned
        weights = np.ones(len(ids))
        for yaw, weight in STEEP_YAWS:
            weights[np.abs(photos.labels.yaw[ids]) > yaw] = weight
        self._shares = np.cumsum(weights) / weights.sum()
        self._pictures: dict[tuple[str, int], FacePicture] = {}
        self._turned_ids: Ids = np.zeros(0, np.int64)
        self.refresh()

    def refresh(self) -> None:
        """Take in the turned views that have appeared since."""
        self.views.refresh()
        self._turned_ids = np.flatnonzero(np.isin(self.views.photos, self.ids))

    def draw(self, rng: np.random.Generator) -> FacePicture:
        """A face at random."""
        if len(self._turned_ids) and rng.random() < self.turned:
            return self.view(int(rng.choice(self._turned_ids)))
        return self.photo(int(self.ids[int(np.searchsorted(self._shares, rng.random()))]))

    def photo(self, photo_id: int) -> FacePicture:
        """One photo, whole."""
        key = ("photo", photo_id)
        if key not in self._pictures:
            landmarks = self.photos.labels.landmarks[photo_id].astype(np.float64)
            self._pictures[key] = resized(FacePicture(self.photos.image(photo_id), landmarks), self.side)
        return self._pictures[key]

    def view(self, index: int) -> FacePicture:
        """The middle of one turned view."""
        key = ("view", index)
        if key not in self._pictures:
            view = self.views[index]
            margin = round((len(view.image) - TURNED_EXTENT * FACE_SIZE) / 2)
            middle = np.ascontiguousarray(view.image[margin:-margin, margin:-margin])
            self._pictures[key] = resized(FacePicture(middle, view.landmarks - [margin, margin, 0]), self.side)
        return self._pictures[key]


def resized(picture: FacePicture, side: int) -> FacePicture:
    """The same picture with `side` px."""
    scale = side / len(picture.image)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(picture.image, (side, side), interpolation=how), np.uint8)
    corner = np.array([0.5, 0.5, 0.0])  # from a pixel's centre to the picture's corner
    return FacePicture(image, (picture.landmarks + corner) * scale - corner)


def mirrored(picture: FacePicture) -> FacePicture:
    """The picture as in a mirror, landmarks renamed accordingly."""
    landmarks = picture.landmarks[MIRROR] * [-1, 1, 1] + [len(picture.image) - 1, 0, 0]
    return FacePicture(np.asarray(cv2.flip(picture.image, 1), np.uint8), landmarks)


def box_of(landmarks: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Centre (2,) and size, sqrt(width * height), of the box of landmarks (68, 2 or 3)."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    return (low + high) / 2, float(np.sqrt(np.prod(high - low)))
