from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfie3d.types.frames import Grid
from vrn.errors import FieldError
from vrn.files.volume_file import read_volume, to_volume, write_volume
from vrn.meshing.field import Field

PAPER = Grid.paper()


def ramp(grid: Grid, scale: float = 0.01) -> Field:
    """A field that is linear in crop px, so that any resampling is known exactly."""
    depth, height, width = (np.arange(n, dtype=np.float64) for n in grid.shape)
    x, y, z = (o + s * n for o, s, n in zip(grid.origin, grid.step, (width, height, depth), strict=True))
    values = scale * (z[:, None, None] + 0.3 * y[:, None] - 0.2 * x - 60)
    return Field(values.astype(np.float32), grid, 0.0)


@pytest.fixture(scope="module")
def probabilities() -> Field:
    return Field(np.random.default_rng(3).random(PAPER.shape, dtype=np.float32), PAPER, 0.5)


def test_raw_holds_the_bytes_of_the_original_depth_first(tmp_path: Path, probabilities: Field) -> None:
    write_volume(tmp_path / "v.raw", probabilities)
    data = np.fromfile(tmp_path / "v.raw", np.uint8)
    assert data.size == 192 * 192 * 200
    expected = np.floor(255 * probabilities.values).astype(np.uint8)
    assert (data.reshape(200, 192, 192) == expected).all()
    assert data[(7 * 192 + 5) * 192 + 3] == expected[7, 5, 3]


def test_npy_is_the_same_array(tmp_path: Path, probabilities: Field) -> None:
    write_volume(tmp_path / "v.npy", probabilities)
    loaded = np.load(tmp_path / "v.npy")
    assert loaded.dtype == np.uint8
    assert (loaded == to_volume(probabilities)).all()


@pytest.mark.parametrize("suffix", [".raw", ".npy"])
def test_a_volume_that_was_read_writes_the_same_bytes(tmp_path: Path, probabilities: Field, suffix: str) -> None:
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_volume(first, probabilities)
    field = read_volume(first)
    assert field.grid == PAPER
    assert field.level == 0.5
    assert np.abs(field.values - probabilities.values).max() <= 0.501 / 255
    write_volume(second, field)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "grid", [Grid.blocks(48, 100), Grid.blocks(96, 50), Grid((30, 40, 20), (-9, 2, -20), (11, 5, 4.5))]
)
def test_logits_on_any_grid_become_the_probabilities_of_the_paper_grid(grid: Grid) -> None:
    volume = to_volume(ramp(grid))
    exact = 255 / (1 + np.exp(-ramp(PAPER).values.astype(np.float64)))
    inside = np.ones(PAPER.shape, bool)
    for axis, frame in enumerate((2, 1, 0)):
        place = PAPER.origin[frame] + PAPER.step[frame] * np.arange(PAPER.shape[axis])
        last = grid.origin[frame] + grid.step[frame] * (grid.shape[axis] - 1)
        within = (place >= grid.origin[frame]) & (place <= last)
        inside &= within.reshape([-1 if i == axis else 1 for i in range(3)])
    assert inside.mean() > 0.5
    assert (np.abs(volume[inside] + 0.5 - exact[inside]) <= 0.51).all()


def test_outside_its_samples_a_field_is_continued() -> None:
    field = Field(np.array([[[-2.0]], [[2.0]]], np.float32), Grid((2, 1, 1), (95.5, 95.5, 40.0), (1, 1, 10.0)), 0.0)
    volume = to_volume(field)
    assert (volume == volume[:, :1, :1]).all()
    column = volume[:, 0, 0].astype(int)
    assert set(column[:81]) == {30}  # floor(255 / (1 + e^2)), up to 40 px
    assert set(column[100:]) == {224}  # floor(255 / (1 + e^-2)), from 50 px on
    assert (np.diff(column) >= 0).all()


def test_extreme_values_stay_bytes() -> None:
    values = np.zeros(PAPER.shape, np.float32)
    values[0], values[1] = 1e30, -1e30
    volume = to_volume(Field(values, PAPER, 0.0))
    assert (volume[0].min(), volume[1].max(), volume[2].min()) == (255, 0, 127)


@pytest.mark.parametrize(
    ("name", "content"), [("short.raw", b"123"), ("long.raw", bytes(192 * 192 * 200 + 1)), ("text.npy", b"no array")]
)
def test_files_that_are_no_volume_say_what_was_expected(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FieldError, match="expected 200 x 192 x 192 bytes"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("array", [np.zeros((192, 192, 200), np.uint8), np.zeros((200, 192, 192), np.float32)])
def test_arrays_of_another_shape_or_type_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(FieldError, match="found"):
        read_volume(tmp_path / "v.npy")


def test_other_suffixes_are_refused_before_anything_is_written(tmp_path: Path, probabilities: Field) -> None:
    with pytest.raises(ValueError, match=r"a volume ends in \.raw or \.npy"):
        write_volume(tmp_path / "v.txt", probabilities)
    assert list(tmp_path.iterdir()) == []
