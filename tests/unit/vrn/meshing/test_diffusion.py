"""Diffusion: what is known stays, what is not is a smooth mix of it."""

from __future__ import annotations

import numpy as np
import pytest

from vrn.meshing.diffusion import diffuse, pull_push


def test_known_cells_stay_and_unknown_ones_lie_between() -> None:
    sums = np.zeros((16, 9, 2), np.float32)
    sums[0, :] = [10, 1]
    sums[-1, :] = [50, 1]
    filled = pull_push(sums)[..., 0]
    assert filled[0] == pytest.approx(10)
    assert filled[-1] == pytest.approx(50)
    assert (np.diff(filled.mean(1)) >= -1e-4).all()
    assert np.abs(np.diff(filled, axis=0)).max() < 20


def test_nothing_known_gives_zeros() -> None:
    points = np.random.default_rng(0).uniform(0, 50, (100, 3)).astype(np.float32)
    values, weights = np.full((100, 3), 7, np.float32), np.zeros(100, np.float32)
    assert (diffuse(points, values, weights, 5.0) == 0).all()


def test_a_constant_stays_constant_and_only_the_wanted_points_come_back() -> None:
    points = np.random.default_rng(0).uniform(0, 50, (500, 3)).astype(np.float32)
    values = np.full((500, 2), 7, np.float32)
    weights = (points[:, 0] < 10).astype(np.float32)
    filled = diffuse(points, values * weights[:, None], weights, 5.0, np.arange(30))
    assert filled == pytest.approx(np.full((30, 2), 7))


def test_a_single_point_is_its_own_colour() -> None:
    point, value = np.zeros((1, 3), np.float32), np.array([[1, 2, 3]], np.float32)
    assert diffuse(point, value, np.ones(1, np.float32), 5.0) == pytest.approx(value)
