"""The frames: where x, y and depth point, and how to get from one to the next. Nothing else defines them.

Photo frame
    Pixels of the photo after EXIF orientation. x right, y down, depth towards the viewer, all in the same
    pixel; pixel centres are integers, so the photo covers [-0.5, width - 0.5]. The zero of depth is arbitrary.

Crop frame
    The network's square of 192 x 192 px. ``crop = scale * photo + offset`` for x and y, with
    ``scale = 90 / sqrt(w * h)`` of the box of the 68 landmarks (3D scheme, hidden side included) and the offset
    that puts the centre of that box at (95.5, 95.5). Depth runs from 0 (back) to 100 px (front):
    ``depth_crop = scale * depth_photo``.

Head crop frame
    The square in which a whole head is reconstructed: a crop frame too, but turned so that the head stands upright and
    scaled to 6.4 px per cm of the head, with the head's centre at (95.5, 95.5, 95.5); see `vrn.avatar.guide`.

Field
    Samples of occupancy over the crop, array order (depth, height, width), depth growing towards the viewer.
    Sample (k, j, i) lies at crop ``x = x0 + i * dx, y = y0 + j * dy, depth = z0 + k * dz``: a :class:`Grid`.
    The paper's grid is 200 x 192 x 192 with dx = dy = 1 and dz = 0.5 px.

Mesh frame (files)
    Right-handed, x to the right of the photo, y up, the face looks along +z. Millimetres, estimated from a mean
    adult outer-eye distance. The origin is the centre of the mesh's bounding box, inside the head.
    :func:`mesh_to_photo` leads back to the photo.

Worked example: landmark box 180 x 180 px centred at photo (400, 300): scale = 0.5, offset = (95.5 - 200, 95.5 - 150)
= (-104.5, -54.5). Photo pixel (400, 300) is crop (95.5, 95.5); a depth of 10 photo px is 5 crop px.

Source: Jackson et al., ICCV 2017, section 4 and the released ``run.m``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
F = TypeVar("F", bound=np.floating[Any])

CROP_SIZE = 192  # px, height and width of the network's picture
FACE_SIZE = 90.0  # px of the crop, sqrt(w * h) of the 68-landmark box
CROP_CENTRE = (CROP_SIZE - 1) / 2  # 95.5 px, where the box centre goes
VOLUME_DEPTH = 200  # samples along depth in the paper's volume
DEPTH_STEP = 0.5  # px of the crop between two depth samples of the paper's volume
DEPTH_RANGE = VOLUME_DEPTH * DEPTH_STEP  # 100.0 px
OUTER_EYE_MM = 89.5  # mean adult biocular width; Farkas 1994: men 91.2 mm, women 87.8 mm
UPRIGHT: Floats = np.diag([1.0, -1.0, 1.0])  # from a frame whose y points down to one with y up, and back
OUTER_EYE_CORNERS = (36, 45)  # indices in the 68-point scheme, subject's right and left


@dataclass(frozen=True)
class Grid:
    """Where the samples of a field lie in the crop frame.

    Attributes
    ----------
    shape : (depth, height, width) - number of samples
    origin : (x, y, depth) in crop px of sample (0, 0, 0)
    step : (x, y, depth) in crop px between neighbouring samples
    """

    shape: tuple[int, int, int]
    origin: tuple[float, float, float]
    step: tuple[float, float, float]

    @classmethod
    def paper(cls) -> Grid:
        """200 x 192 x 192 samples, one per crop pixel and half a pixel along depth."""
        return cls((VOLUME_DEPTH, CROP_SIZE, CROP_SIZE), (0.0, 0.0, 0.0), (1.0, 1.0, DEPTH_STEP))

    @classmethod
    def blocks(cls, columns: int, depths: int) -> Grid:
        """Samples at the centres of equal blocks of the paper's volume, e.g. ``blocks(96, 100)``."""
        lateral = CROP_SIZE / columns
        depth = VOLUME_DEPTH / depths
        return cls(
            (depths, columns, columns),
            ((lateral - 1) / 2, (lateral - 1) / 2, (depth - 1) / 2 * DEPTH_STEP),
            (lateral, lateral, depth * DEPTH_STEP),
        )

    def to_crop(self) -> Floats:
        """(4, 4) float64 - sample indices (x, y, depth, 1) to crop px."""
        return _affine(np.diag(self.step), self.origin)


