"""Constants of a graph are computed when it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from selfie3d_training.fold import fold

TWO = numpy_helper.from_array(np.array([2.0], np.float32))


def graph(*nodes: NodeProto) -> ModelProto:
    """x (2,) and the weights w (2,) to y."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    weights = [numpy_helper.from_array(np.array([3.0, 5.0], np.float32), "w")]
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(helper.make_graph([*nodes], "test", ends[:1], ends[1:], weights), opset_imports=opset)


def constant(name: str) -> NodeProto:
    return helper.make_node("Constant", [], [name], value=TWO)


def node(kind: str, *names: str) -> NodeProto:
    """The last name is that of the answer."""
    return helper.make_node(kind, names[:-1], names[-1:])


def kinds(model: ModelProto) -> list[str]:
    return [each.op_type for each in model.graph.node]


def test_what_depends_on_no_input_and_no_weight_is_computed() -> None:
    nodes = constant("a"), node("Sqrt", "a", "b"), node("Mul", "w", "b", "c"), node("Add", "x", "c", "y")
    model = graph(*nodes)
    fold(model)
    onnx.checker.check_model(model, full_check=True)
    assert kinds(model) == ["Mul", "Add"]
    found: list[Any] = list(ReferenceEvaluator(model).run(None, {"x": np.ones(2, np.float32)}))
    np.testing.assert_allclose(found[0], 1 + np.array([3.0, 5.0]) * np.sqrt(2.0), rtol=1e-6)


def test_equal_constants_are_kept_once() -> None:
    model = graph(constant("a"), constant("b"), node("Add", "x", "a", "c"), node("Mul", "c", "b", "y"))
    fold(model)
    onnx.checker.check_model(model, full_check=True)
    assert [each.name for each in model.graph.initializer] == ["w", "a"]


def test_random_numbers_are_drawn_in_every_run() -> None:
    drawn = helper.make_node("RandomNormal", [], ["a"], shape=[2])
    model = graph(drawn, node("Add", "x", "a", "y"))
    fold(model)
    assert kinds(model) == ["RandomNormal", "Add"]
