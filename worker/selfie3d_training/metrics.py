"""How far a predicted field is from the true head: volume, front, normals, surface.

All lengths are px of the crop. A figure that cannot be computed (no surface at all) is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from selfie3d.types.frames import OUTER_EYE_CORNERS, Grid, transform
from selfie3d_training.dataset import VolumeTarget
from vrn.meshing.field import Field

Floats = NDArray[np.float64]

OFFSET_RANGE, OFFSET_STEPS = 40.0, (2.0, 0.25)  # px: depth offsets that are tried, first coarsely, then finely
CANDIDATES = 6  # nearest vertices whose triangles are searched for the closest point


@dataclass(frozen=True)
class Surface:
    """A triangle mesh in the crop frame: (v, 3) float64 px and (t, 3) int64, counter-clockwise from outside, y up."""

    vertices: Floats
    triangles: NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """One prediction against the truth.

    Attributes
    ----------
    iou : intersection over union of the volumes, on the field's grid
    front : px, mean absolute error of the front depth inside the hull of the landmarks
    normals : degrees, mean angle between the front's normals there
    surface : mean distance of the true landmarks to the surface, depth offset removed, over the outer-eye distance
    """

    iou: float
    front: float
    normals: float
    surface: float


def score(field: Field, target: VolumeTarget, landmarks: Floats) -> Score:
    """Compare a field with the target on the same grid and the true landmarks (68, 3) in the crop frame."""
    inside = field.values > field.level
    truth = target.occupancy.astype(bool)
    hull = target.hull.astype(bool)
    front = front_map(field)
    error = np.abs(front - target.front)[hull]
    return Score(
        float((inside & truth).sum() / max((inside | truth).sum(), 1)),
        float(np.nanmean(error)) if np.isfinite(error).any() else float("nan"),
        normal_angle(front, target.front, hull, field.grid),
        surface_error(surface_of(field), landmarks),
    )


def front_map(field: Field) -> Floats:
    """(height, width) float64 - crop depth at which each column first goes inside, seen from the viewer; or NaN."""
    inside = field.values > field.level
    top = len(inside) - 1 - inside[::-1].argmax(0)  # foremost sample inside
    above = np.minimum(top + 1, len(inside) - 1)
    a = np.take_along_axis(field.values, top[None], 0)[0].astype(np.float64) - field.level
    b = np.take_along_axis(field.values, above[None], 0)[0].astype(np.float64) - field.level
    part = np.where(above > top, a / np.where(a == b, 1, a - b), 0)
    depth = field.grid.origin[2] + field.grid.step[2] * (top + part)
    return np.where(inside.any(0), depth, np.nan)


def normal_angle(front: Floats, truth: NDArray[np.floating], where: NDArray[np.bool_], grid: Grid) -> float:
    """Mean angle in degrees between the normals of two depth maps, over the columns of `where` that both cover."""
    normals = []
    for depth in (front, truth.astype(np.float64)):
        dy, dx = np.gradient(depth, grid.step[1], grid.step[0])
        normals.append(np.stack([-dx, -dy, np.ones_like(dx)]) / np.sqrt(dx**2 + dy**2 + 1))
    cosine = np.clip((normals[0] * normals[1]).sum(0), -1, 1)[where]
    cosine = cosine[np.isfinite(cosine)]
    return float(np.degrees(np.arccos(cosine)).mean()) if len(cosine) else float("nan")


def surface_of(field: Field) -> Surface | None:
    """The closed surface of a field, or None where nothing is inside."""
    padded = np.pad(field.values, 1, constant_values=min(float(field.values.min()), field.level - 1))
    if not (padded > field.level).any():
        return None
    vertices, triangles, _, _ = marching_cubes(padded, field.level)
    in_crop = transform(field.grid.to_crop(), vertices[:, ::-1] - 1)
    return Surface(in_crop, triangles.astype(np.int64)[:, ::-1])


def surface_error(surface: Surface | None, landmarks: Floats) -> float:
    """Mean distance of points to the surface at the best depth offset, over the distance of the outer eye corners."""
    if surface is None:
        return float("nan")
    tree = cKDTree(surface.vertices)
    offset = surface.vertices[:, 2].max() - landmarks[:, 2].max()
    reach = OFFSET_RANGE
    for step in OFFSET_STEPS:
        tried = offset + np.arange(-reach, reach + step / 2, step)
        moved = landmarks[None] + tried[:, None, None] * [0.0, 0.0, 1.0]
        offset = tried[tree.query(moved)[0].mean(1).argmin()]
        reach = step
    distance = distances(surface, landmarks + np.array([0.0, 0.0, offset]), tree)
    eyes = landmarks[list(OUTER_EYE_CORNERS)]
    return float(distance.mean() / np.linalg.norm(eyes[0] - eyes[1]))


def distances(surface: Surface, points: Floats, tree: cKDTree) -> Floats:
    """(n,) float64 - distance of points to the triangles around their nearest vertices (of `tree`)."""
    order = np.argsort(surface.triangles.ravel(), kind="stable")
    starts = np.searchsorted(surface.triangles.ravel()[order], np.arange(len(surface.vertices) + 1))
    result = np.empty(len(points))
    for n, near in enumerate(tree.query(points, CANDIDATES)[1]):
        around = np.unique(np.concatenate([order[starts[v] : starts[v + 1]] for v in near]) // 3)
        corners = surface.vertices[surface.triangles[around]]
        points_n = np.repeat(points[n : n + 1], len(corners), 0)
        closest = trimesh.triangles.closest_point(corners, points_n)
        result[n] = np.linalg.norm(closest - points[n], axis=1).min()
    return result
