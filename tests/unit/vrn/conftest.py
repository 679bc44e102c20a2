"""A head that is known exactly: an ellipsoid with a nose, its field, its landmarks and a photo of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from selfie3d.types import Format, Mesh, Options, Pose
from selfie3d.types.frames import Grid, transform
from vrn.finder.face import AlignedFace
from vrn.meshing.face_surface import FaceSurface
from vrn.meshing.field import Field
from vrn.meshing.head_fit import MEAN_LANDMARKS_MM
from vrn.meshing.surface import solidify
from vrn.meshing.visibility import View

Floats = NDArray[np.float64]

SKULL = np.array([0.0, -30.0, -70.0]), np.array([80.0, 130.0, 100.0])  # centre and radii, mm, axes of MEAN_LANDMARKS_MM
NOSE = np.array([0.0, -27.0, 28.0]), np.array([13.0, 20.0, 18.0])
BACKGROUND = (255, 0, 255)  # no head has it
FINE = Grid.blocks(96, 100)
STANDARD = Options()
FLIP = np.array([1.0, -1.0, 1.0])
FRONT = 92.0  # crop px, where the nose's depth goes: the zero of depth is arbitrary


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def head_colours(points_mm: Floats) -> Floats:
    """(n, 3) sRGB of places on the head; the same on both sides."""
    x, y, _ = points_mm.T
    return np.stack([150 + 60 * np.cos(y / 15), 120 + 50 * np.cos(np.abs(x) / 12), np.full(len(x), 60.0)], 1)


@dataclass(frozen=True)
class Head:
    """The head in a photo of size x size px, posed, `px_per_mm` large, its eyes' middle at `centre`."""

    pose: Pose
    px_per_mm: float = 1.5
    centre: tuple[float, float] = (190.0, 150.0)
    size: int = 400

    @property
    def face(self) -> AlignedFace:
        """As a perfect finder sees it."""
        turned = MEAN_LANDMARKS_MM @ self.pose.rotation.T * FLIP * self.px_per_mm
        return AlignedFace(turned + np.array([*self.centre, 1234.5]), 0.9)

    def to_head(self, points_crop: Floats) -> Floats:
        """Crop px to mm of the head."""
        px = transform(self.face.crop.to_photo(), points_crop) - [*self.centre, self._depth_px]
        return np.asarray(px * FLIP / self.px_per_mm @ self.pose.rotation)

    @property
    def _depth_px(self) -> float:
        return (FRONT - 45 * self.px_per_mm * self.face.crop.scale) / self.face.crop.scale

    @cache  # noqa: B019 - a head is a few numbers, and there are few heads
    def field(self, grid: Grid = FINE) -> Field:
        """Occupancy logits as a perfect network would give: 1 per crop px from the surface. Read-only."""
        corners = self.to_head(transform(grid.to_crop(), np.eye(4, 3, -1)))  # the samples at 0, then one along x, y, z
        start, steps = corners[0], corners[1:] - corners[0]
        k, j, i = np.ogrid[tuple(slice(size) for size in grid.shape)]

        def depth(centre: Floats, radii: Floats) -> Floats:
            first, (x, y, z) = (start - centre) / radii, steps / radii
            squares = sum((first[axis] + i * x[axis] + j * y[axis] + k * z[axis]) ** 2 for axis in range(3))
            return np.asarray((1 - np.sqrt(squares)) * radii.min())

        logits = np.maximum(depth(*SKULL), depth(*NOSE)) * self.px_per_mm * self.face.crop.scale
        return Field(read_only(logits.astype(np.float32)), grid, 0.0)

    @cache  # noqa: B019
    def photo(self) -> NDArray[np.uint8]:
        """(size, size, 3) uint8 of the head before a background of magenta. Read-only."""
        view = View.of(solidify(self.field()))
        y, x = np.mgrid[: self.size, : self.size].reshape(2, -1)
        points = transform(self.face.crop.to_crop(), np.stack([x, y, np.zeros_like(x)], 1))
        inside = (points[:, :2] >= -4).all(1) & (points[:, :2] <= 195).all(1)  # the head goes on beyond the crop
        depth = np.where(inside, view.front_at(points), -np.inf)
        shown = np.isfinite(depth)
        points[:, 2] = np.where(shown, depth, 0)
        colours = np.where(shown[:, None], head_colours(self.to_head(points)), BACKGROUND)
        return read_only(np.rint(colours).astype(np.uint8).reshape(self.size, self.size, 3))

    def surface(self, options: Options | None = None) -> FaceSurface:
        """The surface from the field."""
        return FaceSurface.of(self.field(), self.face, options or Options())

    @cache  # noqa: B019
    def mesh(self, options: Options = STANDARD) -> Mesh:
        """The coloured mesh. Several tests look at the same one."""
        return self.surface(options).coloured(self.photo(), self.face, textured=options.textured)


@pytest.fixture(scope="session")
def make_head() -> Callable[..., Head]:
    """Makes heads: make_head(yaw=30)."""

    def make(yaw: float = 0, pitch: float = 0, roll: float = 0, **places: object) -> Head:
        return Head(Pose(yaw, pitch, roll), **places)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def frontal(make_head: Callable[..., Head]) -> Mesh:
    """A frontal head's standard mesh."""
    return make_head().mesh()


@pytest.fixture(scope="session")
def textured(make_head: Callable[..., Head]) -> Mesh:
    """A three-quarter head's mesh with a texture."""
    return make_head(yaw=35).mesh(Options(Format.GLB, textured=True))


@pytest.fixture(scope="session")
def colours_of() -> Callable[[Floats], Floats]:
    """The true sRGB of places on the head, mm."""
    return head_colours
