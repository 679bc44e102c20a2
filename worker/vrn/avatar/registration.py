"""The head model registered to a reconstruction's own surface: pose, identity and expression, then what is left over.

Gauss-Newton on landmarks and on the closest points of the surface (point to plane, Tukey's weights), and afterwards a
smooth displacement that takes the vertices onto it. The surface alone says what the shape is; the model says which
place of it is which.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from selfie3d.types.frames import transform, upright
from vrn.avatar.fit import POSE, HeadPose, equations, fit_points, moved, points_of, prior_of
from vrn.avatar.model import CAP_PART, MOUTH_PART, HeadModel
from vrn.avatar.whole_head import WholeHead
from vrn.meshing.normals import vertex_normals
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

DENSE = tuple(range(0, 468, 3))  # of the 478 points, those that start the fit
START_STEPS = 3
SAMPLES = 1200  # vertices whose closest points are fitted
NOISE_CM = 0.1  # standard deviation of a point's distance from the surface
CORRELATED = 0.15  # weight of each sample: neighbours are wrong together
LANDMARK_SHARE = 0.3  # of the landmarks' weights beside the surface
REACH_CM = (1.0, 0.5)  # from which distance a closest point counts nothing, step by step
FACING = 0.5  # least cosine between the normals of a vertex and its closest point
CUT_PX = (1.0, 10.0)  # head crop px above the cut through the neck, over which the surface begins to count
MOST_CM = 0.8  # how far the displacement may take a vertex
SMOOTHING = (16, 6, 3, 1, 1)  # rounds of averaging of each pass of the displacement, from coarse to fine
LEAST = 0.1  # weight of no displacement


@dataclass(frozen=True)
class Registration:
    """A head model on a reconstruction.

    Attributes
    ----------
    model : the head model
    pose : one head: its scale, rotation, translation and coefficients, for the crop frame
    offsets : (v, 3) float64 - cm, head frame: what the model's shapes do not explain
    """

    model: HeadModel
    pose: HeadPose
    offsets: Floats

    @property
    def head(self) -> Floats:
        """(v, 3) float64 - the registered head, cm, head frame."""
        return np.asarray(self.model.vertices(self.pose.coefficients[0]) + self.offsets)

    @property
    def expression(self) -> Floats:
        """(e,) float64 0..1 - how much of each expression the photo shows."""
        return self.pose.coefficients[0, self.model.identities :].clip(0, 1)

    @property
    def neutral_head(self) -> Floats:
        """(v, 3) float64 - the registered head without its expression, cm, head frame."""
        return self.head - self.model.expressed(self.expression)

    def to_crop(self) -> Floats:
        """(4, 4) float64 - head frame (cm) to crop frame (px)."""
        return np.asarray(self.pose.matrices()[0])


def register(whole: WholeHead, vertices: Singles, normals: Singles) -> Registration:
    """The head model of a whole head registered to its surface.

    vertices, normals : (n, 3) float32 - of the surface, head crop frame
    """
    model = whole.model
    landmarks = np.asarray(model.landmarks(whole.vertices), np.float64)
    dense = np.asarray(model.dense(whole.vertices), np.float64)[list(DENSE)]
    start = fit_points(model, landmarks[None], dense[None], DENSE, START_STEPS)
    plane = whole.plane / np.linalg.norm(whole.plane[:3])
    surface = _Surface(cKDTree(vertices), vertices.astype(np.float64), normals.astype(np.float64), plane)
    pose = start
    for reach in REACH_CM:
        pose = _step(model, pose, np.concatenate([landmarks, dense]), surface, reach)
    return Registration(model, pose, _left_over(model, pose, surface))


@dataclass(frozen=True)
class _Surface:
    """What is registered to, crop frame; plane : (4,) - the cut through the neck, with a unit normal."""

    tree: cKDTree
    vertices: Floats
    normals: Floats
    plane: Floats

    def closest(self, points: Floats, normals: Floats, reach: float) -> tuple[Floats, Floats, Floats]:
        """Distances (n,) along the surface's normals (n, 3) from points to the tangent planes of the closest vertices,
        and their weights (n,); all in the crop frame."""
        away, at = self.tree.query(points, distance_upper_bound=reach)
        found = np.isfinite(away)
        at = np.where(found, at, 0)
        normal = self.normals[at]
        distance = ((self.vertices[at] - points) * normal).sum(1)
        counts = found & ((normal * normals).sum(1) > FACING)
        above = smoothstep(points @ self.plane[:3] + self.plane[3], CUT_PX)  # the cut is none of the head's
        return distance, normal, counts * above * (1 - np.minimum(away / reach, 1) ** 2) ** 2


def _step(model: HeadModel, pose: HeadPose, points: Floats, surface: _Surface, reach_cm: float) -> HeadPose:
    """One step of Gauss-Newton; points : (68 + m, 3) - landmarks and dense points, crop frame."""
    target = upright(points)[None]
    size = np.sqrt(np.prod(np.ptp(target[:, :68, :2], axis=1), axis=1))
    normal, gradient = equations(pose, target, points_of(model, DENSE), size)
    rows, distance, weight = _rows(model, pose, surface, reach_cm, float(size[0]))
    weighted, prior = rows * weight, prior_of(model)
    normal = LANDMARK_SHARE * normal[0] + weighted @ rows.T + np.diag(prior)
    gradient = LANDMARK_SHARE * gradient[0] + weighted @ distance
    gradient[POSE:] -= prior[POSE:] * pose.coefficients[0]
    return moved(model, pose, np.linalg.solve(normal, gradient)[None], size)


def _rows(
    model: HeadModel, pose: HeadPose, surface: _Surface, reach_cm: float, size: float
) -> tuple[Singles, Singles, Singles]:
    """How far along the surface's normal each parameter takes each sample, (7 + k, s); how far it should go, (s,) px;
    and how much it counts, (s,)."""
    chosen, shapes = _samples(model)
    scale, rotation = float(pose.scale[0]), pose.rotation[0]
    placed, normals = _placed(model, pose, model.vertices(pose.coefficients[0]))
    distance, normal, weight = surface.closest(placed[chosen], normals[chosen], reach_cm * scale)
    along = upright(normal)
    turned = upright(placed[chosen]) - pose.translation[0]
    rows = np.empty((POSE + shapes.shape[1], len(chosen)), np.float32)
    rows[:3] = np.cross(turned, along).T
    rows[3] = (turned * along).sum(1)
    rows[4:POSE] = along.T * size
    in_head = (scale * along @ rotation).astype(np.float32)
    rows[POSE:] = shapes[0] * in_head[:, 0] + shapes[1] * in_head[:, 1] + shapes[2] * in_head[:, 2]
    unit = CORRELATED / (NOISE_CM * scale) ** 2
    return rows, distance.astype(np.float32), (weight * unit).astype(np.float32)


def _placed(model: HeadModel, pose: HeadPose, head: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Vertices (v, 3) of the head frame and their normals in the crop frame."""
    normals = vertex_normals(head, model.triangles).astype(np.float64)
    return transform(pose.matrices()[0], head), upright(normals @ pose.rotation[0].T)


