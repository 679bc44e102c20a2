"""A layer that runs twice keeps one weight for both runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from selfie3d_training.norms import share

CHANNELS = 3


def network(*layers: str, epsilon: float | None = 1e-3) -> ModelProto:
    """x (n, 3, 5, 5) through layers of these names, each a convolution, its norm and a ReLU, to y."""
    rng = np.random.default_rng(0)
    shapes = {"weight": (CHANNELS, CHANNELS, 3, 3), **dict.fromkeys(("gamma", "beta", "mean", "variance"), (CHANNELS,))}
    weights = [
        numpy_helper.from_array(rng.uniform(0.5, 1.5, shape).astype(np.float32), f"{layer}.{name}")
        for layer in dict.fromkeys(layers)
        for name, shape in shapes.items()
    ]
    names = ["x", *(f"y{n}" for n in range(len(layers) - 1)), "y"]
    more: dict[str, Any] = {} if epsilon is None else {"epsilon": epsilon}
    nodes = []
    for before, after, layer in zip(names, names[1:], layers, strict=False):
        of = [f"{layer}.{name}" for name in shapes]
        nodes.append(helper.make_node("Conv", [before, of[0]], [f"{after}.conv"], pads=[1] * 4))
        nodes.append(helper.make_node("BatchNormalization", [f"{after}.conv", *of[1:]], [f"{after}.norm"], **more))
        nodes.append(helper.make_node("Relu", [f"{after}.norm"], [after]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", CHANNELS, 5, 5]) for name in "xy"]
    graph = helper.make_graph(nodes, "test", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def answer(model: ModelProto) -> NDArray[Any]:
    x = np.random.default_rng(1).normal(size=(2, CHANNELS, 5, 5)).astype(np.float32)
    found: list[Any] = list(ReferenceEvaluator(model).run(None, {"x": x}))
    return np.asarray(found[0])


def convolutions(model: ModelProto) -> list[list[str]]:
    """Weight and bias of each."""
    return [list(node.input[1:]) for node in model.graph.node if node.op_type == "Conv"]


def test_the_runs_of_a_layer_take_one_weight_that_is_computed_once() -> None:
    for epsilon in (1e-3, None):
        model = network("a", "b", "a", "b", "a", epsilon=epsilon)
        expected = answer(model)
        share(model)
        onnx.checker.check_model(model, full_check=True)
        first, second, *others = convolutions(model)
        assert first != second
        assert others == [first, second, first]
        kinds = [node.op_type for node in model.graph.node]
        assert (kinds.count("BatchNormalization"), kinds.count("Sqrt")) == (0, 2)
        np.testing.assert_allclose(answer(model), expected, rtol=1e-4)


def test_a_layer_that_runs_once_is_left_to_the_engine() -> None:
    model = network("a", "b")
    before = model.SerializeToString(deterministic=True)
    share(model)
    assert model.SerializeToString(deterministic=True) == before


def test_a_weight_under_two_norms_becomes_two() -> None:
    model = network("a", "b")
    for node in model.graph.node:
        node.input[:] = [name.replace("b.weight", "a.weight") for name in node.input]
    expected = answer(model)
    share(model)
    onnx.checker.check_model(model, full_check=True)
    first, second = convolutions(model)
    assert set(first).isdisjoint(second)
    np.testing.assert_allclose(answer(model), expected, rtol=1e-4)
