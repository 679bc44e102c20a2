"""The guided network: where it starts from and how its answers move a head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from selfie3d.types.frames import Crop
from vrn.avatar.model import load_model
from vrn.crop import sample
from vrn.errors import WeightsError
from vrn.network.displacement import displaced, layer_weights, looked_up, sampled
from vrn.network.guided import POSE, Guide, GuidedHourglass
from vrn.network.guided_config import GuidedConfig
from vrn.network.guided_load import load_guided
from vrn.weights import file as weights

SMALL = GuidedConfig(stem=4, widths=(4, 4, 4, 4), bottom=1, lateral=4, squeeze=2, hidden=8)


def guides(count: int) -> Guide:
    rotation = torch.eye(3).expand(count, 3, 3)
    translation = torch.tensor([95.5, -95.5, 95.5]).expand(count, 3)
    return Guide(torch.full((count,), 6.4), rotation, translation, torch.zeros(count, 145))


def test_no_corrections_leave_the_guide_as_it_is() -> None:
    guide = guides(2)
    same = guide.corrected(torch.zeros(2, POSE + 145))
    for name in ("scale", "rotation", "translation", "coefficients"):
        torch.testing.assert_close(getattr(same, name), getattr(guide, name))


def test_corrections_turn_grow_and_move_the_head_about_the_middle_of_the_crop() -> None:
    guide = guides(1)
    answer = torch.zeros(1, POSE + 145)
    answer[0, 1], answer[0, 3], answer[0, 4] = 1.0, 1.0, 1.0
    new = guide.corrected(answer)
    assert new.scale.item() == pytest.approx(6.4 * np.exp(0.05))
    assert torch.atan2(new.rotation[0, 0, 2], new.rotation[0, 2, 2]).item() == pytest.approx(0.1, abs=1e-5)
    torch.testing.assert_close(new.translation, guide.translation + torch.tensor([4.0, 0.0, 0.0]))


def test_a_constant_field_moves_every_vertex_alike() -> None:
    vertices = torch.rand(1, 50, 3) * 150 + 20
    field = torch.tensor([1.5, -2.0, 0.5]).repeat(7)[None, :, None, None].expand(1, 21, 48, 48)
    moved = displaced(vertices, field) - vertices
    torch.testing.assert_close(moved, torch.tensor([1.5, -2.0, 0.5]).expand(1, 50, 3), atol=1e-4, rtol=0)


def test_the_table_of_the_exported_graph_holds_what_torch_samples() -> None:
    field, places = torch.randn(2, 6, 48, 48), torch.rand(2, 500, 2) * 260 - 30  # some far outside
    torch.testing.assert_close(looked_up(field, places), sampled(field, places), atol=1e-4, rtol=0)


def test_the_layers_share_every_depth() -> None:
    torch.testing.assert_close(layer_weights(torch.linspace(0, 191, 99), 7).sum(-1), torch.ones(99))


def test_the_network_answers_in_the_shapes_that_it_promises() -> None:
    for config in (SMALL, replace(SMALL, residual=8)):
        network = GuidedHourglass(config).eval()
        answer = network(torch.rand(2, 3, 192, 192), torch.rand(2, 5, 96, 96), torch.rand(2, 154))
        assert answer.corrections.shape == (2, 151)
        assert answer.displacement.shape == (2, 21, 48, 48)
        assert (answer.residual is None) == (config.residual == 0)


def test_weights_know_their_configuration(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    weights.write(path, SMALL.to_dict(), GuidedHourglass(SMALL).state_dict())
    network = load_guided(path)
    model = load_model()
    matrix = np.diag([5.0, -5.0, 5.0, 1.0])
    matrix[:3, 3] = 100.0, 100.0, 0.0
    landmarks = model.landmarks(model.neutral) @ matrix[:3, :3].T + matrix[:3, 3]
    head = network.head(np.full((200, 200, 3), 128, np.uint8), landmarks)
    field = head.field(48)
    assert (field.values > field.level).sum() * float(np.prod(field.grid.step)) > 100.0**3
    with pytest.raises(WeightsError):
        load_guided("default")


def test_a_configuration_with_other_fields_is_refused() -> None:
    with pytest.raises(WeightsError, match="depths"):
        GuidedConfig.of(SMALL.to_dict() | {"depths": 3})


@pytest.mark.parametrize("degrees", [0.0, 25.0, 90.0])
def test_the_picture_is_turned_as_the_matrix_says(degrees: float) -> None:
    angle = np.radians(degrees)
    to_crop = np.eye(4)
    to_crop[:2, :2] = 1.2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_crop[:2, 3] = np.array([95.5, 95.5]) - to_crop[:2, :2] @ [150.0, 140.0]
    y, x = np.mgrid[:300, :320]
    image = np.stack([x * 0.7, y * 0.7, np.zeros_like(x)], -1).astype(np.uint8)
    picture = sample(image, Crop.of_matrix(to_crop)).transpose(2, 0, 1)
    in_photo = np.linalg.inv(to_crop) @ np.array([60.0, 110.0, 0.0, 1.0])
    np.testing.assert_allclose(picture[:2, 110, 60], in_photo[:2] * 0.7, atol=0.8)
