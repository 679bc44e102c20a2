"""Colours all round: seen in the photo, else mirrored from the face's other side, else diffused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selfie3d.types.frames import CROP_SIZE, Crop, transform
from vrn.meshing.diffusion import diffuse
from vrn.meshing.head_fit import Plane
from vrn.meshing.visibility import View

Floats32 = NDArray[np.float32]

MIRROR_TOLERANCE_PX = 6.0  # crop px between a mirrored point and the surface whose colour it takes
FILL_CELL_PX = 5.0  # crop px, the finest lattice of the diffusion
LIGHT_CELL_PX = 20.0  # crop px, the same for the difference in light between the two sides
LIGHT_STRIDE = 4  # every so many-th vertex tells it


class Confidence(IntEnum):
    """Where a vertex has its colour from."""

    FILLED = 0  # diffused from its surroundings
    MIRRORED = 1  # from the same place on the other side of the face
    SEEN = 2  # from the photo


@dataclass(frozen=True)
class Paint:
    """Colours of vertices.

    Attributes
    ----------
    colours : (n, 3) float32 - sRGB 0..255
    confidence : (n,) uint8 - Confidence
    seen : (n,) float32 - how well the photo shows it, 0..1
    at : (n, 3) float32 - where the photo shows it, crop frame
    """

    colours: Floats32
    confidence: NDArray[np.uint8]
    seen: Floats32
    at: Floats32


@dataclass(frozen=True)
class PhotoSampler:
    """Bilinear colours of a photo around a face, averaged over about one vertex spacing.

    Attributes
    ----------
    patch : (h, w, 3) float32 - the photo around the face, each pixel the mean of `factor` x `factor` of the photo's
    factor : photo px per patch px
    start : (x, y) photo px of the first pixel that the patch averages
    size : (width, height) of the photo
    crop : the crop frame
    """

    patch: Floats32
    factor: int
    start: tuple[int, int]
    size: tuple[int, int]
    crop: Crop

    @classmethod
    def around(cls, photo: NDArray[np.uint8], crop: Crop, spacing: float) -> Self:
        """photo : (H, W, 3) uint8 - photo frame; spacing : crop px between the points to sample."""
        height, width = photo.shape[:2]
        factor = max(1, round(spacing / crop.scale / 2))
        square = np.array([[x, y, 0.0] for x in (0.0, CROP_SIZE) for y in (0.0, CROP_SIZE)])
        corners = transform(crop.to_photo(), square)[:, :2]
        low = np.floor(corners.min(0) - 2 * factor).astype(int).clip(0, (width - 1, height - 1))
        high = np.ceil(corners.max(0) + 2 * factor).astype(int).clip(low + 1, (width, height))
        patch = photo[low[1] : high[1], low[0] : high[0]]
        if factor > 1:
            patch = np.asarray(Image.fromarray(patch).reduce(factor))
        return cls(patch.astype(np.float32), factor, (int(low[0]), int(low[1])), (width, height), crop)

    def inside(self, points: Floats32) -> NDArray[np.bool_]:
        """(n,) - which (n, 3) points of the crop frame the photo covers."""
        x, y = self._photo(points)
        width, height = self.size
        return np.asarray((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))

    def sample(self, points: Floats32) -> Floats32:
        """(n, 3) float32 - sRGB 0..255 where (n, 3) points of the crop frame fall; the border goes on outside."""
        height, width = self.patch.shape[:2]
        x, y = self._photo(points)
        left, fx = self._split((x - (self.start[0] - 0.5)) / self.factor - 0.5, width)
        top, fy = self._split((y - (self.start[1] - 0.5)) / self.factor - 0.5, height)
        pixels = self.patch.reshape(-1, 3)
        at = top * width + left
        right, down = min(width - 1, 1), width * min(height - 1, 1)
        colours = pixels.take(at, 0) * ((1 - fx) * (1 - fy))[:, None]
        colours += pixels.take(at + right, 0) * (fx * (1 - fy))[:, None]
        colours += pixels.take(at + down, 0) * ((1 - fx) * fy)[:, None]
        colours += pixels.take(at + (down + right), 0) * (fx * fy)[:, None]
        return np.asarray(colours)

    def _photo(self, points: Floats32) -> tuple[Floats32, Floats32]:
        x, y = (points[:, k] - np.float32(self.crop.offset[k]) for k in (0, 1))
        cos, sin = np.float32(np.cos(self.crop.roll)), np.float32(np.sin(self.crop.roll))
        scale = np.float32(self.crop.scale)
        return np.asarray((cos * x - sin * y) / scale), np.asarray((sin * x + cos * y) / scale)

    @staticmethod
    def _split(at: NDArray[np.floating], size: int) -> tuple[NDArray[np.int32], Floats32]:
        """The pixel to the left of each place and the share of the one to its right."""
        at = np.asarray(at, np.float32).clip(0, size - 1)
        left = np.minimum(at.astype(np.int32), max(size - 2, 0))
        return left, at - left.astype(np.float32)


def paint(
    photo: NDArray[np.uint8],
    crop: Crop,
    vertices: Floats32,
    normals: Floats32,
    view: View,
    symmetry: Plane,
    spacing: float,
) -> Paint:
    """Colour a surface all round.

    photo : (H, W, 3) uint8 - sRGB, photo frame
    vertices, normals : (n, 3) float32 - crop frame, as are `view`, `symmetry` and `spacing`, the px between vertices
    """
    sampler = PhotoSampler.around(photo, crop, spacing)
    seen = view.seen(vertices, normals) * sampler.inside(vertices)
    colours = np.zeros((len(vertices), 3), np.float32)
    at = np.flatnonzero(seen)
    colours[at] = sampler.sample(vertices[at])

    by_mirror, other = _mirrored(sampler, vertices, normals, view, symmetry, seen, colours)
    known = seen + by_mirror
    colours = (colours * seen[:, None] + other * by_mirror[:, None]) / np.maximum(known, 1e-6)[:, None]
    sure = known * known
    at = np.flatnonzero(sure < 1)
    fill = diffuse(vertices, colours, sure, FILL_CELL_PX, at)
    colours[at] = fill + (colours[at] - fill) * sure[at, None]
    confidence = np.full(len(vertices), Confidence.FILLED, np.uint8)
    confidence[known >= 0.5] = Confidence.MIRRORED
    confidence[seen >= 0.5] = Confidence.SEEN
    return Paint(np.clip(colours, 0, 255, out=colours), confidence, seen, vertices)


def _mirrored(
    sampler: PhotoSampler,
    vertices: Floats32,
    normals: Floats32,
    view: View,
    symmetry: Plane,
    seen: Floats32,
    colours: Floats32,
) -> tuple[Floats32, Floats32]:
    """Weight (n,) and colours (n, 3) that the other side of the face lends to what is not well seen.

    The two sides of a face are lit differently. Where both are seen the difference is known; diffused, it takes the
    other side's light out of the colours it lends.
    """
    wanted = seen < 1
    wanted[::LIGHT_STRIDE] = True  # some well seen ones, to learn the difference
    at = np.flatnonzero(wanted)
    images = symmetry.reflect(vertices[at])
    weight = view.seen(images, symmetry.reflect_directions(normals[at]))
    weight *= view.on_surface(images, MIRROR_TOLERANCE_PX) & sampler.inside(images)
    at, images, weight = at[weight > 0], images[weight > 0], weight[weight > 0]
    other = sampler.sample(images)
    if len(at):
        other += diffuse(vertices[at], colours[at] - other, weight * seen[at], LIGHT_CELL_PX)
    by_mirror, lent = np.zeros_like(seen), np.zeros_like(colours)
    by_mirror[at], lent[at] = weight * (1 - seen[at]), other
    return by_mirror, lent
