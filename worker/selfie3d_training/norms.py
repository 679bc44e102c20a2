"""Batch norms put into the weights of the convolutions before them.

ONNX Runtime does so itself, but for each run of a layer on its own, and then keeps a copy of the weights for each, and
not where the weights are rounded. Here the new weights are nodes of the graph, which it computes once, when it opens
the graph.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

EPSILON = 1e-5  # of a norm that names none


def share(model: ModelProto) -> None:
    """Give all runs of a layer, a convolution and its norm, one weight and one bias, in place, where it has several."""
    merge(model, least_runs=2)


def merge(model: ModelProto, least_runs: int = 1) -> None:
    """Give every layer that runs so often one weight and one bias for its convolution and its norm, in place."""
    norms, known = _norms(model, least_runs), set[str]()
    left = []
    for node in model.graph.node:
        if node.op_type == "BatchNormalization" and node.input[0] in norms:
            continue
        norm = norms.get(node.output[0])
        if norm:
            layer = f"{node.input[1]}/{norm.input[1]}"
            left += [] if layer in known else _merged(model, layer, node.input[1], norm)
            known.add(layer)
            node.input[1:], node.output[:] = [f"{layer}/merged", f"{layer}/bias"], norm.output
        left.append(node)
    del model.graph.node[:]
    model.graph.node.extend(left)


def _norms(model: ModelProto, least_runs: int) -> dict[str, NodeProto]:
    """The norms behind convolutions whose weights have so many users, by what they norm."""
    uses = Counter(name for node in model.graph.node for name in node.input)
    runs = {
        node.output[0]
        for node in model.graph.node
        if node.op_type == "Conv"
        and len(node.input) == 2
        and uses[node.input[1]] >= least_runs
        and uses[node.output[0]] == 1
    }
    norms = (node for node in model.graph.node if node.op_type == "BatchNormalization")
    return {node.input[0]: node for node in norms if node.input[0] in runs}


def _merged(model: ModelProto, layer: str, weight: str, norm: NodeProto) -> list[NodeProto]:
    """Nodes that compute the layer's new weight and bias."""
    _, gamma, beta, mean, variance = norm.input
    epsilon = next((each.f for each in norm.attribute if each.name == "epsilon"), EPSILON)
    for name, value in (("epsilon", np.float32(epsilon)), ("shape", np.array([-1, 1, 1, 1]))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{layer}/{name}"))
    steps = (
        ("Add", variance, f"{layer}/epsilon", "raised"),
        ("Sqrt", f"{layer}/raised", "", "spread"),
        ("Div", gamma, f"{layer}/spread", "scale"),
        ("Reshape", f"{layer}/scale", f"{layer}/shape", "scales"),
        ("Mul", weight, f"{layer}/scales", "merged"),
        ("Mul", mean, f"{layer}/scale", "shift"),
        ("Sub", beta, f"{layer}/shift", "bias"),
    )
    return [
        helper.make_node(kind, [first, second] if second else [first], [f"{layer}/{name}"])
        for kind, first, second, name in steps
    ]
