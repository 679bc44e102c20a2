"""What the camera sees of a solid: a depth buffer along the columns of the crop."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter

from selfie3d.types.frames import Grid
from vrn.meshing.field import Field

Floats32 = NDArray[np.float32]

FACING = (0.2, 0.45)  # cosine between normal and view: below the first unseen, above the second well seen
RIM_PX = (2.0, 6.0)  # crop px inside the silhouette, where the photo may already show the background
DEPTH_TOLERANCE_PX = 2.0
AROUND_PX, AROUND_STEP_PX = (8.0, 40.0), 3.0  # where the background is, crop px outside the silhouette
STEEPEST = 2.5  # depth px per lateral px that the tolerance follows


@dataclass(frozen=True)
class View:
    """The depth buffer of a solid.

    Attributes
    ----------
    front : (h, w) float32 - depth of the foremost surface in crop px, -inf where there is none
    occluder : (h, w) float32 - the foremost depth among a sample and its 8 neighbours
    inset : (h, w) float32 - crop px to the silhouette or the crop's border, 0 outside
    grid : Grid - of the solid; only x and y matter
    """

    front: Floats32
    occluder: Floats32
    inset: Floats32
    grid: Grid

    @classmethod
    def of(cls, solid: Field) -> Self:
        """solid : what surface.solidify returns (closed, level 0)."""
        return cls.of_front(_front(solid), solid.grid)

    @classmethod
    def of_front(cls, front: Floats32, grid: Grid) -> Self:
        """front : (h, w) float32 - depth of the foremost surface on the columns of a grid, -inf where there is none."""
        inset = distance_transform_edt(np.isfinite(front), sampling=grid.step[1::-1])
        return cls(front, maximum_filter(front, 3), inset.astype(np.float32), grid)

    def front_at(self, points: NDArray[np.floating]) -> Floats32:
        """(n,) float32 - depth of the foremost surface at the (x, y) of crop points, -inf where there is none."""
        return self.front[self._nearest(points)]

    def inset_at(self, points: NDArray[np.floating]) -> Floats32:
        """(n,) float32 - crop px from the (x, y) of crop points to the silhouette, 0 outside."""
        return self.inset[self._nearest(points)]

    @cached_property
    def around(self) -> Floats32:
        """(n, 3) float32 - points around the solid, AROUND_PX outside its silhouette; depth 0."""
        (x0, y0, _), (dx, dy, _) = self.grid.origin, self.grid.step
        pad, every = int(np.ceil(AROUND_PX[1] / min(dx, dy))), max(1, round(AROUND_STEP_PX / max(dx, dy)))
        outside = distance_transform_edt(np.pad(~np.isfinite(self.front), pad, constant_values=True), sampling=(dy, dx))
        chosen = (outside[::every, ::every] > AROUND_PX[0]) & (outside[::every, ::every] < AROUND_PX[1])
        row, column = np.nonzero(chosen)
        x, y = (column * every - pad) * dx + x0, (row * every - pad) * dy + y0
        return np.stack([x, y, np.zeros_like(x)], 1).astype(np.float32)

    def seen(
        self, points: NDArray[np.floating], normals: NDArray[np.floating], tolerance_px: float = DEPTH_TOLERANCE_PX
    ) -> Floats32:
        """How well each point of the surface is seen.

        points, normals : (n, 3) float - crop frame (x, y, depth)
        tolerance_px : how far a point may lie behind the depth buffer and still be seen

        Returns (n,) float32 from 0 (hidden, grazing or on the rim) to 1.
        """
        at = self._nearest(points)
        facing = normals[:, 2]
        slope = np.minimum(np.sqrt(np.maximum(1 - facing**2, 0)) / np.maximum(facing, 1e-3), STEEPEST)
        behind = self.occluder[at] - points[:, 2]
        unoccluded = behind <= tolerance_px + 1.5 * self.grid.step[0] * slope
        seen = smoothstep(facing, FACING) * smoothstep(self.inset[at], RIM_PX) * unoccluded
        return np.asarray(seen, np.float32)

    def on_surface(self, points: NDArray[np.floating], within_px: float) -> NDArray[np.bool_]:
        """Whether crop points lie that close to the foremost surface."""
        return np.asarray(np.abs(self.front_at(points) - points[:, 2]) <= within_px)

    def beside_surface(self, points: NDArray[np.floating], within_px: float) -> NDArray[np.bool_]:
        """Whether crop points lie no further behind the foremost surface of their column or of one next to it."""
        return np.asarray(self._rearmost[self._nearest(points)] - points[:, 2] <= within_px)

    @cached_property
    def _rearmost(self) -> Floats32:
        """(h, w) float32 - the least of the foremost depths of a column and its 8 neighbours, where there are any."""
        return np.asarray(minimum_filter(np.where(np.isfinite(self.front), self.front, np.inf), 3), np.float32)

    def _nearest(self, points: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        (x0, y0, _), (dx, dy, _) = self.grid.origin, self.grid.step
        height, width = self.front.shape
        i = np.rint((points[:, 0] - x0) / dx).astype(np.intp).clip(0, width - 1)
        j = np.rint((points[:, 1] - y0) / dy).astype(np.intp).clip(0, height - 1)
        return j, i


def smoothstep(x: NDArray[np.floating], edges: tuple[float, float]) -> Floats32:
    """0 below the first edge, 1 above the second, smooth between."""
    t = np.clip((x - edges[0]) / (edges[1] - edges[0]), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _front(solid: Field) -> Floats32:
    """Where each column leaves the solid for the last time, by linear interpolation; the solid is closed."""
    inside = solid.values > 0
    last = len(inside) - 1 - inside[::-1].argmax(0)
    last[~inside.any(0)] = 0
    here = np.take_along_axis(solid.values, last[None], 0)[0]
    after = np.take_along_axis(solid.values, last[None] + 1, 0)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = solid.grid.origin[2] + solid.grid.step[2] * (last + here / (here - after))
    return np.where(inside.any(0), depth, -np.inf).astype(np.float32)
