"""The texture of a head in the chart that all heads share: the photo pixel by pixel where it shows the head, and the
completed colours, finer than the vertices, everywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selfie3d.types.frames import Crop
from vrn.avatar.chart import EYEBALL, load_chart
from vrn.avatar.eyeballs import Eyeballs
from vrn.avatar.neighbours import Neighbours
from vrn.meshing.colour import Paint, PhotoSampler
from vrn.meshing.diffusion import pull_push

Singles = NDArray[np.float32]

LEAST_TEXEL_PX = 0.25  # head crop px; finer ones show no more of any photo


@dataclass(frozen=True)
class Texels:
    """The covered pixels of a texture.

    Attributes
    ----------
    at : (p,) int32 - row-major index in the texture
    corners : (p, 3) int32 - the model's vertices around it
    weights : (p, 3) float32 - barycentric
    """

    at: NDArray[np.int32]
    corners: NDArray[np.int32]
    weights: Singles

    @property
    def neighbours(self) -> Neighbours:
        """The corners as neighbours, the nearest first."""
        order = np.argsort(-self.weights, 1)
        index = np.take_along_axis(self.corners, order, 1)
        return Neighbours(np.asarray(index, np.intp), np.take_along_axis(self.weights, order, 1))

    def mean(self, values: Singles) -> Singles:
        """(p, c) float32 from values (v, c) of the model's vertices."""
        return np.asarray(sum(values[self.corners[:, k]] * self.weights[:, k : k + 1] for k in range(3)), np.float32)


@lru_cache(maxsize=4)
def texels(size: int) -> Texels:
    """Of a texture of size x size; the same for every head."""
    chart = load_chart()
    triangle, weights = chart.pixels(size)
    at = np.flatnonzero(triangle >= 0)
    corners = chart.source[chart.triangles[triangle.ravel()[at]]]
    return Texels(at.astype(np.int32), corners.astype(np.int32), weights.reshape(-1, 3)[at])


def chart_picture(
    photo: NDArray[np.uint8], crop: Crop, completed: Singles, paint: Paint, size: int, coarser: int
) -> NDArray[np.uint8]:
    """(size, size, 3) uint8 sRGB.

    photo : (H, W, 3) uint8; crop : of the head; paint : of the model's vertices
    completed : (p, 3) float32 - colours all round, of the texels of a picture so many times smaller
    """
    covered = texels(size)
    coarse = Image.fromarray(padded(texels(size // coarser).at, completed, size // coarser))
    smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BILINEAR))
    colours = smooth.reshape(-1, 3)[covered.at].astype(np.float32)
    seen = covered.mean(paint.seen[:, None])[:, 0]
    shown = np.flatnonzero(seen > 0)
    places = Texels(covered.at[shown], covered.corners[shown], covered.weights[shown]).mean(paint.at)
    sampler = PhotoSampler.around(photo, crop, LEAST_TEXEL_PX)
    share = seen[shown, None]
    colours[shown] += (sampler.sample(places) - colours[shown]) * share
    return padded(covered.at, colours, size)


def with_eyeball(picture: NDArray[np.uint8], eyes: Eyeballs) -> NDArray[np.uint8]:
    """The texture with the eyeballs' disc in its place."""
    size = len(picture)
    left, bottom, side = EYEBALL
    disc = eyes.disc(round(side * size))
    rows, columns = round((1 - bottom) * size) - len(disc), round(left * size)
    picture = picture.copy()
    picture[rows : rows + len(disc), columns : columns + len(disc)] = np.rint(disc.clip(0, 255))
    return picture


def padded(at: NDArray[np.int32], colours: Singles, size: int) -> NDArray[np.uint8]:
    """The picture with the gaps between its islands filled by what surrounds them, so that no seam shows."""
    sums = np.zeros((size * size, 4), np.float32)
    sums[at, :3], sums[at, 3] = colours, 1
    picture = pull_push(sums.reshape(size, size, 4))
    return np.asarray(np.rint(picture.clip(0, 255)), np.uint8)
