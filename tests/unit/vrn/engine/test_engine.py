"""ONNX Runtime computes what torch computes, from the same file of weights."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import trimesh
from numpy.typing import NDArray
from onnx import numpy_helper

from selfie3d_training.graph import FAMILIES as SHAPES
from selfie3d_training.graph import graph_of, int8_graph_of, ranges_of, write_graph
from selfie3d_training.quantise import layers
from tests.photos import astronaut
from vrn import Reconstructor
from vrn.avatar.model import load_model
from vrn.engine import Engine, choose, open_graph
from vrn.engine import choice as engine_choice
from vrn.engine.graph import INT8_SUFFIX
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
ROUNDED = ["default", "finder-dense", "finder-detector", "head"]  # not the aligner: selfie3d_training.ranges
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


def optimised(name: str, precision: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
    """What ONNX Runtime makes of a graph and its weights."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "held.onnx")
    monkeypatch.setattr(onnxruntime, "SessionOptions", lambda: options)
    open_graph(name, tuple(FAMILIES), choose("onnx", "cpu", precision=precision), constants(name))
    return onnx.load(folder / "held.onnx")


def unrounded(graph: bytes) -> bytes:
    """A graph without the nodes that round."""
    model = onnx.load_from_string(graph)
    makers = {name: node for node in model.graph.node for name in node.output}

    def exact(name: str) -> str:
        node = makers.get(name)
        if node is None or node.op_type != "DequantizeLinear":
            return name
        for kind in ("DequantizeLinear", "QuantizeLinear", "Cast", "Round", "Div"):  # a bias takes the last three
            if node.op_type == kind:
                name = node.input[0]
                node = makers.get(name, node)
        return exact(name)

    for node in model.graph.node:
        node.input[:] = [exact(name) for name in node.input]
    return bytes(model.SerializeToString())


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Weights of the user's own, without a graph."""
    path = tmp_path / "own.safetensors"
    weights.write(path, SMALL.to_dict(), Hourglass(SMALL).state_dict())
    return path


@pytest.mark.parametrize("name", BUNDLED)
def test_onnx_runtime_computes_what_torch_computes(name: str) -> None:
    engines = (choose("onnx", "cpu", precision="single"), choose("torch", "cpu"))
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


@pytest.mark.parametrize("name", ROUNDED)
def test_the_graph_of_8_bits_is_the_one_that_the_network_of_the_weights_has(name: str) -> None:
    path = FOLDER / f"{name}{SUFFIX}"
    graph = path.with_suffix(INT8_SUFFIX).read_bytes()
    assert int8_graph_of(weights.load(path), ranges_of(graph)) == graph, "write it again"


@pytest.mark.parametrize(
    ("name", "suffix"), [(name, GRAPH_SUFFIX) for name in BUNDLED] + [(name, INT8_SUFFIX) for name in ROUNDED]
)
def test_a_graph_holds_no_weights(name: str, suffix: str) -> None:
    loaded = weights.load(FOLDER / f"{name}{SUFFIX}")
    model = onnx.load(FOLDER / f"{name}{suffix}", load_external_data=False)
    held = {tensor.name for tensor in model.graph.initializer if tensor.data_location != onnx.TensorProto.EXTERNAL}
    assert held.isdisjoint(loaded.arrays)
    assert {tensor.name for tensor in model.graph.initializer} - held == set(loaded.arrays)
    assert not any(tensor.raw_data for tensor in model.graph.initializer if tensor.name not in held)


