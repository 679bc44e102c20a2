"""Collects what the detector takes for a face and is none, for the aligner's verdict to learn from.

What the present aligner is very sure of is left out: those are the people in the background of the photos.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from selfie3d.types.atomic_file import replacing
from selfie3d.types.frames import CROP_SIZE, FACE_SIZE, Crop
from selfie3d_training.finder.faces import FaceSource
from selfie3d_training.finder.nonfaces import NonFaces, shipped_pictures
from selfie3d_training.photos import Image, Photos
from selfie3d_training.views import TurnedViews
from vrn.crop import resample
from vrn.finder import BundledFinder
from vrn.finder.face import Detection

HARD_SIDE = 128  # px of a collected picture
HARD_EXTENT = 2.2  # its side / size of the box that the detector gave
REAL_FACE = 0.98  # verdict of the aligner above which it is probably a face after all
LEAST_SCORE = 0.3  # of the boxes that are collected
MOST_PER_PICTURE = 6


def hard_nonfaces(finder: BundledFinder, pictures: Iterator[Image]) -> Iterator[Image]:
    """What the finder's detector finds in pictures without faces: (128, 128, 3) uint8 each."""
    for picture in pictures:
        boxes = sorted(finder.detect(picture), key=lambda box: -box.score)[:MOST_PER_PICTURE]
        for box, face in zip(boxes, finder.aligner.align(picture, boxes), strict=True):
            if face.score < REAL_FACE:
                yield resample(picture, around(box), HARD_SIDE)


def around(box: Detection) -> Crop:
    """The square that is kept of a box."""
    return Crop.around(box.centre_px, box.size_px * HARD_EXTENT * FACE_SIZE / CROP_SIZE)


def pictures(nonfaces: NonFaces, count: int, seed: int) -> Iterator[Image]:
    """The shipped pictures whole, then random ones."""
    yield from shipped_pictures()
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield nonfaces.draw(rng)


def read_hard(path: Path) -> NDArray[np.uint8]:
    """(n, 128, 128, 3) uint8, as `mine` wrote it."""
    with np.load(path) as arrays:
        return np.asarray(arrays["pictures"], np.uint8)


def mine(finder: BundledFinder, photos: Photos, out: Path, count: int, seed: int) -> None:
    """Look at `count` random pictures without faces, and write what the finder's detector finds to `out`."""
    faces = FaceSource(photos, photos.ids("train"), TurnedViews(out.parent / "none"), CROP_SIZE)
    shown = tqdm(pictures(NonFaces(faces, CROP_SIZE), count, seed), mininterval=10)
    found = np.stack(list(hard_nonfaces(finder, shown)))
    with replacing(out) as part, part.open("wb") as file:
        np.savez_compressed(file, pictures=found)
