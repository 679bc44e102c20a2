"""Shapes as whole numbers do what the same shapes do in floating point."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vrn.avatar.model import MODEL_FILE, load_model
from vrn.avatar.shapes import BLOCK, HeadShapes
from vrn.network.guided import summed

VERTICES = 2 * BLOCK + 100
SMALL = np.array([True, False, False, True, True, False, True])


def stored() -> dict[str, NDArray[np.generic]]:
    """Seven shapes as their file has them."""
    rng = np.random.default_rng(0)
    return {
        "steps": rng.uniform(1e-5, 1e-3, len(SMALL)).astype(np.float32),
        "small": SMALL,
        "small_shapes": rng.integers(-127, 128, (SMALL.sum(), VERTICES, 3)).astype(np.int8),
        "large_shapes": rng.integers(-32767, 32768, ((~SMALL).sum(), VERTICES, 3)).astype(np.int16),
    }


def exact() -> NDArray[np.float64]:
    """(7, v, 3) - the same shapes, cm."""
    arrays, shapes = stored(), np.empty((len(SMALL), VERTICES, 3))
    shapes[SMALL], shapes[~SMALL] = arrays["small_shapes"], arrays["large_shapes"]
    return shapes * arrays["steps"].astype(np.float64)[:, None, None]


@pytest.mark.parametrize("many", [(), (4,), (2, 3)])
def test_their_sum_is_that_of_the_exact_shapes(many: tuple[int, ...]) -> None:
    coefficients = np.random.default_rng(1).normal(size=(*many, len(SMALL)))
    found = HeadShapes.of(stored()).summed(coefficients)
    assert found.dtype == np.float32
    assert found.shape == (*many, VERTICES, 3)
    expected = np.tensordot(coefficients, exact(), 1)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_each_shape_moves_a_vertex_as_the_exact_one_does() -> None:
    shapes, at = HeadShapes.of(stored()), np.array([[VERTICES - 1, 0], [BLOCK, BLOCK - 1]])
    np.testing.assert_array_equal(shapes.at(), exact().astype(np.float32))
    np.testing.assert_array_equal(shapes.at(at), exact()[:, at].astype(np.float32))


def test_a_graph_sums_them_in_the_memory_in_which_they_lie() -> None:
    shapes, coefficients = HeadShapes.of(stored()), np.random.default_rng(2).normal(size=(3, len(SMALL)))
    constants = shapes.constants()
    small, large, *blocks = map(torch.from_numpy, constants)
    found = summed(torch.from_numpy(coefficients.astype(np.float32)), small, large, blocks)
    expected = shapes.summed(coefficients)
    np.testing.assert_allclose(found, expected.reshape(3, -1), atol=1e-6 * np.abs(expected).max())
    whole = [array for block in shapes.blocks for array in block]
    assert all(np.shares_memory(ours, theirs) for ours, theirs in zip(whole, constants[2:], strict=True))
    assert all(array.flags.c_contiguous for array in constants)  # else each run would copy them


def test_the_bundled_ones_take_no_more_memory_than_their_file() -> None:
    held = sum(array.nbytes for array in load_model().shapes.constants())
    assert held < MODEL_FILE.stat().st_size
