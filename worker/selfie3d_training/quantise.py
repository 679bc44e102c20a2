"""Layers of a graph in whole numbers of 8 bits (Jacob et al. 2018; per channel: Krishnamoorthi 2018).

What goes into a convolution and what comes out of it is rounded to 256 steps of a measured range, its weights to 127
steps of their channel's own. The weights stay those of the weights file: the graph only says how they are rounded,
and ONNX Runtime does it once, when it opens the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

STEPS = 63  # of a weight, either way: with 7 bits no core without VNNI overflows the sum of two products in 16
LEVELS = 255  # of what flows between layers
LEAST = 1e-8  # step of what is always 0
OPSET = 21  # the first whose rounding has a type and no zero

Range = tuple[float, float]


@dataclass(frozen=True)
class Layer:
    """A convolution whose weights lie in the weights file.

    Attributes
    ----------
    node : the convolution
    data : name of what goes in
    answer : name of what comes out, behind the ReLU if there is one
    """

    node: NodeProto
    data: str
    answer: str

    @property
    def weight(self) -> str:
        return str(self.node.input[1])


def layers(model: ModelProto, single: Collection[str]) -> Iterator[Layer]:
    """Those to be rounded, in the order they run. single : weights of layers that are not."""
    constants = {each.name for each in model.graph.initializer if each.data_location != TensorProto.EXTERNAL}
    users: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1] not in constants and node.input[1].split("/")[0] not in single:
            after = users.get(node.output[0], [])
            rectified = len(after) == 1 and after[0].op_type == "Relu"
            yield Layer(node, node.input[0], after[0].output[0] if rectified else node.output[0])


def quantise(model: ModelProto, ranges: Mapping[str, Range], single: Collection[str] = ()) -> None:
    """Round the layers of a model, in place. Its norms are merged already.

    ranges : least and most of the data and the answer of every layer, by name
    """
    chosen = list(layers(model, single))
    flows = {name for layer in chosen for name in (layer.data, layer.answer)}
    answers = {layer.answer for layer in chosen}
    rounded = _Rounded(model, ranges)
    for layer in chosen:
        rounded.weights_of(layer)
    nodes = [
        *rounded.nodes,
        *(step for each in model.graph.input if each.name in flows for step in rounded.flow(each.name)),
    ]
    by_output = {layer.node.output[0]: layer for layer in chosen}
    for node in model.graph.node:
        if node.output[0] in by_output:
            node.input[:] = rounded.inputs_of(by_output[node.output[0]])
        else:
            node.input[:] = [_real(name) if name in answers else name for name in node.input]
        nodes.append(node)
        for name in node.output:
            nodes += rounded.flow(name) if name in flows else []
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.opset_import[0].version = OPSET  # which changes none of the other operations


class _Rounded:
    """The nodes that round.

    Attributes
    ----------
    nodes : those of the weights, which depend on no input
    """

    def __init__(self, model: ModelProto, ranges: Mapping[str, Range]) -> None:
        self._model, self._ranges = model, ranges
        self.nodes: list[NodeProto] = []
        self._known: set[str] = set()
        for name, value in (("steps", np.float32(STEPS)), ("least", np.float32(LEAST)), ("axes", np.array([1, 2, 3]))):
            self._constant(f"int8/{name}", value)

    def weights_of(self, layer: Layer) -> None:
        """Round the weight and the bias of a layer, once for all of its runs."""
        weight = layer.weight
        if self._is_new(weight):
            self._step("Abs", [weight], f"{weight}/size")
            self._step("ReduceMax", [f"{weight}/size", "int8/axes"], f"{weight}/largest", keepdims=0)
            self._step("Max", [f"{weight}/largest", "int8/least"], f"{weight}/most")
            self._step("Div", [f"{weight}/most", "int8/steps"], f"{weight}/step")
            self._step(
                "QuantizeLinear", [weight, f"{weight}/step"], f"{weight}/int8", axis=0, output_dtype=TensorProto.INT8
            )
            self._step("DequantizeLinear", [f"{weight}/int8", f"{weight}/step"], _real(weight), axis=0)
        for bias in layer.node.input[2:]:
            of = f"{bias}/{layer.data}"
            if self._is_new(of):
                self._scale(layer.data)
                self._step("Mul", [f"{weight}/step", f"{layer.data}/step"], f"{of}/step")
                self._step("Div", [bias, f"{of}/step"], f"{of}/steps")
                self._step("Round", [f"{of}/steps"], f"{of}/whole")
                self._step("Cast", [f"{of}/whole"], f"{of}/int32", to=TensorProto.INT32)
                self._step("DequantizeLinear", [f"{of}/int32", f"{of}/step"], _real(of), axis=0)

    def inputs_of(self, layer: Layer) -> list[str]:
        """The rounded data, weight and bias."""
        return [
            _real(layer.data),
            _real(layer.weight),
            *(_real(f"{bias}/{layer.data}") for bias in layer.node.input[2:]),
        ]

    def flow(self, name: str) -> list[NodeProto]:
        """Nodes that round what flows under this name."""
        self._scale(name)
        scale = [f"{name}/step", f"{name}/zero"]
        return [
            helper.make_node("QuantizeLinear", [name, *scale], [f"{name}/uint8"]),
            helper.make_node("DequantizeLinear", [f"{name}/uint8", *scale], [_real(name)]),
        ]

    def _scale(self, name: str) -> None:
        if self._is_new(f"{name}/step"):
            least, most = (float(each) for each in self._ranges[name])
            least, most = min(least, 0.0), max(most, 0.0)  # 0 is exact, for the sake of padding
            step = max((most - least) / LEVELS, LEAST)
            self._constant(f"{name}/step", np.float32(step))
            self._constant(f"{name}/zero", np.uint8(round(-least / step)))

    def _is_new(self, name: str) -> bool:
        new = name not in self._known
        self._known.add(name)
        return new

    def _constant(self, name: str, value: Any) -> None:
        self._model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))

    def _step(self, kind: str, inputs: list[str], output: str, **more: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], **more))


def _real(name: str) -> str:
    """What a rounded number stands for."""
    return f"{name}/rounded"
