"""Volumes as the original's tools exchange them: 200 x 192 x 192 bytes, floor(255 * probability).

``.raw`` holds nothing but the bytes, depth slowest and x fastest; ``.npy`` is the same array with numpy's header.
Depth grows towards the viewer. The original's raw2obj.py reads the bytes as signed, which hollows the head out: read
them as unsigned.

Source: the released process.lua and raw2obj.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.atomic_file import replacing
from selfie3d.types.frames import Grid
from vrn.errors import FieldError
from vrn.meshing.field import Field

SUFFIXES = (".raw", ".npy")
SURFACE = 0.5  # the probability at which a surface is drawn


def to_volume(field: Field) -> NDArray[np.uint8]:
    """A field of any grid as (200, 192, 192) uint8 - the paper's volume.

    The field is resampled linearly, in its own unit (logits stay logits), and continued at its border.
    """
    paper = Grid.paper()
    values = field.values
    if field.grid != paper:
        for axis in range(3):
            values = _resample(values, axis, *_places(field.grid, paper, axis))
    volume = np.empty(paper.shape, np.uint8)
    for depth in range(len(volume)):  # a plane at a time: the whole volume in float64 would be 59 MB
        volume[depth] = np.floor(255 * _probability(values[depth], field.level))
    return volume


def to_field(volume: NDArray[np.uint8]) -> Field:
    """(200, 192, 192) uint8 as a field of probabilities; a byte b stands for b/255 to (b+1)/255, so its middle."""
    return Field((volume.astype(np.float32) + np.float32(0.5)) / np.float32(255), Grid.paper(), SURFACE)


def write_volume(path: Path, field: Field) -> None:
    """Write a field as ``.raw`` or ``.npy``; the file is there whole or not at all.

    Raises ValueError for another suffix and OSError when the file cannot be written.
    """
    _check_suffix(path)
    volume = to_volume(field)
    with replacing(path) as part, part.open("wb") as file:
        if path.suffix == ".npy":
            np.save(file, volume, allow_pickle=False)
        else:
            file.write(volume.data)


def read_volume(path: Path) -> Field:
    """Read a ``.raw`` or ``.npy`` volume as a field of probabilities.

    Raises ValueError for another suffix, FieldError when the file is no such volume and OSError when it cannot be
    read.
    """
    _check_suffix(path)
    shape = Grid.paper().shape
    wanted = f"{' x '.join(map(str, shape))} bytes"
    if path.suffix == ".raw":
        size = path.stat().st_size
        if size != np.prod(shape):
            raise FieldError(f"{path}: expected {wanted}, found {size} bytes")
        return to_field(np.fromfile(path, np.uint8).reshape(shape))
    try:
        volume = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise FieldError(f"{path}: expected {wanted} in numpy's format: {error}") from error
    if volume.shape != shape or volume.dtype != np.uint8:
        raise FieldError(f"{path}: expected {wanted}, found {volume.dtype} of shape {volume.shape}")
    return to_field(np.asarray(volume))


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: a volume ends in {' or '.join(SUFFIXES)}")


def _places(source: Grid, target: Grid, axis: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Per target sample along an array axis (depth, y, x): the source sample before it and the share of the next."""
    frame = 2 - axis  # grids name x, y, depth
    crop_px = target.origin[frame] + target.step[frame] * np.arange(target.shape[axis])
    last = source.shape[axis] - 1
    place = np.clip((crop_px - source.origin[frame]) / source.step[frame], 0, last)
    before = np.minimum(place.astype(np.intp), max(last - 1, 0))
    return before, (place - before).astype(np.float32)


def _resample(
    values: NDArray[np.float32], axis: int, before: NDArray[np.intp], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    after = np.minimum(before + 1, values.shape[axis] - 1)
    share = share.reshape([-1 if i == axis else 1 for i in range(3)])
    mixed: NDArray[np.float32] = values.take(before, axis) * (1 - share) + values.take(after, axis) * share
    return mixed


def _probability(values: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """Probabilities are told from logits by the level of the surface."""
    if level == SURFACE:
        return np.clip(values, 0, 1)
    squashed: NDArray[np.float32] = 1 / (1 + np.exp(-np.clip(values - level, -80, 80)))
    return squashed
