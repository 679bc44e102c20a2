"""The folder of training data: photos in tar files, the fits and landmarks of their heads, the split.

FOLDER/faces-*.tar   photos, members NNNNNN.jpg
FOLDER/labels.npz    one row per photo: landmarks68, scale, rotation, translation, identity, expression, ...
FOLDER/index.csv     one row per photo: id, split (train / val), ...

Photos are read by offset, without unpacking, so that worker processes share nothing but the files.
"""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from selfie3d_training.errors import DataError

MAX_DISAGREEMENT = 0.036  # share of the face box between two landmark methods; above it most fits are bad
REQUIRED = ("landmarks68", "scale", "rotation", "translation", "identity", "expression", "yaw_deg", "disagreement")

Image = NDArray[np.uint8]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Member:
    """Where one photo lies: `size` bytes at `offset` of the tar file `path`."""

    path: Path
    offset: int
    size: int

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass(frozen=True)
class Labels:
    """One row per photo; picture frame: x right, y down, depth towards the viewer, px, pixel centres are integers.

    Attributes
    ----------
    landmarks : (n, 68, 3) float32 - Multi-PIE scheme, hidden side included, picture px
    scale : (n,) float32 - px per cm
    rotation : (n, 3, 3) float32 - head frame to camera frame (y up)
    translation : (n, 3) float32 - px, camera frame (y up)
    identity : (n, 100) float32, expression : (n, 45) float32 - coefficients of the head model
    yaw : (n,) float32 - degrees, positive when the nose points to the right of the picture
    disagreement : (n,) float32 - of a second landmark method, share of the face box
    """

    landmarks: NDArray[np.float32]
    scale: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    yaw: NDArray[np.float32]
    disagreement: NDArray[np.float32]

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Labels:
        """From the arrays of labels.npz. Raises DataError when one is missing."""
        missing = [name for name in REQUIRED if name not in arrays]
        if missing:
            raise DataError(f"the labels lack {', '.join(missing)}")
        return cls(*(np.asarray(arrays[name], np.float32) for name in REQUIRED))


class Photos:
    """The photos of a folder and what is known of them."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._members = _members(self.folder)
        with np.load(_existing(self.folder / "labels.npz")) as arrays:
            self.labels = Labels.of(arrays)
        with _existing(self.folder / "index.csv").open(newline="") as file:
            self.split = {int(row["id"]): row["split"] for row in csv.DictReader(file)}
        if not len(self._members) == len(self.split) == len(self.labels.scale):
            raise DataError(
                f"{len(self._members)} photos, {len(self.split)} rows of index.csv and "
                f"{len(self.labels.scale)} rows of labels.npz should be equally many"
            )

    def __len__(self) -> int:
        return len(self._members)

    def ids(self, split: str, max_disagreement: float = MAX_DISAGREEMENT) -> Ids:
        """The rows of a split (`train` or `val`) whose fit can be trusted, ascending."""
        good = self.labels.disagreement <= max_disagreement
        return np.array([i for i in sorted(self.split) if self.split[i] == split and good[i]], np.int64)

    def image(self, photo_id: int) -> Image:
        """(height, width, 3) uint8 - RGB."""
        return decode(self._members[photo_id].read())


def decode(jpeg: bytes) -> Image:
    """Bytes to (height, width, 3) uint8 RGB. Raises DataError when they are no picture."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError("a photo of the training data is damaged")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def encode(image: Image, quality: int) -> bytes:
    """(height, width, 3) uint8 RGB to JPEG bytes of quality 1..100."""
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(jpeg)


def _members(folder: Path) -> dict[int, Member]:
    members: dict[int, Member] = {}
    for path in sorted(folder.glob("faces-*.tar")):
        with tarfile.open(path) as tar:
            found = {int(Path(m.name).stem): Member(path, m.offset_data, m.size) for m in tar if m.isfile()}
        members.update(found)
    if not members:
        raise DataError(f"{folder} holds no faces-*.tar with photos")
    return members


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path} is missing")
    return path