@dataclass(frozen=True)
class Crop:
    """The similarity between photo and crop frame: ``crop = scale * turn(photo) + offset``.

    Attributes
    ----------
    scale : crop px per photo px
    offset : (x, y) or (x, y, depth) in crop px; no depth is 0
    roll : radians by which the photo is turned counter-clockwise, as seen; a head that is tilted clockwise by as much
        stands upright in the crop
    """

    scale: float
    offset: tuple[float, ...]
    roll: float = 0.0

    @classmethod
    def around(cls, centre: tuple[float, float], size: float) -> Crop:
        """The crop whose centre is `centre` (photo px) and in which `size` photo px become 90."""
        scale = FACE_SIZE / size
        return cls(scale, (CROP_CENTRE - scale * centre[0], CROP_CENTRE - scale * centre[1]))

    @classmethod
    def of_landmarks(cls, landmarks_px: NDArray[np.floating]) -> Crop:
        """The crop rule of the paper.

        landmarks_px : (68, 2 or 3) float - photo frame
        """
        low, high = landmarks_px[:, :2].min(0), landmarks_px[:, :2].max(0)
        centre = (low + high) / 2
        return cls.around((float(centre[0]), float(centre[1])), float(np.sqrt(np.prod(high - low))))

    @classmethod
    def of_matrix(cls, to_crop: Floats) -> Crop:
        """to_crop : (4, 4) float64 - photo (x, y, depth, 1) to crop px, a similarity that turns about depth."""
        x, y, depth = to_crop[:3, 3].tolist()
        scale, roll = np.hypot(to_crop[0, 0], to_crop[0, 1]), np.arctan2(to_crop[0, 1], to_crop[0, 0])
        return cls(float(scale), (x, y, depth), float(roll))

    def to_crop(self) -> Floats:
        """(4, 4) float64 - photo (x, y, depth, 1) to crop px."""
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return _affine(self.scale * turn, np.array((*self.offset, 0.0)[:3]))

    def to_photo(self) -> Floats:
        """(4, 4) float64 - crop (x, y, depth, 1) to photo px."""
        return np.asarray(np.linalg.inv(self.to_crop()), np.float64)


def transform(matrix: Floats, points: NDArray[np.floating]) -> Floats:
    """Apply an affine map: (4, 4) and (n, 3) -> (n, 3) float64."""
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3], np.float64)


def upright(points: NDArray[F]) -> NDArray[F]:
    """Points or directions (..., 3) of a frame whose y points down with y up, or back; its own inverse."""
    return np.asarray(points * UPRIGHT.diagonal(), points.dtype)


def upright_rotation(rotation: NDArray[F]) -> NDArray[F]:
    """A (3, 3) rotation of a frame whose y points down in the axes with y up, or back; its own inverse."""
    return upright(upright(rotation).T).T


def mesh_to_photo(origin_px: NDArray[np.floating], px_per_mm: float) -> Floats:
    """The matrix that every result carries.

    origin_px : (3,) float - the mesh frame's origin in the photo frame (x, y, depth)
    px_per_mm : photo px per millimetre of the mesh frame

    Returns (4, 4) float64: mesh (x, y, z, 1) in mm to photo (x px, y px, depth px). y changes sign.
    """
    return _affine(np.diag([px_per_mm, -px_per_mm, px_per_mm]), origin_px)


def _affine(linear: Floats, offset: NDArray[np.floating] | tuple[float, float, float]) -> Floats:
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = offset
    return matrix
