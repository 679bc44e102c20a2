"""A whole head as the guided network answers: the head model's vertices on this person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import CROP_SIZE, Crop, Grid
from vrn.avatar.fit import HeadPose
from vrn.avatar.model import HeadModel
from vrn.avatar.raster import crossings, foremost, soft_occupancy
from vrn.meshing.field import Field
from vrn.meshing.visibility import View

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WholeHead:
    """The surface of a head and its volume.

    Attributes
    ----------
    vertices : (v, 3) float64 - the moved guide, head crop frame
    model : the head model whose vertices they are
    plane : (4,) float64 - the cut through the neck, head crop frame; the positive side is kept
    crop : the head crop
    pose : of the one head, before its vertices were displaced, head crop frame; None where no head was fitted
    """

    vertices: Floats
    model: HeadModel
    plane: Floats
    crop: Crop
    pose: HeadPose | None = None

    def field(self, columns: int) -> Field:
        """The volume, occupancy 0..1 on a grid of so many columns and depths over the head crop."""
        return soft_occupancy(self.vertices, self.model.triangles, self.plane, _grid(columns))

    def view(self, columns: int) -> View:
        """What the camera sees of the head, on so many columns over the head crop."""
        grid = _grid(columns)
        place = (self.vertices - np.array(grid.origin)) / np.array(grid.step)
        found = crossings(place, self.model.triangles, columns, columns)
        shown, _, depth = foremost(found, columns, columns)
        front = np.where(shown >= 0, grid.origin[2] + grid.step[2] * depth, -np.inf)
        y, x = np.mgrid[:columns, :columns] * grid.step[0] + grid.origin[0]
        points = np.stack([x, y, np.where(shown >= 0, front, 0)], -1)
        below = points @ self.plane[:3] + self.plane[3] < 0
        return View.of_front(np.where(below, -np.inf, front).astype(np.float32), grid)


def _grid(columns: int) -> Grid:
    """So many columns and depths over the head crop."""
    step = CROP_SIZE / columns
    return Grid((columns,) * 3, ((step - 1) / 2,) * 3, (step,) * 3)
