"""ONNX Runtime computes what torch computes, from the same file of weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from selfie3d_training.graph import graph_of, write_graph
from tests.photos import astronaut
from vrn import Reconstructor
from vrn.avatar.model import load_model
from vrn.engine import Engine, choose, open_graph
from vrn.engine import choice as engine_choice
from vrn.engine.torch_graph import FAMILIES
from vrn.errors import BackendMissingError, WeightsError
from vrn.finder.config import LANDMARKS
from vrn.network.config import HourglassConfig
from vrn.network.guided_load import constants_of
from vrn.network.hourglass import Hourglass
from vrn.weights import file as weights
from vrn.weights.store import FOLDER, GRAPH_SUFFIX, SUFFIX

pytestmark = pytest.mark.slow  # each test runs whole networks

BUNDLED = sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))
SMALL = HourglassConfig(stem=4, widths=(6, 8), bottom=1, lateral=6)
Singles = NDArray[np.float32]


def noise(*shape: int) -> Singles:
    return np.random.default_rng(0).random(shape, np.float32)


def face() -> Singles:
    """Landmarks whose eyes are apart."""
    return noise(1, LANDMARKS, 3) - np.where(np.arange(LANDMARKS) < 42, 0.8, 0.2)[:, None].astype(np.float32)


def guide() -> list[Singles]:
    """A head in the middle of its crop."""
    place = np.array([[95.5, -95.5, 95.5]], np.float32)
    return [np.full(1, 6.4, np.float32), np.eye(3, dtype=np.float32)[None], place, np.zeros((1, 145), np.float32)]


INPUTS: dict[str, Callable[[], list[Singles]]] = {
    "default": lambda: [noise(2, 3, 192, 192)],
    "finder-aligner": lambda: [noise(3, 3, 147, 147) * 255],
    "finder-dense": lambda: [noise(1, 3, 205, 205) * 255, face()],
    "finder-detector": lambda: [noise(1, 3, 160, 272) * 255],
    "head": lambda: [noise(1, 3, 192, 192), noise(1, 5, 96, 96), *guide()],
}


def constants(name: str) -> tuple[NDArray[Any], ...]:
    return constants_of(load_model()) if name == "head" else ()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Weights of the user's own, without a graph."""
    path = tmp_path / "own.safetensors"
    weights.write(path, SMALL.to_dict(), Hourglass(SMALL).state_dict())
    return path


@pytest.mark.parametrize("name", BUNDLED)
def test_onnx_runtime_computes_what_torch_computes(name: str) -> None:
    engines = (choose("onnx", "cpu"), choose("torch", "cpu"))
    ours, reference = (open_graph(name, tuple(FAMILIES), engine, constants(name)) for engine in engines)
    assert (ours.engine, reference.engine) == ("onnx", "torch")
    assert (ours.config, ours.metrics, ours.sha256) == (reference.config, reference.metrics, reference.sha256)
    for found, expected in zip(ours.run(*INPUTS[name]()), reference.run(*INPUTS[name]()), strict=True):
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_graph_is_the_one_that_the_network_of_the_weights_has(name: str) -> None:
    path = FOLDER / f"{name}{SUFFIX}"
    assert graph_of(weights.load(path)) == path.with_suffix(GRAPH_SUFFIX).read_bytes(), "write it again"


@pytest.mark.parametrize("name", BUNDLED)
def test_a_graph_holds_no_weights(name: str) -> None:
    loaded = weights.load(FOLDER / f"{name}{SUFFIX}")
    model = onnx.load(FOLDER / f"{name}{GRAPH_SUFFIX}", load_external_data=False)
    held = {tensor.name for tensor in model.graph.initializer if tensor.data_location != onnx.TensorProto.EXTERNAL}
    assert held.isdisjoint(loaded.arrays)
    assert {tensor.name for tensor in model.graph.initializer} - held == set(loaded.arrays)
    assert not any(tensor.raw_data for tensor in model.graph.initializer if tensor.name not in held)


@pytest.mark.parametrize("name", BUNDLED)
def test_onnx_runtime_holds_every_weight_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "held.onnx")
    monkeypatch.setattr(onnxruntime, "SessionOptions", lambda: options)
    open_graph(name, tuple(FAMILIES), choose("onnx", "cpu"), constants(name))
    held = onnx.load(tmp_path / "held.onnx").graph.initializer
    size = sum(numpy_helper.to_array(tensor).nbytes for tensor in held)
    weighs = sum(array.nbytes for array in weights.load(FOLDER / f"{name}{SUFFIX}").arrays.values())
    assert size < 1.02 * weighs


def test_meshes_of_both_engines_lie_on_one_another() -> None:
    ours, reference = (
        Reconstructor.open(device="cpu", engine=engine).reconstruct(astronaut()).faces[0]
        for engine in ("onnx", "torch")
    )
    assert np.array_equal(ours.mesh.triangles, reference.mesh.triangles)
    voxel = float(np.linalg.norm(reference.mesh.size_mm)) / 400  # a head has some 230 voxels from corner to corner
    away = np.linalg.norm(ours.mesh.vertices - reference.mesh.vertices, axis=1)
    assert np.quantile(away, 0.999) < 0.05 * voxel
    assert np.abs(ours.mesh.colours.astype(int) - reference.mesh.colours).mean() < 0.1


def test_both_engines_find_the_same_face() -> None:
    ours, reference = (
        Reconstructor.open(device="cpu", engine=engine).reconstruct(astronaut(), extent="face").faces[0]
        for engine in ("onnx", "torch")
    )
    assert ours.box == pytest.approx(reference.box, abs=1e-3)
    assert ours.score == pytest.approx(reference.score, abs=1e-5)


