from __future__ import annotations

import numpy as np
import pytest
import torch

from selfie3d_training.config import TrainConfig
from selfie3d_training.dataset import Material, plain_batch
from selfie3d_training.loss import DEPTH_STRIDE, VolumeLoss, gaussian_matrix


@pytest.fixture
def batch(material: Material, tiny: TrainConfig) -> dict[str, torch.Tensor]:
    return plain_batch(material, np.array([4, 8]), tiny)


def ideal(criterion: VolumeLoss, occupancy: torch.Tensor) -> torch.Tensor:
    """Logits of the softened target."""
    soft = torch.einsum("kd,ndhw->nkhw", criterion.soften, occupancy.float())
    return torch.logit(soft.clamp(1e-5, 1 - 1e-5))


def terms(tiny: TrainConfig, batch: dict[str, torch.Tensor], shift: int, share: float = 1.0) -> dict[str, float]:
    """The loss of the ideal answer moved by `shift` samples along depth, its logits times `share`."""
    criterion = VolumeLoss(tiny)
    logits = torch.roll(ideal(criterion, batch["occupancy"]), shift, 1) * share
    return {k: float(v) for k, v in criterion(logits, batch["occupancy"], batch["front"], batch["hull"]).items()}


def test_the_right_answer_has_the_lowest_loss(tiny: TrainConfig, batch: dict[str, torch.Tensor]) -> None:
    right = terms(tiny, batch, 0)
    assert right["front"] < 0.05
    assert right["slope"] < 0.05
    assert right["thickness"] < 1e-3
    for shift in (-2, -1, 1, 2):
        assert terms(tiny, batch, shift)["loss"] > right["loss"]


def test_the_front_term_is_the_distance_in_px(tiny: TrainConfig, batch: dict[str, torch.Tensor]) -> None:
    step = tiny.network.grid.step[2] * DEPTH_STRIDE
    for shift in (-2, 1, 2):
        assert terms(tiny, batch, shift)["front"] == pytest.approx(abs(shift) * step, rel=0.2)


def test_flat_logits_do_not_lower_the_front_term_of_a_wrong_answer(
    tiny: TrainConfig, batch: dict[str, torch.Tensor]
) -> None:
    assert terms(tiny, batch, 2, share=0.1)["front"] > 0.7 * terms(tiny, batch, 2)["front"]


def test_columns_inside_the_hull_count_as_often_as_configured(
    tiny: TrainConfig, batch: dict[str, torch.Tensor]
) -> None:
    def entropy(weight: float, inside: bool) -> float:
        criterion = VolumeLoss(tiny.override({"hull_weight": weight}))
        logits = ideal(criterion, batch["occupancy"])
        wrong = batch["hull"].bool()[:, None] == inside
        return float(
            criterion(torch.where(wrong, -logits, logits), batch["occupancy"], batch["front"], batch["hull"])["entropy"]
        )

    assert entropy(6.0, inside=True) > 1.5 * entropy(1.0, inside=True)
    assert entropy(6.0, inside=False) < 0.7 * entropy(1.0, inside=False)


def test_softening_keeps_the_crossing_and_the_ends() -> None:
    matrix = gaussian_matrix(60, 4.0)
    torch.testing.assert_close(matrix.sum(1), torch.ones(60))
    soft = matrix @ (torch.arange(60) <= 30).float()
    assert soft[30] > 0.5 > soft[31]
    assert float(soft[30] + soft[31]) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(matrix @ torch.ones(60), torch.ones(60))
