"""Landmarks as the finder's aligner delivers them, computed once for photos and turned views.

A guide that is fitted to the labels' landmarks is better than any that the network will meet, so the network would
trust it too much. These landmarks have the aligner's own errors; the box that it starts from has the detector's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from selfie3d.types.atomic_file import replacing
from selfie3d.types.frames import FACE_SIZE, Crop
from selfie3d_training.dataset import SampleSource
from vrn.finder.aligner import Aligner
from vrn.finder.face import Detection

SCALE_SPREAD, SHIFT_SPREAD = 0.08, 0.04  # of the detector's box: of its logarithm, and share of its size

Floats = NDArray[np.float64]


def find_landmarks(aligner: Aligner, sources: Iterable[SampleSource], seed: int) -> NDArray[np.float32]:
    """(n, 68, 3) float32 - picture frame, in the order of the sources."""
    rng = np.random.default_rng(seed)
    return np.array([_align(aligner, source, rng) for source in sources], np.float32).reshape(-1, 68, 3)


def cached(path: Path, count: int, source: Callable[[int], SampleSource], aligner: Callable[[], Aligner]) -> Floats:
    """The landmarks of sources 0 to count - 1 from a file, to which those that are missing are added first."""
    known = np.load(path) if path.is_file() else np.zeros((0, 68, 3), np.float32)
    if len(known) < count:
        indices = tqdm(range(len(known), count), desc=f"aligning for {path.name}", unit="face")
        more = find_landmarks(aligner(), (source(index) for index in indices), len(known))
        known = np.concatenate([known, more])
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, known)
    return known[:count].astype(np.float64)


def _align(aligner: Aligner, source: SampleSource, rng: np.random.Generator) -> Floats:
    crop = Crop.of_landmarks(source.landmarks)
    size = FACE_SIZE / crop.scale
    middle = (source.landmarks[:, :2].min(0) + source.landmarks[:, :2].max(0)) / 2
    x, y = middle + np.clip(rng.normal(0, SHIFT_SPREAD, 2), -0.1, 0.1) * size
    scale = np.exp(np.clip(rng.normal(0, SCALE_SPREAD), -0.2, 0.2))
    return aligner.align(source.image, [Detection((float(x), float(y)), float(size * scale), 1.0)])[0].landmarks_px
