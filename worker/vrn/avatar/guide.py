"""The head crop: the cube around the guide's head that the guided network sees, and the guide's pictures in it.

Head crop frame
    192 px along x (right), y (down) and depth (towards the viewer), pixel centres integers. The guide's head stands
    upright in it at 6.4 px per cm with its centre in the middle, (95.5, 95.5, 95.5), so that a whole head lies inside,
    however it is turned.

The guide's pictures have 96 x 96 columns, each the mean place of 2 x 2 px.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import CROP_CENTRE, CROP_SIZE, upright
from vrn.avatar.fit import HeadPose

PX_PER_CM = 6.4
CENTRE_CM = np.array([0.0, 1.5, 2.0])  # of a head: no point of one is further than 13.5 cm away
COLUMNS = 96  # of the guide's pictures
MAPS = 5  # covered or not, depth, and the place on the neutral head (x, y, z)
SPREAD_CM = 8.0  # half the size of a head, by which places are divided
SPREAD_PX = 60.0

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


def head_crops(pose: HeadPose) -> Floats:
    """(n, 4, 4) float64 - picture frame to head crop frame, for the picture that the heads were fitted in."""
    up = upright(pose.rotation[..., 1])[:, :2]  # the head's y axis in the picture
    roll = np.arctan2(up[:, 0], -up[:, 1])  # clockwise as seen
    cos, sin = np.cos(roll), np.sin(roll)
    matrix = np.zeros((len(pose), 4, 4))
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1] = cos, sin, -sin, cos
    matrix[:, 2, 2] = matrix[:, 3, 3] = 1.0
    matrix[:, :3, :3] *= (PX_PER_CM / pose.scale)[:, None, None]
    centre = upright(pose.scale[:, None] * (pose.rotation @ CENTRE_CM) + pose.translation)
    matrix[:, :3, 3] = CROP_CENTRE - (matrix[:, :3, :3] @ centre[..., None])[..., 0]
    return matrix


def guide_maps(
    shown: NDArray[np.integer],
    weights: Singles,
    depth: Singles,
    triangles: NDArray[np.int64],
    neutral: Singles,
) -> Singles:
    """The guide's pictures from a rasterisation of it on the columns.

    shown : (96, 96) int - the foremost triangle of each column, negative where there is none
    weights : (96, 96, 2) float32 - barycentric, of its second and third corner
    depth : (96, 96) float32 - head crop px
    triangles : (t, 3); neutral : (v, 3) float32 - the neutral head, cm

    Returns (5, 96, 96) float32, all 0 where there is no head.
    """
    covered = np.flatnonzero(shown >= 0)
    corners = triangles.take(shown.ravel().take(covered), 0)
    second, third = weights.reshape(-1, 2).take(covered, 0).T[:, :, None]
    place = (1 - (second + third)) * neutral.take(corners[:, 0], 0)
    place += second * neutral.take(corners[:, 1], 0)
    place += third * neutral.take(corners[:, 2], 0)
    maps = np.zeros((MAPS, depth.size), np.float32)
    maps[0, covered] = 1
    maps[1, covered] = (depth.ravel().take(covered) - np.float32(CROP_CENTRE)) / np.float32(SPREAD_PX)
    maps[2:, covered] = ((place - CENTRE_CM.astype(np.float32)) / np.float32(SPREAD_CM)).T
    return maps.reshape(MAPS, *depth.shape)


def to_columns(vertices: NDArray[np.floating]) -> Floats:
    """Vertices (..., 3) of the head crop frame with x and y in columns of the guide's pictures."""
    step = CROP_SIZE / COLUMNS
    offset = np.array([(step - 1) / 2, (step - 1) / 2, 0.0])
    return np.asarray((vertices - offset) / np.array([step, step, 1.0]))
