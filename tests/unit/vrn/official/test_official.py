"""The released network: its nesting, its forward pass, and its import from Torch7 files."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from selfie3d.types.frames import Grid
from tests import torch7_writer as t7
from tests.official_net import Maker, Sizes, evaluate
from vrn.errors import WeightsError
from vrn.network import load_network
from vrn.official.config import LEVEL, OfficialConfig
from vrn.official.file import read_official
from vrn.official.importer import import_official
from vrn.official.network import Official
from vrn.weights.read import load
from vrn.weights.store import MANIFEST, hash_of, verify

pytestmark = pytest.mark.slow  # each test writes, reads and runs whole networks

SIZES = [
    Sizes(),
    Sizes(stem=3, middle=2, width=5, blocks=(1,), halves=1, outputs=3),
    Sizes(blocks=(1, 1, 2), halves=3),
    Sizes(stem=2, middle=6, width=4, blocks=(1,), halves=1),  # an identity where the released network has a skip
]


def network(path: Path, bn: str, dtype: torch.dtype = torch.float64) -> Official:
    """The network of a Torch7 file, read without the detour over a weights file."""
    found = read_official(path)
    made = Official(OfficialConfig.of(found.config | {"bn": bn})).eval().requires_grad_(False)
    state = {name: torch.from_numpy(parameter.array()) for name, parameter in found.parameters.items()}
    missing, unexpected = made.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return made.to(dtype)


def picture(seed: int = 0, size: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 3, size, size))


def test_the_released_sizes_have_the_released_number_of_parameters() -> None:
    with torch.device("meta"):
        config = OfficialConfig()
        made = Official(config)
    assert sum(parameter.numel() for parameter in made.parameters()) == 19_184_968
    assert config.grid == Grid.paper()
    assert LEVEL == 0.5


def test_the_released_nesting_has_1339_modules() -> None:
    root = Maker(Sizes(blocks=(6, 6, 6, 9))).network()

    def count(module: t7.Instance) -> int:
        return sum(1 + count(child) for child in module.fields.get("modules", []))

    assert count(root) == 1339


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("bn", ["batch", "running"])
def test_the_forward_pass_is_that_of_the_module_tree(tmp_path: Path, sizes: Sizes, bn: str) -> None:
    root = Maker(sizes, seed=1).network()
    made = network(t7.save(tmp_path / "net.t7", root), bn)
    x = picture()
    (expected,) = evaluate(root, x, batch_statistics=bn == "batch")
    found = made(torch.from_numpy(x)).numpy()
    assert found.shape == (1, sizes.outputs, 64, 64)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)
    single = network(tmp_path / "net.t7", bn, torch.float32)(torch.from_numpy(x).float()).numpy()
    np.testing.assert_allclose(single, expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bn", ["batch", "running"])
def test_no_picture_of_a_batch_depends_on_another(tmp_path: Path, bn: str, layout: torch.memory_format) -> None:
    made = network(t7.save(tmp_path / "net.t7", Maker(Sizes(), seed=2).network()), bn)
    pictures = torch.from_numpy(np.concatenate([picture(seed) * 2.0**-seed for seed in range(3)]))
    together = made(pictures.contiguous(memory_format=layout))
    for index in range(3):
        alone = made(pictures[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-12, rtol=0)


def test_training_mode_changes_nothing(tmp_path: Path) -> None:
    made = network(t7.save(tmp_path / "net.t7", Maker(Sizes()).network()), "running")
    x = torch.from_numpy(picture())
    before = made(x)
    torch.testing.assert_close(made.train()(x), before)


@pytest.mark.parametrize(
    "written",
    [
        {"prefix": "cudnn", "kind": "Cuda"},
        {"kind": "Double"},
        {"prefix": "cudnn", "kind": "CudaDouble"},
        {"buffer": 999},
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", [{}, {"long_size": 4}, {"ascii": True}], ids=str)
def test_the_same_network_is_read_however_it_was_written(
    tmp_path: Path, written: dict[str, Any], mode: dict[str, Any]
) -> None:
    if "buffer" in written and "ascii" in mode:
        written = {}  # a hole of the file is no text
    plain = read_official(t7.save(tmp_path / "plain.t7", Maker(Sizes(), seed=3).network()))
    other = read_official(t7.save(tmp_path / "other.t7", Maker(Sizes(), seed=3, **written).network(), **mode))
    assert other.config == plain.config
    assert other.parameters.keys() == plain.parameters.keys()
    for name, parameter in plain.parameters.items():
        np.testing.assert_array_equal(other.parameters[name].array(), parameter.array())


def test_weights_that_are_views_of_one_storage_are_read(tmp_path: Path) -> None:
    root = Maker(Sizes(), seed=4).network()
    plain = read_official(t7.save(tmp_path / "plain.t7", root))
    tensors = [t for module in modules(root) for t in module.fields.values() if isinstance(t, t7.Tensor)]
    stored = [(t, t.storage.elements) for t in tensors if isinstance(t.storage, t7.Storage)]
    flat = t7.Storage("Float", np.concatenate([elements for _, elements in stored]))
    offset = 1
    for each, elements in stored:
        count = len(elements)
        each.storage, each.offset = flat, offset
        offset += count
    other = read_official(t7.save(tmp_path / "flat.t7", root))
    for name, parameter in plain.parameters.items():
        np.testing.assert_array_equal(other.parameters[name].array(), parameter.array())


def test_old_versions_of_modules_are_read_as_torch7_would(tmp_path: Path) -> None:
    root = Maker(Sizes(), seed=5).network()
    plain = read_official(t7.save(tmp_path / "plain.t7", root))
    for module in modules(root):
        fields = module.fields
        if module.name == "nn.SpatialConvolution":
            module.name = "nn.SpatialConvolutionMM"
            fields["padding"] = fields.pop("padW")
            del fields["padH"], fields["groups"]
            weight = fields["weight"]
            weight.size, weight.stride = (weight.size[0], weight.stride[0]), (weight.stride[0], 1)
        elif module.name == "nn.SpatialBatchNormalization":
            module.version = "V 1"
            variance = fields.pop("running_var").storage.elements.astype(np.float64)
            fields["running_std"] = t7.tensor((variance + fields["eps"]) ** -0.5, "Double")
    other = read_official(t7.save(tmp_path / "old.t7", root))
    for name, parameter in plain.parameters.items():
        np.testing.assert_allclose(other.parameters[name].array(), parameter.array(), rtol=1e-6)


def modules(root: t7.Instance) -> list[t7.Instance]:
    """All modules, parents first."""
    return [root] + [found for child in root.fields.get("modules", []) for found in modules(child)]


def at(root: t7.Instance, *place: int) -> t7.Instance:
    for number in place:
        root = root.fields["modules"][number - 1]
    return root


def drop(*place: int) -> Callable[[t7.Instance], None]:
    return lambda root: at(root, *place[:-1]).fields["modules"].pop(place[-1] - 1)


def put(name: str, value: Any, *place: int) -> Callable[[t7.Instance], None]:
    return lambda root: at(root, *place).fields.update({name: value})


def spoil(name: str, value: float, *place: int) -> Callable[[t7.Instance], None]:
    return lambda root: at(root, *place).fields[name].storage.elements.__setitem__(0, value)


def rename(name: str, *place: int) -> Callable[[t7.Instance], None]:
    return lambda root: setattr(at(root, *place), "name", name)


def swap_branches(root: t7.Instance) -> None:
    """The nesting of the usual hourglass: the next level in the coarse branch."""
    table = at(root, 8, 2, 1)
    table.fields["modules"].reverse()


BLOCK = (8, 2, 1, 1, 1, 1, 1)  # the three convolutions of a residual block
WRONG = {
    "a module is missing": (drop(5), "expected 12 modules in Sequential at the root, found 11"),
    "a residual block is missing": (drop(8, 2, 1, 1, 2), "expected 2 modules in Sequential at 8.2.1.1.3, found 3"),
    "the other nesting": (swap_branches, "expected Sequential at 8.2.1.1.1, found nn.SpatialMaxPooling"),
    "unequal halves": (drop(10, 2, 1, 2, 2), "expected equal halves"),
    "another class": (rename("nn.Tanh", 12, 1, 4), "expected Sigmoid at 12.1.4, found nn.Tanh"),
    "a class of another library": (rename("inn.ReLU", 3), "expected ReLU at 3, found inn.ReLU"),
    "no enlargement by four": (put("scale_factor", 2, 12, 1, 3), "expected scale_factor = 4 in Spatial"),
    "a table as the root": (None, "expected Sequential at the root, found a table of 1 entries"),
    "another kernel": (put("kW", 5, 1), "expected kW = 7 in SpatialConvolution at 1, found 5"),
    "groups": (put("groups", 2, *BLOCK, 6), "expected groups = 1 in SpatialConvolution at 8.2.1.1.1.1.1.6, found 2"),
    "a threshold": (put("threshold", 0.1, 3), "expected threshold = 0 in ReLU at 3, found 0.1"),
    "another eps": (put("eps", 1e-3, 2), "expected eps = 0.001 at"),
    "no weight": (put("weight", None, *BLOCK, 3), "a tensor of size 3 x 6 x 1 x 1 as weight of"),
    "no bias": (put("bias", None, 1), "expected a tensor of size 2 as bias of SpatialConvolution at 1, found nothing"),
    "no running mean": (put("running_mean", None, 2), "as running_mean of .* at 2, found nothing"),
    "no running variance": (put("running_var", None, 2), "as running_var of .* at 2, found nothing"),
    "another size": (put("bias", t7.tensor(np.ones(3)), 1), "expected size 2 of bias of .* at 1, found 3"),
    "an empty tensor": (put("weight", t7.Tensor("Float"), 1), "expected size any x 3 x 7 x 7 of weight .* found 0"),
    "a text for a tensor": (put("weight", "none", 1), "found a string"),
    "NaN": (spoil("weight", np.nan, *BLOCK, 6), "expected finite numbers in weight of .* at 8.2.* nan and 0"),
    "infinity": (spoil("running_mean", np.inf, 2), "expected finite numbers in running_mean .* at 2, found inf"),
    "a negative variance": (spoil("running_var", -1, 2), "expected positive finite numbers in running_var .* -1"),
    "no modules": (put("modules", None, 12, 1), "expected 4 modules in Sequential at 12.1, found 0"),
    "a number for a module": (lambda root: root.fields["modules"].__setitem__(2, 7.0), "ReLU at 3, found a number"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(WRONG))
def test_another_network_is_refused_with_place_expected_and_found(tmp_path: Path, name: str) -> None:
    change, message = WRONG[name]
    root: Any = Maker(Sizes(), seed=6).network()
    if change:
        change(root)
    path = t7.save(tmp_path / "wrong.t7", root if change else [root])
    with pytest.raises(WeightsError, match=message) as caught:
        import_official(path, tmp_path / "out.safetensors")
    assert str(path) in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["wrong.t7"]


def test_a_network_that_contains_itself_ends_in_an_error(tmp_path: Path) -> None:
    root = Maker(Sizes(), seed=6).network()
    branch = at(root, 8, 2, 1, 1)
    nested = t7.Instance("nn.Sequential", {"modules": at(root, 8, 2).fields["modules"][:3]})
    branch.fields["modules"][3] = nested
    with pytest.raises(WeightsError, match="expected 3 residual blocks at"):
        read_official(t7.save(tmp_path / "endless.t7", root))


@pytest.mark.parametrize("bn", ["batch", "running"])
def test_an_imported_network_loads_like_any_other(tmp_path: Path, bn: str) -> None:
    root = Maker(Sizes(outputs=8), seed=7).network()
    target = tmp_path / "weights" / "official.safetensors"
    done = import_official(t7.save(tmp_path / "net.t7", root), target, bn=bn)
    assert done.sha256 == hash_of(target) == verify(target)
    assert f"{done.sha256}  official.safetensors" in (target.parent / MANIFEST).read_text()
    assert [file.name for file in target.parent.iterdir() if file.name.startswith(".")] == []
    loaded = load_network(target)
    assert loaded.config["bn"] == bn
    assert loaded.metrics["parameters"] == done.size
    crop = np.random.default_rng(8).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    field = loaded.field(crop)
    assert field.grid == replace(Grid.paper(), shape=(8, 192, 192))
    x = crop.transpose(2, 0, 1)[None].astype(np.float64) / 255
    (expected,) = evaluate(root, x, batch_statistics=bn == "batch")
    np.testing.assert_allclose(field.values, expected[0], atol=2e-4)


def test_fp16_halves_the_convolutions_and_keeps_the_statistics(tmp_path: Path) -> None:
    root = Maker(Sizes(), seed=9).network()
    at(root, 2).fields["running_var"].storage.elements[:] = 1e6  # more than fp16 holds
    source = t7.save(tmp_path / "net.t7", root)
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    import_official(source, whole)
    import_official(source, half, half=True)
    header = json.loads(half.read_bytes()[8 : 8 + struct.unpack("<Q", half.read_bytes()[:8])[0]])
    assert {name: entry["dtype"] for name, entry in header.items() if "norm1" in name or "conv1.weight" in name} == {
        name: "F16" if name.endswith("conv1.weight") else "F32"
        for name in header
        if "norm1" in name or "conv1.weight" in name
    }
    tensors = {path: load(path).tensors for path in (whole, half)}
    for name, tensor in tensors[whole].items():
        torch.testing.assert_close(tensors[half][name], tensor, rtol=1e-3, atol=1e-6)


def test_fp16_refuses_what_does_not_fit(tmp_path: Path) -> None:
    root = Maker(Sizes(), seed=9).network()
    spoil("weight", 70_000, 1)(root)
    with pytest.raises(WeightsError, match="70000 does not fit fp16"):
        import_official(t7.save(tmp_path / "net.t7", root), tmp_path / "half.safetensors", half=True)
    assert not (tmp_path / "half.safetensors").exists()


def test_a_failed_import_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "official.safetensors"
    import_official(t7.save(tmp_path / "net.t7", Maker(Sizes()).network()), target)
    before = target.read_bytes()
    (tmp_path / "net.t7").write_bytes((tmp_path / "net.t7").read_bytes()[:-50])
    with pytest.raises(WeightsError):
        import_official(tmp_path / "net.t7", target)
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    "values",
    [{"bn": "none"}, {"width": 0}, {"eps": -1}, {"blocks": []}, {"blocks": 3}, {"width": "wide"}, {"depth": 4}],
    ids=str,
)
def test_configurations_that_make_no_network_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(WeightsError):
        OfficialConfig.of(OfficialConfig().to_dict() | values)


def test_a_configuration_survives_its_json() -> None:
    config = OfficialConfig(stem=2, blocks=(3, 1), bn="running")
    assert OfficialConfig.of(json.loads(json.dumps(config.to_dict()))) == config
