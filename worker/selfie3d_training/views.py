"""The cache of turned views: large poses, made once from the photos and read by everything that trains.

FOLDER/views-NNNNN.npz holds up to 128 views each and appears under its name only when it is complete, so that a
training run may read a folder that is still being filled. Arrays of a file, one row per view:

    photo      (n,) int32 - the photo that was turned; identity and expression are that row of labels.npz
    matrix     (n, 4, 4) float32 - head frame (cm) to view frame (px): scale, rotation and translation of the pose
    landmarks  (n, 68, 3) float32 - Multi-PIE scheme, hidden side included, view frame px
    jpeg       (bytes,) uint8 - the JPEG files of all views, one after the other
    ends       (n,) int64 - where each of them ends

View frame: 308 x 308 px, x right, y down, depth towards the viewer, pixel centres integers. It has the scale of the
network's crop (sqrt of the area of the landmarks' box is 90 px), the box centre in the middle, and 1.6 times its
extent, so that crops may be jittered and turned: ``Crop.of_landmarks(landmarks)`` has scale 1 and offset (-58, -58).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.atomic_file import replacing
from selfie3d.types.frames import CROP_SIZE
from selfie3d_training.photos import Image, decode, encode

VIEW_SIZE = CROP_SIZE + 116  # px, height and width; 1.6 crops
VIEWS_PER_FILE = 128
JPEG_QUALITY = 93

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TurnedView:
    """One turned view.

    Attributes
    ----------
    image : (308, 308, 3) uint8 - RGB
    photo : the photo it was made from
    matrix : (4, 4) float64 - head frame to view frame
    landmarks : (68, 3) float64 - view frame
    """

    image: Image
    photo: int
    matrix: Floats
    landmarks: Floats


@dataclass(frozen=True)
class _ViewFile:
    photo: NDArray[np.int32]
    matrix: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    jpeg: NDArray[np.uint8]
    ends: NDArray[np.int64]


class TurnedViews:
    """The views of a folder, in the order they were written. An empty or missing folder has none."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._files: list[_ViewFile] = []
        self._read: set[str] = set()
        self._starts: list[int] = [0]
        self.refresh()

    def __len__(self) -> int:
        return self._starts[-1]

    def refresh(self) -> None:
        """Take in the files that have appeared since."""
        for path in sorted(self.folder.glob("views-*.npz")):
            if path.name in self._read:
                continue
            with np.load(path) as arrays:
                self._files.append(_ViewFile(**{name: arrays[name] for name in _ViewFile.__dataclass_fields__}))
            self._read.add(path.name)
            self._starts.append(self._starts[-1] + len(self._files[-1].photo))

    def __getitem__(self, index: int) -> TurnedView:
        if not 0 <= index < len(self):
            raise IndexError(index)
        which = int(np.searchsorted(self._starts, index, "right")) - 1
        file, row = self._files[which], index - self._starts[which]
        begin = int(file.ends[row - 1]) if row else 0
        return TurnedView(
            decode(file.jpeg[begin : file.ends[row]].tobytes()),
            int(file.photo[row]),
            file.matrix[row].astype(np.float64),
            file.landmarks[row].astype(np.float64),
        )

    @property
    def photos(self) -> NDArray[np.int64]:
        """(n,) int64 - the photo of every view."""
        return np.concatenate([np.zeros(0, np.int64), *(file.photo.astype(np.int64) for file in self._files)])


def write_views(folder: Path, views: Sequence[TurnedView]) -> Path:
    """Write one more file of the cache."""
    number = 1 + max((int(path.stem.split("-")[1]) for path in folder.glob("views-*.npz")), default=-1)
    path = folder / f"views-{number:05d}.npz"
    jpegs = [encode(view.image, JPEG_QUALITY) for view in views]
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            photo=np.array([view.photo for view in views], np.int32),
            matrix=np.array([view.matrix for view in views], np.float32),
            landmarks=np.array([view.landmarks for view in views], np.float32),
            jpeg=np.frombuffer(b"".join(jpegs), np.uint8),
            ends=np.cumsum([len(jpeg) for jpeg in jpegs]),
        )
    return path
