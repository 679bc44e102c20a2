"""A solid that prints: the face as a relief without undercuts on a flat back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening, map_coordinates

from selfie3d.types.frames import Grid, transform, upright_rotation
from vrn.errors import FieldError
from vrn.meshing.field import Field
from vrn.meshing.surface import closed

Floats = NDArray[np.float64]

THICKNESS_MM = 4.0  # the least thickness, along depth and across
BACK_AREA = 0.1  # the base goes where the cross-section has this share of its largest area


def relief(solid: Field, rotation: Floats, px_per_mm: float) -> tuple[Field, Floats]:
    """Turn a solid so that the face looks along depth, fill all behind what can be seen from there, cut the back flat.

    solid : what surface.solidify returns
    rotation : (3, 3) float64 - head axes to the crop's axes with y up
    px_per_mm : crop px per mm

    Returns a closed field in the head's frame (x, y down, depth out of the face, crop px) and the (4, 4) matrix from
    there to the crop frame. The lowest layer of the surface is a plane of constant depth.
    """
    to_crop = _head_to_crop(solid, rotation)
    grid = _head_grid(solid, np.asarray(np.linalg.inv(to_crop)))
    values = _sampled(solid, grid, to_crop)
    areas = np.count_nonzero(values > 0, axis=(1, 2))
    base = int(np.argmax(areas >= BACK_AREA * areas.max()))
    filled = np.maximum.accumulate(values[:base:-1])[::-1]  # the most solid of all that lies in front
    slab = max(round(THICKNESS_MM * px_per_mm / grid.step[2]), 1)
    filled[:slab] = filled[0]
    thick = _without_fins(filled[0] > 0, THICKNESS_MM * px_per_mm / grid.step[0])
    if not thick.any():
        raise FieldError("The face is too thin to print: try a sharper or closer photo of the face.")
    filled = np.where(thick, filled, -np.abs(filled))
    origin = (grid.origin[0], grid.origin[1], grid.origin[2] + (base + 1) * grid.step[2])
    depths, height, width = filled.shape
    return closed(Field(filled, Grid((depths, height, width), origin, grid.step), 0.0)), to_crop


def _head_to_crop(solid: Field, rotation: Floats) -> Floats:
    """(4, 4) - turns about the middle of the solid."""
    middle = np.array(solid.grid.origin) + (np.array(solid.values.shape[::-1]) - 1) / 2 * solid.grid.step
    matrix = np.eye(4)
    matrix[:3, :3] = upright_rotation(rotation)
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle
    return matrix


def _head_grid(solid: Field, to_head: Floats) -> Grid:
    """The lattice of the solid's steps that holds all of the turned solid."""
    samples = np.argwhere(solid.values > 0)[:, ::-1]
    points = transform(to_head, transform(solid.grid.to_crop(), samples.astype(np.float64)))
    step = np.array(solid.grid.step)
    low, high = points.min(0) - 2 * step, points.max(0) + 2 * step
    width, height, depths = (np.ceil((high - low) / step).astype(int) + 1).tolist()
    return Grid((depths, height, width), tuple(low.tolist()), solid.grid.step)


def _sampled(solid: Field, grid: Grid, to_crop: Floats) -> NDArray[np.float32]:
    """The solid's field at the samples of another grid, linear; outside far below the level."""
    matrix = np.linalg.inv(solid.grid.to_crop()) @ to_crop @ grid.to_crop()
    depths, height, width = grid.shape
    z, y, x = np.meshgrid(np.arange(depths), np.arange(height), np.arange(width), indexing="ij", sparse=True)
    places = [matrix[k, 0] * x + matrix[k, 1] * y + matrix[k, 2] * z + matrix[k, 3] for k in (2, 1, 0)]
    outside = float(solid.values.min())
    return np.asarray(map_coordinates(solid.values, places, np.float32, order=1, mode="constant", cval=outside))


def _without_fins(covered: NDArray[np.bool_], thickness: float) -> NDArray[np.bool_]:
    """(h, w) - the outline without parts thinner than `thickness` samples."""
    radius = int(np.ceil(thickness / 2))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(binary_opening(covered, x**2 + y**2 <= radius**2))
