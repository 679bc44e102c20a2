"""The head's pose and shape from points of a face: a few regularised Gauss-Newton steps, for many faces at once.

A head point X (cm, head frame) lies in the picture at ``upright(scale * rotation @ X + translation)``:
x right, y down, depth towards the viewer, px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def fit_landmarks(model: HeadModel, landmarks: NDArray[np.floating], steps: int = STEPS) -> HeadPose:
    """Fit heads to landmarks.

    landmarks : (n, 68, 3) float - picture frame, px; their depth may have any zero
    """
    neutral, shapes = model.landmark_shapes
    return _fit(model, np.asarray(landmarks, np.float64), neutral, shapes, landmark_weights(), steps)


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
    at, shapes_at = model.landmark_shapes
    neutral, shapes = model.dense_shapes(tuple(indices))
    at_px, points_px = np.array(landmarks, np.float64), np.asarray(points, np.float64)
    weights = np.concatenate([landmark_weights(), dense_weights(len(neutral))])
    at_px[..., 2] += _depth_between(model, at_px, points_px, neutral)[:, None]
    return _fit(
        model,
        np.concatenate([at_px, points_px], 1),
        np.concatenate([at, neutral]),
        np.concatenate([shapes_at, shapes], 1),
        weights,
        steps,
    )


def _depth_between(model: HeadModel, landmarks: Floats, points: Floats, neutral: Floats) -> Floats:
    """(n,) px - what is to be added to the landmarks' depth so that both belong to one mean head."""
    at, _ = model.landmark_shapes
    target = upright(points)
    scale, rotation, translation = _similarity(neutral, target)
    expected = scale[:, None] * (at @ rotation[:, 2, :, None])[..., 0] + translation[:, 2:]
    return np.asarray(np.median(expected - landmarks[..., 2], axis=1))


def _fit(model: HeadModel, points: Floats, neutral: Floats, shapes: Floats, weights: Floats, steps: int) -> HeadPose:
    """points (n, p, 3) px; neutral (p, 3) and shapes (k, p, 3) cm; weights (p, 3)."""
    target = upright(points)
    size = np.sqrt(np.prod(np.ptp(target[:, :68, :2], axis=1), axis=1))
    pose = HeadPose(*_similarity(neutral, target), np.zeros((len(target), len(shapes))))
    prior = prior_of(model)
    for _ in range(steps):
        normal, gradient = equations(pose, target, neutral, shapes, weights, size)
        gradient[:, POSE:] -= prior[POSE:] * pose.coefficients
        step = np.asarray(np.linalg.solve(normal + np.diag(prior), gradient[..., None])[..., 0], np.float64)
        pose = moved(model, pose, step, size)
    return pose


def equations(
    pose: HeadPose, target: Floats, neutral: Floats, shapes: Floats, weights: Floats, size: Floats
) -> tuple[Floats, Floats]:
    """The normal equations of a step towards points, without a prior: (n, 7 + k, 7 + k) and (n, 7 + k).

    target (n, p, 3) px, camera frame; neutral (p, 3) and shapes (k, p, 3) cm; weights (p, 3); size (n,) of faces, px
    """
    shaped = neutral + (pose.coefficients @ shapes.reshape(len(shapes), -1)).reshape(-1, *neutral.shape)
    turned = pose.scale[:, None, None] * shaped @ pose.rotation.transpose(0, 2, 1)
    residual = target - turned - pose.translation[:, None]
    jacobian = _jacobian(shapes, pose.scale, pose.rotation, turned, size)
    unit = weights / (NOISE * size[:, None, None]) ** 2  # (n, p, 3)
    weighted = jacobian * unit.reshape(len(target), 1, -1)
    return weighted @ jacobian.transpose(0, 2, 1), (weighted @ residual.reshape(len(target), -1, 1))[..., 0]


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


def _jacobian(shapes: Floats, scale: Floats, rotation: Floats, turned: Floats, size: Floats) -> Floats:
    """(n, 7 + k, p * 3) - how the points move with pose and coefficients; translation in sizes of the face."""
    n, points = len(scale), turned.shape[1]
    jacobian = np.empty((n, POSE + len(shapes), points * 3))
    jacobian[:, :3] = -_cross(turned.reshape(-1, 3)).reshape(n, points * 3, 3).transpose(0, 2, 1)
    jacobian[:, 3] = turned.reshape(n, -1)
    jacobian[:, 4:POSE] = size[:, None, None] * np.tile(np.eye(3), (1, points))
    along = shapes.reshape(-1, 3) @ (scale[:, None, None] * rotation.transpose(0, 2, 1))
    jacobian[:, POSE:] = along.reshape(n, len(shapes), -1)
    return jacobian


def landmark_weights() -> Floats:
    """(68, 3) - of the squared error of each coordinate."""
    weights = np.full((INNER.stop, 3), CORRELATED, np.float64)
    weights[: INNER.start] *= JAW_WEIGHT
    weights[:, 2] *= DEPTH_WEIGHT**2
    return weights


def dense_weights(points: int) -> Floats:
    """(points, 3) - the same of the denser points."""
    weights = np.full((points, 3), DENSE_CORRELATED, np.float64)
    weights[:, 2] *= DEPTH_WEIGHT**2
    return weights


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
