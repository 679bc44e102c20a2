"""Convolutions of a graph are computed in whole numbers of 8 bits, from weights that stay outside of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from selfie3d_training.graph import watched_graph_of
from selfie3d_training.quantise import STEPS, Range, layers, quantise
from selfie3d_training.ranges import WatchedGraph
from vrn.engine import choose, open_graph
from vrn.weights import read
from vrn.weights.store import bundled

Array = NDArray[Any]
CHANNELS = 4


def network(runs: int = 1) -> ModelProto:
    """x through so many runs of one convolution with a ReLU, then through another convolution, to y."""
    rng = np.random.default_rng(0)
    nodes, last = [], "x"
    for run in range(runs):
        nodes.append(helper.make_node("Conv", [last, "a.weight", "a.bias"], [f"a{run}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"a{run}"], [f"r{run}"]))
        last = f"r{run}"
    nodes.append(helper.make_node("Conv", [last, "b.weight"], ["y"], pads=[1] * 4))
    shapes = {"a.weight": (CHANNELS, CHANNELS, 3, 3), "a.bias": (CHANNELS,), "b.weight": (CHANNELS, CHANNELS, 3, 3)}
    weights = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", CHANNELS, 5, 5]) for name in "xy"]
    graph = helper.make_graph(nodes, "test", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def outside(model: ModelProto) -> ModelProto:
    """The same, whose weights count as lying in a weights file."""
    for tensor in model.graph.initializer:
        tensor.data_location = TensorProto.EXTERNAL
    return model


def inside(model: ModelProto) -> ModelProto:
    for tensor in model.graph.initializer:
        tensor.data_location = TensorProto.DEFAULT
    return model


def pictures() -> Array:
    return np.random.default_rng(1).normal(size=(2, CHANNELS, 5, 5)).astype(np.float32)


def values(model: ModelProto, x: Array) -> dict[str, Array]:
    """Everything that flows through a model."""
    whole = ModelProto.FromString(model.SerializeToString())
    names = [name for node in model.graph.node for name in node.output if name != "y"]
    whole.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    found: list[Any] = list(ReferenceEvaluator(whole).run(None, {"x": x}))
    return dict(zip(["y", *names], found, strict=True)) | {"x": x}


def ranges_of(model: ModelProto) -> dict[str, Range]:
    return {name: (float(each.min()), float(each.max())) for name, each in values(model, pictures()).items()}


@pytest.mark.parametrize("runs", [1, 3])
def test_answers_are_those_of_the_network_but_for_the_rounding(runs: int) -> None:
    model = network(runs)
    expected, ranges = values(model, pictures())["y"], ranges_of(model)
    quantise(outside(model), ranges)
    onnx.checker.check_model(inside(model), full_check=True)
    found = values(model, pictures())["y"]
    assert not np.array_equal(found, expected)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max() * (1 + runs)


def test_a_layer_that_runs_several_times_has_its_weight_rounded_once() -> None:
    model = network(runs=3)
    quantise(outside(model), ranges_of(network(runs=3)))
    kinds = [node.op_type for node in model.graph.node]
    flows = ["x", "r0", "r1", "r2", "y"]
    assert kinds.count("QuantizeLinear") == len(flows) + len(["a.weight", "b.weight"])


def test_weights_take_127_steps_of_their_channel() -> None:
    model = network()
    quantise(outside(model), ranges_of(network()))
    found = values(inside(model), pictures())
    for name in ("a.weight", "b.weight"):
        assert found[f"{name}/int8"].dtype == np.int8
        assert np.array_equal(np.abs(found[f"{name}/int8"]).max((1, 2, 3)), [STEPS] * CHANNELS)


def test_nothing_stays_nothing() -> None:
    """Padding, and what a ReLU has cut off."""
    ranges = ranges_of(network())
    ranges["x"] = (-0.7, 1.9)
    model = network()
    quantise(outside(model), ranges)
    found = values(inside(model), np.zeros((1, CHANNELS, 5, 5), np.float32))
    assert not found["x/rounded"].any()


def test_layers_that_are_to_stay_single_and_those_of_constants_are_left_out() -> None:
    model = outside(network())
    assert [layer.weight for layer in layers(model, ())] == ["a.weight", "b.weight"]
    assert [(layer.data, layer.answer) for layer in layers(model, ("b.weight",))] == [("x", "r0")]
    assert not list(layers(inside(model), ()))


@pytest.mark.slow
def test_a_watched_network_answers_as_ever_and_notes_what_flows_through_it() -> None:
    path = bundled("finder-detector")
    watched, plain = WatchedGraph(path), open_graph(path, ("face-detector",), choose("onnx", precision="single"))
    rng = np.random.default_rng(0)
    runs = [(rng.random((1, 3, 64, 96)) * scale).astype(np.float32) for scale in (100, 255)]
    for picture in runs:
        np.testing.assert_allclose(watched.run(picture)[0], plain.run(picture)[0], atol=1e-4)
    _, names = watched_graph_of(read.load(path))
    assert set(watched.ranges) == set(names)
    assert len(watched.run(runs[0])) == len(plain.run(runs[0]))
    rectified = [name for name in names if "relu" in name.lower()]
    assert rectified
    assert all(watched.ranges[name][0] >= 0 for name in rectified)
    before = dict(watched.ranges)
    watched.run(np.zeros((1, 3, 64, 96), np.float32))
    assert all(watched.ranges[name][1] >= before[name][1] for name in names)