def test_the_same_photo_gives_the_same_bytes_with_any_number_of_threads() -> None:
    picture = INPUTS["default"]()
    one, two = (open_graph("default", ("hourglass",), Engine("onnx", threads=count)) for count in (1, 2))
    assert np.array_equal(one.run(*picture)[0], two.run(*picture)[0])


def test_weights_without_a_graph_run_with_torch_unless_onnx_is_insisted_on(own: Path) -> None:
    assert open_graph(own, ("hourglass",)).engine == "torch"
    with pytest.raises(WeightsError, match=r"no own\.onnx lies beside own\.safetensors"):
        open_graph(own, ("hourglass",), choose("onnx"))
    write_graph(own)
    picture = noise(1, 3, 192, 192)
    ours, reference = (open_graph(own, ("hourglass",), choose(name, "cpu")) for name in ("onnx", "torch"))
    np.testing.assert_allclose(ours.run(picture)[0], reference.run(picture)[0], atol=1e-4, rtol=0)


def test_weights_without_a_graph_name_the_extra_where_there_is_no_torch(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendMissingError, match=r"own\.safetensors runs.*pip install '\.\[worker-torch\]'"):
        open_graph(own, ("hourglass",))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"stem": 5}, "does not fit|another network"), ({"ahead": 3.0}, "another network")],
)
def test_the_graph_of_another_network_is_refused(own: Path, change: dict[str, Any], message: str) -> None:
    write_graph(own)
    other = HourglassConfig.of(SMALL.to_dict() | change)
    weights.write(own, other.to_dict(), Hourglass(other).state_dict())
    with pytest.raises(WeightsError, match=message):
        open_graph(own, ("hourglass",))


def test_a_graph_that_is_damaged_is_refused(own: Path) -> None:
    graph = write_graph(own)
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(WeightsError, match=r"own\.onnx is damaged"):
        open_graph(own, ("hourglass",))
    (own.parent / weights.MANIFEST).unlink()
    graph.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"own\.onnx does not fit"):
        open_graph(own, ("hourglass",))


def test_the_official_network_has_no_graph(tmp_path: Path) -> None:
    weights.write(tmp_path / "official.safetensors", {"family": "official"}, {})
    with pytest.raises(WeightsError, match="expected weights of the family"):
        write_graph(tmp_path / "official.safetensors")


class TestChoose:
    """What `choose` takes, by what is installed."""

    @pytest.fixture(autouse=True)
    def no_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine_choice, "DRIVERS", ())

    @pytest.mark.parametrize(
        ("name", "device", "absent", "expected"),
        [
            ("auto", "auto", [], Engine("onnx")),
            ("auto", "cpu", [], Engine("onnx")),
            ("auto", "auto", ["onnxruntime"], Engine("torch")),
            ("auto", "auto", ["torch"], Engine("onnx")),
            ("onnx", "auto", [], Engine("onnx", strict=True)),
            ("torch", "auto", [], Engine("torch", strict=True)),
            ("torch", "cuda:1", [], Engine("torch", "cuda:1", strict=True, half=True)),
            ("auto", "cuda", ["onnxruntime"], Engine("torch", "cuda", half=True)),
        ],
    )
    def test_by_name_and_device(
        self, monkeypatch: pytest.MonkeyPatch, name: str, device: str, absent: list[str], expected: Engine
    ) -> None:
        for package in absent:
            monkeypatch.setitem(sys.modules, package, None)
        assert choose(name, device) == expected

    def test_a_gpu_that_torch_sees_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine_choice, "DRIVERS", (None,))  # which loads this program: there is a driver
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        assert choose() == Engine("torch", "cuda", half=True)
        assert choose("torch") == Engine("torch", "cuda", strict=True, half=True)
        assert choose("onnx") == Engine("onnx", strict=True)

    @pytest.mark.parametrize(
        ("name", "device", "absent", "extra"),
        [
            ("auto", "auto", ["onnxruntime", "torch"], "worker"),
            ("onnx", "cpu", ["onnxruntime"], "worker"),
            ("torch", "cpu", ["torch"], "worker-torch"),
            ("auto", "cuda", ["torch"], "worker-torch"),
        ],
    )
    def test_what_is_missing_is_named_with_its_extra(
        self, monkeypatch: pytest.MonkeyPatch, name: str, device: str, absent: list[str], extra: str
    ) -> None:
        for package in absent:
            monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(BackendMissingError) as error:
            choose(name, device)
        assert str(error.value) == f"{absent[0]} is not installed: run `pip install '.[{extra}]'`"

    @pytest.mark.parametrize(
        ("device", "precision", "half"),
        [("cpu", "auto", False), ("cpu", "half", True), ("cuda", "auto", True), ("cuda", "single", False)],
    )
    def test_precision(self, device: str, precision: str, half: bool) -> None:
        assert choose("torch", device, precision=precision).half is half

    def test_a_precision_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(ValueError, match="expected auto or single or half, found 'double'"):
            choose("torch", precision="double")
        with pytest.raises(ValueError, match="the engine onnx computes in single precision"):
            choose("onnx", precision="half")

    def test_onnx_on_a_gpu_and_unknown_names_are_refused(self) -> None:
        with pytest.raises(ValueError, match="runs on the CPU, not on cuda"):
            choose("onnx", "cuda")
        with pytest.raises(ValueError, match="expected auto or onnx or torch, found 'tensorrt'"):
            choose("tensorrt")


def test_torch_on_a_gpu_that_is_not_there_says_so_itself() -> None:
    with pytest.raises(BackendMissingError) as error:
        open_graph("default", ("hourglass", "guided"), Engine("torch", "cuda:99"))
    assert str(error.value).startswith("torch sees no GPU for the device cuda:99: ")
