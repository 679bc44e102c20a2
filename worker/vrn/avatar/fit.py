"""The head's pose and shape from points of a face: a few regularised Gauss-Newton steps, for many faces at once.

A head point X (cm, head frame) lies in the picture at ``upright(scale * rotation @ X + translation)``:
x right, y down, depth towards the viewer, px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import UPRIGHT, upright
from vrn.avatar.model import HeadModel
from vrn.meshing.landmarks import INNER

Floats = NDArray[np.float64]

NOISE = 0.02  # standard deviation of a landmark, share of the face's size
CORRELATED = 0.5  # weight of each landmark's square: their errors are not independent
DENSE_CORRELATED = 1.5  # the same of the denser points, of which each landmark has several neighbours
DEPTH_WEIGHT = 0.8  # of an error along depth against one in the picture
JAW_WEIGHT = 0.6  # of the 17 landmarks along the jaw, which slide along it
EXPRESSION_SPREAD = 0.35  # prior standard deviation of an expression; an identity's is 1
EXPRESSION_RANGE = (-0.1, 1.1)
IDENTITY_RANGE = 3.0
STEPS = 5
POSE = 7  # rotation, logarithm of the scale, translation


@dataclass(frozen=True)
class HeadPose:
    """Fits of n heads.

    Attributes
    ----------
    scale : (n,) float64 - px per cm
    rotation : (n, 3, 3) float64 - head frame to camera frame (y up)
    translation : (n, 3) float64 - px, camera frame
    coefficients : (n, k) float64 - of the model's shapes
    """

    scale: Floats
    rotation: Floats
    translation: Floats
    coefficients: Floats

    def __len__(self) -> int:
        return len(self.scale)

    def matrices(self) -> Floats:
        """(n, 4, 4) float64 - head frame (cm) to picture frame (px)."""
        matrix = np.zeros((len(self), 4, 4))
        matrix[:, :3, :3] = self.scale[:, None, None] * (UPRIGHT @ self.rotation)
        matrix[:, :3, 3] = upright(self.translation)
        matrix[:, 3, 3] = 1.0
        return matrix


@dataclass(frozen=True, eq=False)
class FitPoints:
    """Points of the head model that are seen in a picture.

    Attributes
    ----------
    neutral : (p, 3) float64 and shapes : (k, p, 3) float64 - cm, the 68 landmarks first
    weights : (p,) float64 - of the squared error in the picture; that along depth counts DEPTH_WEIGHT**2 as much
    """

    neutral: Floats
    shapes: Floats
    weights: Floats

    @classmethod
    def of(cls, model: HeadModel, indices: tuple[int, ...] = ()) -> Self:
        """The landmarks and some of the face mesh topology's 478 points."""
        (at, shapes_at), (dense, shapes) = model.landmark_shapes, model.dense_shapes(indices)
        weights = np.full(len(at) + len(dense), DENSE_CORRELATED)
        weights[: len(at)], weights[: INNER.start] = CORRELATED, CORRELATED * JAW_WEIGHT
        every = np.ascontiguousarray(np.concatenate([shapes_at, shapes], 1))
        return cls(np.concatenate([at, dense]), every, weights)

    @cached_property
    def gram(self) -> Floats:
        """(k, k) - the weighted products of the shapes, as if depth counted as much as the picture."""
        flat = self.shapes.reshape(len(self.shapes), -1)
        return np.asarray(flat * np.repeat(self.weights, 3) @ flat.T)


@lru_cache(maxsize=3)
def points_of(model: HeadModel, indices: tuple[int, ...] = ()) -> FitPoints:
    """See `FitPoints.of`."""
    return FitPoints.of(model, indices)


def fit_landmarks(model: HeadModel, landmarks: NDArray[np.floating], steps: int = STEPS) -> HeadPose:
    """Fit heads to landmarks.

    landmarks : (n, 68, 3) float - picture frame, px; their depth may have any zero
    """
    return _fit(model, np.asarray(landmarks, np.float64), points_of(model), steps)


def fit_points(
    model: HeadModel,
    landmarks: NDArray[np.floating],
    points: NDArray[np.floating],
    indices: Sequence[int],
    steps: int = STEPS,
) -> HeadPose:
    """Fit heads to landmarks and denser points.

    landmarks : (n, 68, 3) and points : (n, m, 3) float - picture frame, px; the depth of each may have any zero
    indices : which of the face mesh topology's 478 points they are
    """
    known = points_of(model, tuple(indices))
    at_px, points_px = np.array(landmarks, np.float64), np.asarray(points, np.float64)
    at_px[..., 2] += _depth_between(model, at_px, points_px, known.neutral[INNER.stop :])[:, None]
    return _fit(model, np.concatenate([at_px, points_px], 1), known, steps)


def _depth_between(model: HeadModel, landmarks: Floats, points: Floats, neutral: Floats) -> Floats:
    """(n,) px - what is to be added to the landmarks' depth so that both belong to one mean head."""
    at, _ = model.landmark_shapes
    target = upright(points)
    scale, rotation, translation = _similarity(neutral, target)
    expected = scale[:, None] * (at @ rotation[:, 2, :, None])[..., 0] + translation[:, 2:]
    return np.asarray(np.median(expected - landmarks[..., 2], axis=1))


