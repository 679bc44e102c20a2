"""Shapes as whole numbers do what the same shapes do in floating point."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vrn.avatar.model import MODEL_FILE, SHAPES_SUFFIX, HeadModel, load_model
from vrn.avatar.shapes import BLOCK, HeadShapes, recorded
from vrn.engine import choose, open_graph
from vrn.errors import WeightsError
from vrn.network.guided import summed
from vrn.network.guided_config import FAMILY
from vrn.network.guided_load import constants_of

VERTICES = 2 * BLOCK + 100
SMALL = np.array([True, False, False, True, True, False, True])


def numbers() -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.int16]]:
    """Seven shapes: their steps, the small and the large ones."""
    rng = np.random.default_rng(0)
    steps = rng.uniform(1e-5, 1e-3, len(SMALL)).astype(np.float32)
    small = rng.integers(-127, 128, (SMALL.sum(), VERTICES, 3)).astype(np.int8)
    return steps, small, rng.integers(-32767, 32768, ((~SMALL).sum(), VERTICES, 3)).astype(np.int16)


def stored() -> HeadShapes:
    """The same as their file has them."""
    steps, small, large = numbers()
    return HeadShapes.of(steps, SMALL, recorded(small, large))


def exact() -> NDArray[np.float64]:
    """(7, v, 3) - the same shapes, cm."""
    steps, small, large = numbers()
    shapes = np.empty((len(SMALL), VERTICES, 3))
    shapes[SMALL], shapes[~SMALL] = small, large
    return shapes * steps.astype(np.float64)[:, None, None]


def filed(folder: Path) -> Path:
    """A head model of its own, with the bundled one's numbers."""
    for suffix in (".npz", SHAPES_SUFFIX):
        shutil.copyfile(MODEL_FILE.with_suffix(suffix), folder / f"own{suffix}")
    return folder / "own.npz"


@pytest.mark.parametrize("many", [(), (4,), (2, 3)])
def test_their_sum_is_that_of_the_exact_shapes(many: tuple[int, ...]) -> None:
    coefficients = np.random.default_rng(1).normal(size=(*many, len(SMALL)))
    found = stored().summed(coefficients)
    assert found.dtype == np.float32
    assert found.shape == (*many, VERTICES, 3)
    expected = np.tensordot(coefficients, exact(), 1)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_each_shape_moves_a_vertex_as_the_exact_one_does() -> None:
    shapes, at = stored(), np.array([[VERTICES - 1, 0], [BLOCK, BLOCK - 1]])
    np.testing.assert_array_equal(shapes.at(), exact().astype(np.float32))
    np.testing.assert_array_equal(shapes.at(at), exact()[:, at].astype(np.float32))


def test_a_graph_sums_them_in_the_memory_in_which_they_lie() -> None:
    shapes, coefficients = stored(), np.random.default_rng(2).normal(size=(3, len(SMALL)))
    constants = shapes.constants()
    small, large, *blocks = map(torch.from_numpy, constants)
    found = summed(torch.from_numpy(coefficients.astype(np.float32)), small, large, blocks)
    expected = shapes.summed(coefficients)
    np.testing.assert_allclose(found, expected.reshape(3, -1), atol=1e-6 * np.abs(expected).max())
    whole = [array for block in shapes.blocks for array in block]
    assert all(np.shares_memory(ours, theirs) for ours, theirs in zip(whole, constants[2:], strict=True))
    assert all(array.flags.c_contiguous for array in constants)  # else each run would copy them


def test_what_runs_with_the_bundled_ones_leaves_their_file_s_memory_to_be_shared() -> None:
    model = load_model()
    guide = [np.ones(1), np.eye(3)[None], np.zeros((1, 3)), np.ones((1, len(model.shapes)))]
    inputs = [np.ones((1, 3, 192, 192)), np.ones((1, 5, 96, 96)), *guide]
    graph = open_graph("head", (FAMILY,), choose("onnx", "cpu"), constants_of(model))
    graph.run(*(each.astype(np.float32) for each in inputs))
    model.vertices(np.ones(len(model.shapes)))
    size, own = mapped(MODEL_FILE.with_suffix(SHAPES_SUFFIX))
    assert size >= sum(array.nbytes for block in model.shapes.blocks for array in block)
    assert own == 0


def mapped(path: Path) -> tuple[int, int]:
    """Bytes of a file that this process has mapped and used, and how many of them are its own, because it wrote."""
    mappings = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    found = "".join(each for each in mappings if each.partition("\n")[0].endswith(str(path.resolve())))
    used, own = (re.findall(rf"^{name}: +(\d+) kB", found, re.MULTILINE) for name in ("Rss", "Anonymous"))
    return 1024 * sum(map(int, used)), 1024 * sum(map(int, own))


def test_a_file_with_a_wrong_number_is_an_error(tmp_path: Path) -> None:
    path = filed(tmp_path)
    HeadModel.load(path)
    with path.with_suffix(SHAPES_SUFFIX).open("r+b") as file:
        file.seek(-1, 2)
        last = file.read()[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    with pytest.raises(WeightsError, match=r"own\.npy is damaged"):
        HeadModel.load(path)


def test_a_file_that_ends_too_soon_is_an_error(tmp_path: Path) -> None:
    path = filed(tmp_path)
    with path.with_suffix(SHAPES_SUFFIX).open("r+b") as file:
        file.truncate(1_000_000)
    with pytest.raises(WeightsError, match="no head model"):
        HeadModel.load(path)


def test_no_file_is_an_error(tmp_path: Path) -> None:
    path = filed(tmp_path)
    path.with_suffix(SHAPES_SUFFIX).unlink()
    with pytest.raises(WeightsError, match=r"no head model.*own\.npy"):
        HeadModel.load(path)


def test_shapes_of_another_kind_are_an_error(tmp_path: Path) -> None:
    path = filed(tmp_path)
    _, small, large = numbers()
    np.save(path.with_suffix(SHAPES_SUFFIX), recorded(small, large))
    with pytest.raises(WeightsError, match=r"expected other shapes in own\.npy"):
        HeadModel.load(path)


def test_a_damaged_archive_is_an_error(tmp_path: Path) -> None:
    path = filed(tmp_path)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="no head model"):
        HeadModel.load(path)