@pytest.mark.parametrize(
    ("name", "precision", "share"),
    [(name, "single", 1.02) for name in BUNDLED] + [(name, "int8", 0.45) for name in ROUNDED],
)
def test_onnx_runtime_holds_every_weight_once(
    name: str, precision: str, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = optimised(name, precision, tmp_path, monkeypatch).graph.initializer
    size = sum(numpy_helper.to_array(tensor).nbytes for tensor in held)
    weighs = sum(array.nbytes for array in weights.load(FOLDER / f"{name}{SUFFIX}").arrays.values())
    assert size < share * weighs


@pytest.mark.parametrize("name", ROUNDED)
def test_onnx_runtime_computes_the_rounded_layers_in_whole_numbers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, single = weights.load(FOLDER / f"{name}{SUFFIX}"), FOLDER / f"{name}{GRAPH_SUFFIX}"
    wanted = list(layers(onnx.load(single, load_external_data=False), SHAPES[loaded.config["family"]].single))
    kinds = [node.op_type for node in optimised(name, "int8", tmp_path, monkeypatch).graph.node]
    assert kinds.count("QLinearConv") == len(wanted) > 10


@pytest.mark.parametrize("name", ROUNDED)
def test_without_its_rounding_a_graph_of_8_bits_computes_what_torch_computes(name: str, tmp_path: Path) -> None:
    for suffix in (SUFFIX, INT8_SUFFIX):
        shutil.copy(FOLDER / f"{name}{suffix}", tmp_path / f"{name}{suffix.replace('.int8', '')}")
    path = tmp_path / f"{name}{SUFFIX}"
    path.with_suffix(GRAPH_SUFFIX).write_bytes(unrounded(path.with_suffix(GRAPH_SUFFIX).read_bytes()))
    ours = open_graph(path, tuple(FAMILIES), choose("onnx", "cpu"), constants(name))
    reference = open_graph(name, tuple(FAMILIES), choose("torch", "cpu"), constants(name))
    for found, expected in zip(ours.run(*INPUTS[name]()), reference.run(*INPUTS[name]()), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("options", [{"topology": "head"}, {"extent": "face"}])
def test_rounding_moves_no_surface_by_what_can_be_seen(options: dict[str, Any]) -> None:
    rounded, single = (
        Reconstructor.open(device="cpu", engine="onnx", precision=precision)
        .reconstruct(astronaut(), **options)
        .faces[0]
        .mesh
        for precision in ("int8", "single")
    )
    surface = trimesh.Trimesh(single.vertices, single.triangles, process=False)
    _, away, _ = trimesh.proximity.closest_point(surface, rounded.vertices[::10])
    assert 0 < away.mean() < 0.2  # mm; the surface itself is some 1.7 mm off
    assert np.quantile(away, 0.99) < 1.0


def test_meshes_of_both_engines_lie_on_one_another() -> None:
    ours, reference = (
        Reconstructor.open(device="cpu", engine=engine, precision="single").reconstruct(astronaut()).faces[0]
        for engine in ("onnx", "torch")
    )
    assert np.array_equal(ours.mesh.triangles, reference.mesh.triangles)
    voxel = float(np.linalg.norm(reference.mesh.size_mm)) / 400  # a head has some 230 voxels from corner to corner
    away = np.linalg.norm(ours.mesh.vertices - reference.mesh.vertices, axis=1)
    assert np.quantile(away, 0.999) < 0.05 * voxel
    assert np.abs(ours.mesh.colours.astype(int) - reference.mesh.colours).mean() < 0.1


def test_both_engines_find_the_same_face() -> None:
    ours, reference = (
        Reconstructor.open(device="cpu", engine=engine, precision="single")
        .reconstruct(astronaut(), extent="face")
        .faces[0]
        for engine in ("onnx", "torch")
    )
    assert ours.box == pytest.approx(reference.box, abs=1e-3)
    assert ours.score == pytest.approx(reference.score, abs=1e-5)


def test_the_same_photo_gives_the_same_bytes_with_any_number_of_threads() -> None:
    picture = INPUTS["default"]()
    one, two = (
        open_graph("default", ("hourglass",), Engine("onnx", threads=count, precision="int8")) for count in (1, 2)
    )
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
            ("auto", "auto", [], Engine("onnx", precision="int8")),
            ("auto", "cpu", [], Engine("onnx", precision="int8")),
            ("auto", "auto", ["onnxruntime"], Engine("torch")),
            ("auto", "auto", ["torch"], Engine("onnx", precision="int8")),
            ("onnx", "auto", [], Engine("onnx", strict=True, precision="int8")),
            ("torch", "auto", [], Engine("torch", strict=True)),
            ("torch", "cuda:1", [], Engine("torch", "cuda:1", strict=True, precision="half")),
            ("auto", "cuda", ["onnxruntime"], Engine("torch", "cuda", precision="half")),
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
        assert choose() == Engine("torch", "cuda", precision="half")
        assert choose("torch") == Engine("torch", "cuda", strict=True, precision="half")
        assert choose("onnx") == Engine("onnx", strict=True, precision="int8")

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
        ("name", "device", "precision", "expected"),
        [
            ("torch", "cpu", "auto", "single"),
            ("torch", "cpu", "half", "half"),
            ("torch", "cuda", "auto", "half"),
            ("torch", "cuda", "single", "single"),
            ("onnx", "cpu", "auto", "int8"),
            ("onnx", "cpu", "single", "single"),
            ("onnx", "cpu", "int8", "int8"),
        ],
    )
    def test_precision(self, name: str, device: str, precision: str, expected: str) -> None:
        assert choose(name, device, precision=precision).precision == expected

    def test_a_precision_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(ValueError, match="expected auto or single or half or int8, found 'double'"):
            choose("torch", precision="double")
        for name, precision in (("onnx", "half"), ("torch", "int8")):
            with pytest.raises(ValueError, match=f"the engine {name} does not compute in {precision}"):
                choose(name, precision=precision)

    def test_onnx_on_a_gpu_and_unknown_names_are_refused(self) -> None:
        with pytest.raises(ValueError, match="runs on the CPU, not on cuda"):
            choose("onnx", "cuda")
        with pytest.raises(ValueError, match="expected auto or onnx or torch, found 'tensorrt'"):
            choose("tensorrt")


def test_torch_on_a_gpu_that_is_not_there_says_so_itself() -> None:
    with pytest.raises(BackendMissingError) as error:
        open_graph("default", ("hourglass", "guided"), Engine("torch", "cuda:99"))
    assert str(error.value).startswith("torch sees no GPU for the device cuda:99: ")