def _fit(model: HeadModel, seen: Floats, known: FitPoints, steps: int) -> HeadPose:
    """seen : (n, p, 3) px - where the points lie"""
    target = upright(seen)
    size = np.sqrt(np.prod(np.ptp(target[:, :68, :2], axis=1), axis=1))
    pose = HeadPose(*_similarity(known.neutral, target), np.zeros((len(target), len(known.shapes))))
    prior = prior_of(model)
    for _ in range(steps):
        normal, gradient = equations(pose, target, known, size)
        gradient[:, POSE:] -= prior[POSE:] * pose.coefficients
        step = np.asarray(np.linalg.solve(normal + np.diag(prior), gradient[..., None])[..., 0], np.float64)
        pose = moved(model, pose, step, size)
    return pose


def equations(pose: HeadPose, target: Floats, known: FitPoints, size: Floats) -> tuple[Floats, Floats]:
    """The normal equations of a step towards points, without a prior: (n, 7 + k, 7 + k) and (n, 7 + k).

    target (n, p, 3) px, camera frame; size (n,) of faces, px. The products of the shapes do not depend on the pose
    but for their depth, so the large Jacobian is never made: this takes a third of the time.
    """
    shapes = known.shapes.reshape(len(known.shapes), -1)
    shaped = known.neutral + (pose.coefficients @ shapes).reshape(-1, *known.neutral.shape)
    turned = pose.scale[:, None, None] * shaped @ pose.rotation.transpose(0, 2, 1)
    residual = target - turned - pose.translation[:, None]
    jacobian = _pose_jacobian(turned, size)
    weight = known.weights[:, None] * [1, 1, DEPTH_WEIGHT**2] / (NOISE * size[:, None, None]) ** 2  # (n, p, 3)
    rows = np.concatenate([jacobian, residual[:, None]], 1) * weight[:, None]
    in_head = pose.scale[:, None, None] * rows.reshape(len(target), -1, 3) @ pose.rotation
    mixed = in_head.reshape(*rows.shape[:2], -1) @ shapes.T  # (n, 7 + 1, k)
    flat = rows.reshape(*rows.shape[:2], -1) @ jacobian.reshape(len(target), POSE, -1).transpose(0, 2, 1)
    normal = np.empty((len(target), POSE + len(shapes), POSE + len(shapes)))
    normal[:, :POSE, :POSE], normal[:, :POSE, POSE:] = flat[:, :POSE], mixed[:, :POSE]
    normal[:, POSE:, :POSE], normal[:, POSE:, POSE:] = mixed[:, :POSE].transpose(0, 2, 1), _products(pose, known, size)
    return normal, np.concatenate([flat[:, POSE], mixed[:, POSE]], 1)


def _products(pose: HeadPose, known: FitPoints, size: Floats) -> Floats:
    """(n, k, k) - the weighted products of the shapes of posed heads."""
    along = known.shapes.reshape(-1, 3) @ pose.rotation[:, 2, :, None]
    along = along.reshape(len(pose), len(known.shapes), -1) * np.sqrt((1 - DEPTH_WEIGHT**2) * known.weights)
    products = known.gram - along @ along.transpose(0, 2, 1)
    return np.asarray((pose.scale / (NOISE * size))[:, None, None] ** 2 * products)


def moved(model: HeadModel, pose: HeadPose, step: Floats, size: Floats) -> HeadPose:
    """The pose after a step, (n, 7 + k): rotation vector, logarithm of the scale, shift in sizes, coefficients."""
    return HeadPose(
        pose.scale * np.exp(np.clip(step[:, 3], -0.2, 0.2)),
        rotations(step[:, :3]) @ pose.rotation,
        pose.translation + step[:, 4:POSE] * size[:, None],
        _bounded(model, pose.coefficients + step[:, POSE:]),
    )


def rotations(vectors: Floats) -> Floats:
    """Rotation vectors (n, 3), radians, to matrices (n, 3, 3): Rodrigues' formula."""
    angle = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)[:, None, None]
    cross = _cross(vectors) / angle
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _cross(vectors: Floats) -> Floats:
    """(n, 3) -> (n, 3, 3): the matrix of the cross product with each vector."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)


def _similarity(mean: Floats, target: Floats) -> tuple[Floats, Floats, Floats]:
    """Least-squares scale, rotation and translation of the mean head after Umeyama 1991."""
    mean_centre, centre = mean.mean(0), target.mean(1)
    u, s, vt = np.linalg.svd((target - centre[:, None]).transpose(0, 2, 1) @ (mean - mean_centre))
    sign = np.ones((len(target), 3))
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / ((mean - mean_centre) ** 2).sum()
    return scale, rotation, centre - scale[:, None] * (rotation @ mean_centre)


def _pose_jacobian(turned: Floats, size: Floats) -> Floats:
    """(n, 7, p, 3) - how the points move with the pose; translation in sizes of the face."""
    n, points = turned.shape[:2]
    jacobian = np.empty((n, POSE, points, 3))
    jacobian[:, :3] = -_cross(turned.reshape(-1, 3)).reshape(n, points, 3, 3).transpose(0, 3, 1, 2)
    jacobian[:, 3] = turned
    jacobian[:, 4:] = size[:, None, None, None] * np.eye(3)[:, None]
    return jacobian


def prior_of(model: HeadModel) -> Floats:
    """(7 + k,) - inverse variances; the pose is free."""
    prior = np.full(POSE + len(model.shapes), 1e-6)
    prior[POSE:] = 1.0
    prior[POSE + model.identities :] = EXPRESSION_SPREAD**-2
    return prior


def _bounded(model: HeadModel, coefficients: Floats) -> Floats:
    low, high = np.full(coefficients.shape[1], -IDENTITY_RANGE), np.full(coefficients.shape[1], IDENTITY_RANGE)
    low[model.identities :], high[model.identities :] = EXPRESSION_RANGE
    return np.clip(coefficients, low, high)
