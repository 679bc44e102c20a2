"""Constants of a graph, computed when it is written instead of whenever it is opened.

The tracer writes what it is told step by step: the number 3 is a node, and a row of three zeros is four of them. Three
quarters of the nodes are of that kind, and ONNX Runtime looks at each of them in every pass of its optimiser.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = NDArray[Any]
Constants = dict[str, Array]
DRAWN = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")  # operations with no fixed answer


def fold(model: ModelProto) -> None:
    """Replace the nodes that depend on no input and no weight by what they compute, in place; equal ones by one."""
    known: Constants = {}
    left = [node for node in model.graph.node if not _computed(node, known, model)]
    del model.graph.node[:]
    model.graph.node.extend(left)
    _keep(model, known, {name for node in left for name in node.input} | {each.name for each in model.graph.output})


def _computed(node: NodeProto, known: Constants, model: ModelProto) -> bool:
    """Compute a node of known inputs, and know its outputs."""
    inputs = [name for name in node.input if name]
    if node.op_type in DRAWN or not all(name in known for name in inputs):
        return False
    known.update(zip(node.output, _run(node, {name: known[name] for name in inputs}, model), strict=True))
    return True


def _run(node: NodeProto, inputs: Constants, model: ModelProto) -> list[Array]:
    wanted = [_described(name, array) for name, array in inputs.items()]
    answers = [helper.make_value_info(name, helper.make_tensor_type_proto(0, None)) for name in node.output]
    graph = helper.make_graph([node], "constant", wanted, answers)
    evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=model.opset_import))
    return [np.asarray(answer) for answer in evaluator.run(None, inputs)]


def _described(name: str, array: Array) -> Any:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _keep(model: ModelProto, known: Constants, wanted: Iterable[str]) -> None:
    """Put the constants that are still asked for into the graph."""
    first: dict[tuple[Any, ...], str] = {}
    same = {}
    for name in (each for each in known if each in wanted):
        array = known[name]
        same[name] = first.setdefault((array.dtype.str, array.shape, array.tobytes()), name)
    model.graph.initializer.extend(_stored(name, known[name]) for name in first.values())
    for node in model.graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]


def _stored(name: str, array: Array) -> TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
