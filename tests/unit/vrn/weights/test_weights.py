from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vrn.engine.graph import INT8_SUFFIX
from vrn.errors import WeightsError
from vrn.weights import file as weights
from vrn.weights.store import GRAPH_SUFFIX


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"a.weight": torch.randn(3, 2, generator=generator), "count": torch.tensor([4])}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "some.safetensors"
    weights.write(file, {"family": "test", "widths": [1, 2]}, tensors(), {"iou": 0.9})
    return file


def test_what_was_written_is_read(path: Path) -> None:
    loaded = weights.load(path)
    assert loaded.config == {"family": "test", "widths": [1, 2]}
    assert loaded.metrics == {"iou": 0.9}
    assert loaded.tensors["a.weight"].dtype == torch.float32
    torch.testing.assert_close(loaded.tensors["a.weight"], tensors()["a.weight"], rtol=1e-3, atol=1e-3)
    assert loaded.tensors["count"].tolist() == [4]
    assert loaded.tensors.keys() == {name for name in tensors() if not name.endswith("num_batches_tracked")}


def test_full_precision_is_kept_on_request(tmp_path: Path) -> None:
    weights.write(tmp_path / "full.safetensors", {}, tensors(), half=False)
    assert torch.equal(weights.load(tmp_path / "full.safetensors").tensors["a.weight"], tensors()["a.weight"])


def test_statistics_too_large_for_half_precision_are_kept(tmp_path: Path) -> None:
    weights.write(tmp_path / "x.safetensors", {}, {"norm.running_var": torch.tensor([1e6, 3e-9])})
    assert weights.load(tmp_path / "x.safetensors").tensors["norm.running_var"].tolist() == pytest.approx([1e6, 3e-9])


def test_the_manifest_lists_every_file_as_sha256sum_does(path: Path) -> None:
    second = path.with_name("other.safetensors")
    digest = weights.write(second, {}, tensors())
    assert weights.manifest(path.parent) == {path.name: weights.hash_of(path), second.name: digest}
    assert f"{digest}  other.safetensors\n" in (path.parent / "SHA256SUMS").read_text()
    assert weights.verify(path) == weights.hash_of(path)


def test_one_changed_byte_stops_the_load(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"expected SHA-256 .* found"):
        weights.load(path)


def test_a_truncated_file_without_a_manifest_is_refused(path: Path) -> None:
    (path.parent / "SHA256SUMS").unlink()
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="no safetensors file"):
        weights.load(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\xff" * 64, b"torch"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="no safetensors file"):
        weights.load(tmp_path / "x.safetensors")


def test_a_file_of_the_users_own_needs_no_manifest(path: Path) -> None:
    (path.parent / "SHA256SUMS").unlink()
    assert weights.load(path).sha256 == weights.hash_of(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_neither_read_nor_written(tmp_path: Path, bad: float) -> None:
    broken = {"a": torch.tensor([1.0, bad])}
    with pytest.raises(WeightsError, match="finite numbers in a"):
        weights.write(tmp_path / "x.safetensors", {}, broken)
    save_file(broken, tmp_path / "x.safetensors", {"config": "{}"})
    with pytest.raises(WeightsError, match="finite numbers in a"):
        weights.load(tmp_path / "x.safetensors")


def test_numbers_too_large_for_half_precision_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="finite"):
        weights.write(tmp_path / "x.safetensors", {}, {"a": torch.tensor([[1e6]])})


@pytest.mark.parametrize("metadata", [None, {}, {"config": "no json"}, {"config": "[1]"}])
def test_weights_without_a_configuration_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file(tensors(), tmp_path / "x.safetensors", metadata)
    with pytest.raises(WeightsError, match="'config'"):
        weights.load(tmp_path / "x.safetensors")


def test_a_damaged_manifest_is_refused(path: Path) -> None:
    (path.parent / "SHA256SUMS").write_text("nonsense\n")
    with pytest.raises(WeightsError, match="SHA256SUMS"):
        weights.load(path)


def test_names_are_those_of_the_bundled_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights called 'nobody'"):
        weights.resolve("nobody")
    with pytest.raises(WeightsError, match="does not exist"):
        weights.resolve(tmp_path / "nobody.safetensors")
    with pytest.raises(WeightsError, match="does not exist"):
        weights.verify(tmp_path / "nobody.safetensors")


def test_a_path_is_taken_before_a_name(path: Path) -> None:
    assert weights.resolve(str(path)) == path


class TestFill:
    """Tensors go into a module only when they are exactly its own."""

    def module(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

    def test_matching_tensors_go_in(self) -> None:
        source, target = self.module(), self.module()
        weights.fill(target, {k: v for k, v in source.state_dict().items() if not k.endswith("tracked")})
        assert torch.equal(target.state_dict()["0.weight"], source.state_dict()["0.weight"])

    def test_missing_and_unexpected_tensors_are_named(self) -> None:
        state = self.module().state_dict()
        state["extra"] = state.pop("0.bias")
        state.pop("1.num_batches_tracked")
        with pytest.raises(WeightsError, match=r"missing: 0\.bias; unexpected: extra"):
            weights.fill(self.module(), state)

    def test_another_shape_says_what_was_expected_and_found(self) -> None:
        state = {k: v for k, v in self.module().state_dict().items() if not k.endswith("tracked")}
        state["0.bias"] = torch.zeros(4)
        with pytest.raises(WeightsError, match=r"0\.bias: expected shape \(3,\), found \(4,\)"):
            weights.fill(self.module(), state)


def test_every_bundled_file_is_listed_and_whole_and_has_its_graph() -> None:
    names = {path.stem for path in weights.FOLDER.glob(f"*{weights.SUFFIX}")}
    files = {name + suffix for name in names for suffix in (weights.SUFFIX, GRAPH_SUFFIX)}
    rounded = {name + INT8_SUFFIX for name in names} - {"finder-aligner" + INT8_SUFFIX}
    assert {path.name for path in weights.FOLDER.iterdir() if path.suffix} == files | rounded
    assert set(weights.verify_bundled()) == files | rounded


def test_metadata_is_plain_json(path: Path) -> None:
    header = path.read_bytes()
    size = int(np.frombuffer(header[:8], "<u8")[0])
    metadata = json.loads(header[8 : 8 + size])["__metadata__"]
    assert json.loads(metadata["config"])["widths"] == [1, 2]
