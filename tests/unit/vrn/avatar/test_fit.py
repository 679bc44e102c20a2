"""The head's fit to points of a face."""

from __future__ import annotations

import numpy as np
import pytest

from selfie3d.types import Pose
from selfie3d.types.frames import CROP_CENTRE, transform
from vrn.avatar import fit
from vrn.avatar.fit import HeadPose, fit_landmarks, fit_points
from vrn.avatar.guide import CENTRE_CM, PX_PER_CM, head_crops
from vrn.avatar.model import HeadModel, load_model
from vrn.finder.dense_points import INDICES


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return load_model()


def heads(model: HeadModel, count: int, seed: int = 0) -> HeadPose:
    """Random heads in a picture, px."""
    rng = np.random.default_rng(seed)
    rotation = np.stack([Pose(*rng.uniform(-30, 30, 3)).rotation for _ in range(count)])
    coefficients = np.zeros((count, len(model.shapes)))
    coefficients[:, :20] = rng.normal(0, 0.6, (count, 20))
    return HeadPose(rng.uniform(5, 20, count), rotation, rng.normal(0, 100, (count, 3)), coefficients)


def points_of(model: HeadModel, truth: HeadPose) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (n, 68, 3) and dense points (n, 160, 3), picture px."""
    in_picture = [
        transform(matrix, model.vertices(coefficients))
        for matrix, coefficients in zip(truth.matrices(), truth.coefficients, strict=True)
    ]
    vertices = np.stack(in_picture)
    return model.landmarks(vertices), model.dense(vertices)[:, list(INDICES)]


def test_the_points_of_a_head_give_that_head(model: HeadModel) -> None:
    truth = heads(model, 4)
    landmarks, points = points_of(model, truth)
    points[..., 2] += 37.0  # its depth has a zero of its own
    found = fit_points(model, landmarks, points, INDICES)
    again, _ = points_of(model, found)
    error = again - landmarks
    error[..., 2] -= error[..., 2].mean(1, keepdims=True)
    assert np.abs(error).mean() / truth.scale.mean() < 0.05  # cm


def test_every_fit_of_a_batch_is_the_fit_of_the_face_alone(model: HeadModel) -> None:
    landmarks, _ = points_of(model, heads(model, 3))
    together = fit_landmarks(model, landmarks)
    for n in range(3):
        alone = fit_landmarks(model, landmarks[n : n + 1])
        np.testing.assert_allclose(alone.coefficients[0], together.coefficients[n], atol=1e-6)


def test_the_equations_are_those_of_the_derivatives(model: HeadModel) -> None:
    known, truth, size = fit.points_of(model, INDICES), heads(model, 1), np.array([100.0])

    def at(step: np.ndarray) -> np.ndarray:
        rotation = fit.rotations(step[None, :3]) @ truth.rotation
        shaped = known.neutral + np.tensordot(truth.coefficients[0] + step[7:], known.shapes, 1)
        turned = truth.scale[0] * np.exp(step[3]) * shaped @ rotation[0].T
        return np.asarray((turned + truth.translation[0] + step[4:7] * size[0]).ravel())

    steps = 1e-5 * np.eye(7 + len(model.shapes))
    jacobian = np.stack([(at(step) - at(-step)) / 2e-5 for step in steps])
    away = np.random.default_rng(1).normal(size=jacobian.shape[1])
    target = (at(0 * steps[0]) + away).reshape(1, -1, 3)
    weights = (known.weights[:, None] * [1, 1, fit.DEPTH_WEIGHT**2]).ravel() / (fit.NOISE * size[0]) ** 2
    normal, gradient = fit.equations(truth, target, known, size)
    expected = jacobian * weights @ jacobian.T
    np.testing.assert_allclose(normal[0], expected, atol=1e-7 * expected.max())
    np.testing.assert_allclose(gradient[0], jacobian * weights @ away, atol=1e-7 * expected.max())


def test_a_head_stands_upright_in_the_middle_of_its_crop_and_lies_inside(model: HeadModel) -> None:
    truth = heads(model, 8, seed=3)
    for crop, matrix, coefficients in zip(head_crops(truth), truth.matrices(), truth.coefficients, strict=True):
        to_crop = crop @ matrix
        np.testing.assert_allclose(transform(to_crop, CENTRE_CM[None])[0], CROP_CENTRE)
        assert np.cbrt(-np.linalg.det(to_crop[:3, :3])) == pytest.approx(PX_PER_CM)
        assert to_crop[0, 1] == pytest.approx(0.0, abs=1e-9)
        assert to_crop[1, 1] < 0
        vertices = transform(to_crop, model.vertices(coefficients))
        assert vertices.min() > -0.5
        assert vertices.max() < 191.5
