from __future__ import annotations

import numpy as np

from vrn.meshing.sums import group_sums


def test_every_index_gets_the_values_of_all_rows_that_have_it() -> None:
    rng = np.random.default_rng(0)
    indices, values = rng.integers(0, 40, (100, 3)), rng.normal(size=(100, 2)).astype(np.float32)
    expected = np.zeros((41, 2))
    for row, value in zip(indices, values, strict=True):
        for index in row:
            expected[index] += value
    np.testing.assert_allclose(group_sums(indices, values, 41), expected, atol=1e-12)
