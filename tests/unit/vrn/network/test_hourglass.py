from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from selfie3d.types.frames import Crop, transform
from vrn.errors import WeightsError
from vrn.network import HourglassConfig, load_network
from vrn.network.hourglass import Hourglass, spline_basis
from vrn.weights import file as weights

SMALL = HourglassConfig(stem=4, widths=(6, 8), bottom=1, lateral=6)
COARSE = HourglassConfig(stem=4, widths=(6,), bottom=1, columns=48, depths=50)


def network_of(config: HourglassConfig, seed: int = 0) -> Hourglass:
    """A small network with random weights and statistics, ready for inference."""
    torch.manual_seed(seed)
    module = Hourglass(config)
    for name, value in module.named_buffers():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
    return module.eval()


def crops(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (192, 192, 3)).astype(np.uint8) for _ in range(count)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    weights.write(path, SMALL.to_dict(), network_of(SMALL).state_dict())
    return path


@pytest.mark.parametrize("config", [SMALL, COARSE])
def test_a_network_gives_logits_on_its_grid(config: HourglassConfig) -> None:
    with torch.inference_mode():
        out = network_of(config)(torch.rand(2, 3, 192, 192))
    assert tuple(out.shape[1:]) == config.grid.shape
    assert torch.isfinite(out).all()


def test_the_phases_are_the_columns_of_the_whole() -> None:
    module, picture = network_of(SMALL), torch.rand(1, 3, 192, 192)
    with torch.inference_mode():
        whole = module(picture)
        for row in (0, 1):
            for column in (0, 1):
                part = module(picture, (row, column), depth_stride=2)
                torch.testing.assert_close(part, whole[:, ::2, row::2, column::2])


def test_the_grid_covers_crop_and_depth() -> None:
    grid = SMALL.grid
    ends = transform(grid.to_crop(), np.array([[0, 0, 0], [95, 95, 99]]))
    np.testing.assert_allclose((ends - np.array(grid.step) / 2)[0], [-0.5, -0.5, -20.25])
    np.testing.assert_allclose((ends + np.array(grid.step) / 2)[1], [191.5, 191.5, 99.75])


def test_a_spline_reproduces_lines_along_depth() -> None:
    basis = spline_basis(SMALL)
    np.testing.assert_allclose(basis.sum(1), 1, atol=1e-6)
    line = basis @ (np.arange(SMALL.coefficients) * 2.0 - 7)
    np.testing.assert_allclose(np.diff(line), np.diff(line).mean(), rtol=1e-4)
    assert (np.count_nonzero(basis > 1e-9, axis=1) <= 4).all()


def test_a_configuration_survives_its_metadata() -> None:
    for config in (SMALL, COARSE, HourglassConfig()):
        assert HourglassConfig.of(config.to_dict()) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 3}, "unexpected \\['depth'\\]"),
        ({"stem": None}, "configuration"),
        ({"columns": 64}, "columns: expected 48 or 96, found 64"),
        ({"widths": 5}, "configuration"),
        ({"widths": []}, "width"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        HourglassConfig.of(SMALL.to_dict() | change)


def test_a_configuration_that_lacks_a_field_is_refused() -> None:
    values = SMALL.to_dict()
    del values["lateral"]
    with pytest.raises(WeightsError, match=r"missing \['lateral'\]"):
        HourglassConfig.of(values)


def test_a_field_is_what_the_module_computes(file: Path) -> None:
    network, crop = load_network(file), crops(1)[0]
    module = network_of(SMALL)
    weights.fill(module, weights.load(file).tensors)
    field = network.field(crop)
    with torch.inference_mode():
        expected = module(torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255)[0].numpy()
    np.testing.assert_allclose(field.values, expected, atol=1e-4)
    assert field.values.dtype == np.float32
    assert field.grid == SMALL.grid
    assert field.level == 0.0


def test_several_crops_give_what_each_gives_alone(file: Path) -> None:
    network = load_network(file)
    together = network.fields(crops(3))
    for crop, field in zip(crops(3), together, strict=True):
        np.testing.assert_allclose(field.values, network.field(crop).values, atol=1e-4)
    assert network.fields([]) == []


@pytest.mark.parametrize(
    "crop",
    [np.zeros((192, 192), np.uint8), np.zeros((191, 192, 3), np.uint8), np.zeros((192, 192, 3), np.float32)],
)
def test_a_crop_of_another_shape_or_type_is_refused(file: Path, crop: np.ndarray) -> None:
    with pytest.raises(ValueError, match="192"):
        load_network(file).field(crop)


def test_a_network_carries_its_configuration_and_hash(file: Path) -> None:
    network = load_network(str(file))
    assert network.sha256 == weights.hash_of(file)
    assert network.config == SMALL.to_dict()
    assert network.grid == SMALL.grid


def test_weights_of_an_unknown_family_are_refused(tmp_path: Path) -> None:
    weights.write(tmp_path / "x.safetensors", {"family": "pyramid"}, {})
    with pytest.raises(WeightsError, match="found 'pyramid'"):
        load_network(tmp_path / "x.safetensors")


def test_weights_of_a_wider_network_are_refused(tmp_path: Path) -> None:
    wider = HourglassConfig(stem=5, widths=(6, 8), bottom=1, lateral=6)
    weights.write(tmp_path / "x.safetensors", SMALL.to_dict(), network_of(wider).state_dict())
    with pytest.raises(WeightsError, match=r"expected shape .* found"):
        load_network(tmp_path / "x.safetensors")


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    state = network_of(SMALL).state_dict()
    del state["coefficients.bias"]
    weights.write(tmp_path / "x.safetensors", SMALL.to_dict(), state)
    with pytest.raises(WeightsError, match=r"missing: coefficients\.bias"):
        load_network(tmp_path / "x.safetensors")


def test_the_bundled_network_sees_the_head_of_a_portrait() -> None:
    network = load_network()
    portrait = skimage.data.astronaut()
    places = np.rint(Crop.around((222.0, 115.0), 88.0).to_photo() @ np.array([[0, 0, 0, 1], [191, 191, 0, 1.0]]).T)
    (x0, y0), (x1, y1) = places[:2].T.astype(int)
    rows = np.linspace(y0, y1, 192).round().astype(int).clip(0)
    field = network.field(np.ascontiguousarray(portrait[rows][:, np.linspace(x0, x1, 192).round().astype(int)]))
    inside = field.values > field.level
    assert field.values.shape == network.grid.shape
    assert 0.08 < inside.mean() < 0.45
    assert inside[60, 40:56, 40:56].all()
    assert not inside[:, 80:, :10].any()
    assert not inside[-1].any()


def test_the_bundled_network_is_small_and_says_how_good_it_is() -> None:
    assert weights.bundled("default").stat().st_size <= 10_000_000
    rows = load_network().metrics["validation"]
    errors = {(row["group"], row["yaw"]): row["surface"] for row in rows}
    assert errors["photos, crop from the bundled finder", "all"] <= 0.040
    assert errors["turned views", "60-90"] <= 0.055