def _left_over(model: HeadModel, pose: HeadPose, surface: _Surface) -> Floats:
    """(v, 3) cm, head frame - a smooth displacement onto the surface, where it lies close by."""
    scale, average, shown = float(pose.scale[0]), _averages(model), _shown(model)
    placed, normals = _placed(model, pose, model.vertices(pose.coefficients[0]))
    distance, normal, weight = surface.closest(placed, normals, REACH_CM[-1] * scale)
    weight = weight * shown
    far = MOST_CM * scale
    target = (normal * np.clip(distance, -far, far)[:, None]).astype(np.float32)
    weight, moved_by = weight.astype(np.float32), np.zeros_like(target)
    for rounds in SMOOTHING:
        sums = np.concatenate([(target - moved_by) * weight[:, None], weight[:, None]], 1)
        for _ in range(rounds):
            sums = average @ sums
        moved_by += sums[:, :3] / (sums[:, 3:] + np.float32(LEAST))
    return np.asarray(upright(moved_by) @ pose.rotation[0] / scale, np.float64)


@lru_cache(maxsize=1)
def _samples(model: HeadModel) -> tuple[NDArray[np.intp], Singles]:
    """Vertices evenly over those that a surface can show, (s,), and their shapes, (3, k, s) float32."""
    shown = np.flatnonzero(_shown(model))
    chosen = shown[np.linspace(0, len(shown) - 1, SAMPLES).astype(np.intp)]
    return chosen, np.ascontiguousarray(model.shapes.at(chosen).transpose(2, 0, 1))


@lru_cache(maxsize=1)
def _shown(model: HeadModel) -> NDArray[np.bool_]:
    """(v,) - which vertices the surface has: not those in the mouth or in the neck's cap."""
    hidden = np.unique(model.triangles[np.isin(model.parts, (MOUTH_PART, CAP_PART))])
    shown = np.ones(len(model.neutral), bool)
    shown[hidden] = False
    return shown


@lru_cache(maxsize=1)
def _averages(model: HeadModel) -> csr_matrix:
    """(v, v) - the mean of each vertex and its neighbours."""
    edges = np.concatenate([model.triangles[:, [0, 1]], model.triangles[:, [1, 2]], model.triangles[:, [2, 0]]])
    vertices = np.arange(len(model.neutral))
    rows, columns = np.concatenate([edges[:, 0], vertices]), np.concatenate([edges[:, 1], vertices])
    count = np.bincount(rows, minlength=len(vertices))
    return csr_matrix(((1 / count[rows]).astype(np.float32), (rows, columns)), (len(vertices),) * 2)
