"""Networks that Torch7 wrote, and what it computed with them.

The files are no part of the project: these tests exist where SELFIE3D_T7_FIXTURES names their folder, or where it lies
beside the checkout.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vrn.errors import WeightsError
from vrn.official import OfficialConfig
from vrn.official.file import read_official
from vrn.official.network import Official
from vrn.official.torch7 import Table, Tensor, load

FOLDER = Path(os.environ.get("SELFIE3D_T7_FIXTURES") or Path(__file__).parents[3] / "shared/fixtures/t7")
LAYERS = {  # our layer after which Torch7's mean and root mean square per channel were taken, by top-level module
    "00": "stem.0", "02": "stem", "03": "residual1", "05": "residual2", "06": "residual3",
    "08": "halves.0", "10": "halves.1", "11": "head",
}  # fmt: skip
GROUPS = [name for name in LAYERS if name not in ("00", "11")]  # 00 was stored whole, 11 after the sigmoid
__test__ = FOLDER.is_dir()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("**/*.t7")), ids=lambda path: path.stem)
def test_every_file_is_read_and_refused_when_cut_off(path: Path, tmp_path: Path) -> None:
    load(path)
    data = path.read_bytes()
    cut = tmp_path / "cut.t7"
    for length in {0, 1, len(data) // 2, len(data) - 1}:
        cut.write_bytes(data[:length])
        with pytest.raises(WeightsError, match=r"cut\.t7"):
            load(cut)


def test_tensors_are_those_that_torch7_printed() -> None:
    expected_path = FOLDER / "edge/expected_tensors.json"
    compared = 0
    for expected in json.loads(expected_path.read_text()):
        for suffix in ("", "_ascii"):
            table = load(expected_path.with_name(f"{expected['file']}{suffix}.t7"))
            assert isinstance(table, Table)
            found = table.get(expected["key"])
            if not isinstance(found, Tensor):
                assert suffix  # the ascii twins hold fewer
                continue
            assert (found.class_name, list(found.size)) == (expected["type"], expected["size"])
            assert (list(found.stride), found.offset) == (expected["stride"], expected["storage_offset0"])
            numbers = np.array([float(number) for number in expected["data"]]).astype(found.array().dtype)
            np.testing.assert_array_equal(found.array().ravel(), numbers)
            compared += 1
    assert compared > 30


@pytest.fixture(scope="module", params=sorted(FOLDER.glob("vrn_tiny*.t7")), ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def network(path: Path, bn: str, dtype: torch.dtype) -> Official:
    found = read_official(path)
    made = Official(OfficialConfig.of(found.config | {"bn": bn})).eval().requires_grad_(False)
    state = {name: torch.from_numpy(parameter.array()) for name, parameter in found.parameters.items()}
    made.load_state_dict(state, strict=False)
    return made.to(dtype)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("bn", "dtype", "before", "after"),
    [
        ("running", torch.float32, 1e-4, 2e-5), ("running", torch.float64, 5e-7, 2e-5),
        ("batch", torch.float32, 2e-3, 2e-4), ("batch", torch.float64, 4e-6, 2e-5),
    ],
)  # fmt: skip
def test_the_forward_pass_is_torch7s(
    path: Path, bn: str, dtype: torch.dtype, before: float, after: float, layout: torch.memory_format
) -> None:
    """before, after : largest difference before and after the enlargement; values reach 45, stored as float32."""
    expected = np.load(path.with_name("vrn_tiny_io.npz"))
    made = network(path, bn, dtype).to(memory_format=layout)  # type: ignore[call-overload]
    pictures = torch.from_numpy(expected["input_u8"].astype(np.float32) / 256).to(dtype)
    pictures = pictures.contiguous(memory_format=layout)
    regressed, probabilities = made.regress(pictures).double().numpy(), made(pictures).double().numpy()
    _, top, left, right = 0, 64, 64, 128
    for index in range(2):  # both in one batch: with batch statistics, too, each picture is on its own
        prefix = f"{'train' if bn == 'batch' else 'eval'}{index}"
        found = regressed[index, expected["pre_channels"]]
        assert np.abs(found - expected[f"{prefix}_pre"][0]).max() < before
        np.testing.assert_allclose(regressed[index].mean((1, 2)), expected[f"{prefix}_pre_chmean"][0], atol=before)
        crop = probabilities[index, expected["final_channels"], :top, left:right]
        assert np.abs(crop - expected[f"{prefix}_final_crop"][0]).max() < after
        np.testing.assert_allclose(
            probabilities[index].mean((1, 2)), expected[f"{prefix}_final_chmean"][0], atol=after, rtol=0
        )


@pytest.mark.parametrize("bn", ["running", "batch"])
def test_every_group_of_layers_is_torch7s(path: Path, bn: str) -> None:
    expected = np.load(path.with_name("vrn_tiny_io.npz"))
    made = network(path, bn, torch.float64)
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            del module, inputs
            seen[name] = output

        return hook

    for number in GROUPS:
        made.get_submodule(LAYERS[number]).register_forward_hook(keep(number))
    made.regress(torch.from_numpy(expected["input_u8"][:1] / 256.0))
    for number in GROUPS:
        prefix = f"{'train' if bn == 'batch' else 'eval'}0_top{number}"
        found = seen[number].numpy()[0]
        np.testing.assert_allclose(found.mean((1, 2)), expected[f"{prefix}_mean"], atol=1e-9)
        np.testing.assert_allclose(np.sqrt((found**2).mean((1, 2))), expected[f"{prefix}_rms"], atol=1e-9)


def test_the_binary_and_the_ascii_twin_hold_one_network() -> None:
    first, second = (read_official(FOLDER / f"vrn_d1_{mode}.t7") for mode in ("binary", "ascii"))
    assert first.config == second.config
    assert first.config["blocks"] == [9]
    for name, parameter in first.parameters.items():
        np.testing.assert_array_equal(second.parameters[name].array(), parameter.array())
