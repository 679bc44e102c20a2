"""The head model as it travels: its shapes in whole steps."""

from __future__ import annotations

import numpy as np

from selfie3d_training.guided.model_file import in_steps
from vrn.avatar.shapes import HeadShapes


def test_shapes_come_back_in_their_order_and_within_half_a_step() -> None:
    shapes = np.random.default_rng(0).uniform(-1, 1, (9, 40, 3)) * np.array([0.05, 3.0, 0.01] * 3)[:, None, None]
    steps, small, record = in_steps(shapes)
    assert small.tolist() == [True, False, True] * 3
    assert record.nbytes == 40 * 3 * (6 + 2 * 3)
    off = np.abs(HeadShapes.of(steps, small, record).at() - shapes).max((1, 2))
    assert (off <= steps * 0.501).all()
    assert off.max() < 0.0003  # cm


def test_a_shape_that_moves_nothing_stays_one() -> None:
    assert not HeadShapes.of(*in_steps(np.zeros((1, 4, 3)))).at().any()
