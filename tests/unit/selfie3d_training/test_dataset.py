from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from selfie3d_training import augment
from selfie3d_training.config import TrainConfig
from selfie3d_training.dataset import FRONT_DEPTH, Material, Pairs, draw_chances, phase_of, plain_batch
from selfie3d_training.turn import make_views


def test_a_step_is_the_same_batch_every_time(material: Material, tiny: TrainConfig) -> None:
    first, second = Pairs(material, tiny), Pairs(material, tiny)
    second[4]
    for name, value in first[3].items():
        assert torch.equal(value.nan_to_num() if value.is_floating_point() else value, _clean(second[3][name])), name
    assert not torch.equal(first[3]["picture"], first[4]["picture"])


def test_processes_get_different_batches(material: Material, tiny: TrainConfig) -> None:
    batches = [Pairs(material, tiny, rank, world=2)[3]["picture"] for rank in (0, 1)]
    assert not torch.equal(*batches)


def test_four_steps_see_every_column_once(tiny: TrainConfig) -> None:
    for start in (0, 4, 400):
        assert sorted(phase_of(tiny, start + n) for n in range(4)) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_the_volume_lies_on_the_head_in_the_picture(material: Material, tiny: TrainConfig) -> None:
    batch = plain_batch(material, np.array([4, 8, 12]), tiny)
    row, column = batch["phase"].tolist()
    outline = batch["occupancy"].any(1).numpy()
    bright = batch["picture"].numpy()[:, 2 * row :: 4, 2 * column :: 4].min(-1) > 55  # the egg; the wall is darker
    assert (bright & outline).sum() / (bright | outline).sum() > 0.9


def test_the_foremost_point_lies_at_its_depth(material: Material, tiny: TrainConfig) -> None:
    source = material.of_photo(5)
    grid = tiny.network.grid
    target = material.target(source, material.vertices([5])[0], augment.plain_crop(source.landmarks), grid)
    assert np.nanmax(target.front) == pytest.approx(FRONT_DEPTH, abs=1.5)
    assert target.occupancy[:, target.hull.astype(bool)].any(0).mean() > 0.95


def test_turned_views_join_in_when_they_appear(material: Material, tiny: TrainConfig) -> None:
    config = tiny.override({"turned_share": 1.0})
    before = Pairs(material, config)[0]["picture"]
    make_views(material.photos, material.head, material.photos.ids("train"), material.views.folder, 3, seed=0)
    material.views.refresh()
    assert len(material.views) == 3
    assert not torch.equal(Pairs(material, config)[0]["picture"], before)


def test_faces_that_look_aside_are_drawn_more_often() -> None:
    config = TrainConfig(yaw_from=(25.0, 40.0), yaw_boost=(3.0, 7.0))
    chances = draw_chances(np.array([0, -30, 50], np.float32), config)
    np.testing.assert_allclose(chances, np.array([1, 3, 7]) / 11)


def test_validation_photos_are_never_drawn(data: Path, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    material = Material(data, data / "none")
    drawn: list[int] = []
    original = material.of_photo

    def of_photo(photo: int) -> Any:
        drawn.append(photo)
        return original(photo)

    monkeypatch.setattr(material, "of_photo", of_photo)
    pairs = Pairs(material, tiny)
    for step in range(12):
        pairs[step]
    assert set(drawn) <= set(material.photos.ids("train").tolist())
    assert len(set(drawn)) > 8


def _clean(value: torch.Tensor) -> torch.Tensor:
    return value.nan_to_num() if value.is_floating_point() else value
