"""From a weights file to its graphs: the operations of the network in ONNX, without the weights.

ONNX Runtime puts the weights of the weights file into a graph when it opens it (`vrn.engine.onnx_graph`), so that
there is one file of them and no second one that could differ. One graph computes what torch computes. The other rounds
most layers to 8 bits, and carries the ranges that this takes.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto, TensorProto, helper
from torch import Tensor, nn

from selfie3d.types.atomic_file import write_atomically
from selfie3d.types.frames import CROP_SIZE
from selfie3d_training.fold import fold
from selfie3d_training.norms import merge, share
from selfie3d_training.quantise import Range, layers, quantise
from vrn.avatar.guide import COLUMNS, MAPS
from vrn.avatar.model import load_model
from vrn.engine.graph import INT8_SUFFIX
from vrn.engine.onnx_graph import CONFIG_KEY, WEIGHTS_KEY
from vrn.engine.torch_graph import as_run, build
from vrn.errors import WeightsError
from vrn.finder.config import ALIGNER, DENSE, DETECTOR, LANDMARKS
from vrn.network.config import FAMILY as HOURGLASS
from vrn.network.guided_config import FAMILY as GUIDED
from vrn.network.guided_load import constants_of
from vrn.weights import read
from vrn.weights.store import GRAPH_SUFFIX, record

OPSET = 20  # the first whose grid samples may be cubic
RANGES_KEY = "ranges"  # metadata of a graph that rounds: least and most of what flows between layers, JSON
WRAPPED = "network."  # where a pass has its network
BATCH = {0: "n"}


@dataclass(frozen=True)
class Shapes:
    """What the graphs of a family's network want to know.

    Attributes
    ----------
    inputs : examples by name
    outputs : names
    varying : which axes vary in length, by name of the input
    single : weights of the layers that are never rounded: the first and the last, and what costs the most accuracy
    """

    inputs: Callable[[], dict[str, Tensor]]
    outputs: tuple[str, ...]
    varying: Mapping[str, Mapping[int, str]]
    single: tuple[str, ...] = ()


def write_graph(path: Path) -> Path:
    """Write the graph of a weights file beside it, and its line of the manifest; the graph's path.

    Raises WeightsError for the official network, which runs with torch only.
    """
    return _write(graph_of(read.load(path)), path.with_suffix(GRAPH_SUFFIX))


def write_int8_graph(path: Path, ranges: Mapping[str, Range]) -> Path:
    """The same for the graph that rounds. ranges : of what flows between its layers"""
    return _write(int8_graph_of(read.load(path), ranges), path.with_suffix(INT8_SUFFIX))


def graph_of(loaded: read.Weights) -> bytes:
    """The graph of these weights; the same weights give the same bytes. Raises WeightsError as `write_graph`."""
    model = _folded(loaded)
    share(model)
    return _bytes(model)


def int8_graph_of(loaded: read.Weights, ranges: Mapping[str, Range]) -> bytes:
    """The graph of these weights that rounds; see `selfie3d_training.quantise`."""
    model = _merged(loaded)
    quantise(model, ranges, _shapes(loaded).single)
    model.metadata_props.add(key=RANGES_KEY, value=json.dumps(ranges))
    return _bytes(model)


def watched_graph_of(loaded: read.Weights) -> tuple[bytes, list[str]]:
    """A graph that answers what flows between its layers, too, and the names of it in the order of the answers."""
    model = _merged(loaded)
    flows = {name: None for layer in layers(model, _shapes(loaded).single) for name in (layer.data, layer.answer)}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in flows)
    return _bytes(model), list(flows)


def ranges_of(graph: bytes) -> dict[str, Range]:
    """The ranges that a graph carries."""
    metadata = {each.key: each.value for each in onnx.load_from_string(graph).metadata_props}
    return {name: (least, most) for name, (least, most) in json.loads(metadata[RANGES_KEY]).items()}


def _merged(loaded: read.Weights) -> ModelProto:
    model = _folded(loaded)
    merge(model)
    return model


def _folded(loaded: read.Weights) -> ModelProto:
    """The operations of a network; what depends on no weight is computed."""
    shapes = _shapes(loaded)
    model = _traced(as_run(build(loaded).eval().requires_grad_(False)), shapes)
    wanted = _without_weights(model, set(loaded.arrays))
    missing = sorted(set(loaded.arrays) - wanted)
    if missing:
        raise WeightsError(f"the graph does without the weights {', '.join(missing)}")
    fold(model)
    for key, value in ((CONFIG_KEY, loaded.config), (WEIGHTS_KEY, sorted(wanted))):
        model.metadata_props.add(key=key, value=json.dumps(value))
    return model


def _shapes(loaded: read.Weights) -> Shapes:
    family = loaded.config.get("family")
    if family not in FAMILIES:
        raise WeightsError(f"expected weights of the family {' or '.join(sorted(FAMILIES))}, found {family!r}")
    return FAMILIES[family]


def _write(graph: bytes, target: Path) -> Path:
    write_atomically(target, graph)
    record(target)
    return target


def _bytes(model: ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))


def _traced(module: nn.Module, shapes: Shapes) -> ModelProto:
    file, examples = io.BytesIO(), shapes.inputs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, which is old and says so; of shapes that it takes for constant
        torch.onnx.export(
            module,
            tuple(examples.values()),
            file,  # type: ignore[arg-type]  # the stubs know files by name only
            dynamo=False,
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,  # else norms are folded, and weights lose their names
            do_constant_folding=False,
            input_names=list(examples),
            output_names=list(shapes.outputs),
            dynamic_axes=dict(shapes.varying),
        )
    return onnx.load_from_string(file.getvalue())


def _without_weights(model: ModelProto, names: set[str]) -> set[str]:
    """Take the weights of these names out of a model, in place; those that were there."""
    found = set()
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix(WRAPPED)
        if name not in names:
            continue
        _rename(model, tensor.name, name)
        size = len(tensor.raw_data)
        tensor.name, tensor.data_location = name, TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
        for key, value in (("location", name), ("offset", "0"), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)
        found.add(name)
    return found


def _rename(model: ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new


def _picture() -> Tensor:
    return torch.rand(1, 3, CROP_SIZE, CROP_SIZE)


def _face() -> Tensor:
    """Landmarks in a patch: random ones, but the eyes are apart."""
    face = torch.rand(1, LANDMARKS, 3) - 0.5
    face[:, 36:42, 0] -= 0.3
    return face


def _head() -> dict[str, Tensor]:
    model = load_model()
    blocks = [f"{size}_{number}" for number in range(len(model.shapes.blocks)) for size in ("small", "large")]
    names = "neutral", "small_steps", "large_steps", *blocks
    return {
        "picture": _picture(),
        "maps": torch.rand(1, MAPS, COLUMNS, COLUMNS),
        "scale": torch.ones(1),
        "rotation": torch.eye(3)[None],
        "translation": torch.zeros(1, 3),
        "coefficients": torch.zeros(1, len(model.shapes)),
        **{name: torch.from_numpy(array) for name, array in zip(names, constants_of(model), strict=True)},
    }


FAMILIES: dict[Any, Shapes] = {
    DETECTOR: Shapes(
        lambda: {"pictures": torch.rand(1, 3, 64, 96) * 255},
        ("maps",),
        {"pictures": BATCH | {2: "height", 3: "width"}},
        ("shallow.0.0.weight", "head.1.weight"),
    ),
    ALIGNER: Shapes(
        lambda: {"patches": torch.rand(1, 3, 147, 147) * 255},
        ("landmarks", "verdicts"),
        {"patches": BATCH | {2: "height", 3: "width"}},
    ),
    DENSE: Shapes(
        lambda: {"patches": torch.rand(1, 3, 154, 154) * 255, "landmarks": _face()},
        ("points",),
        {"patches": BATCH | {2: "height", 3: "width"}, "landmarks": BATCH},
        ("quarter.0.0.weight", "dense_whole.0.0.weight"),
    ),
    HOURGLASS: Shapes(
        lambda: {"picture": _picture()},
        ("logits",),
        {"picture": BATCH},
        # the steps of the last layers, at 96 x 96, would show on the surface
        ("stem1.weight", "head.reduce.weight", "head.conv.weight", "coefficients.weight"),
    ),
    GUIDED: Shapes(
        _head,
        ("vertices", "new_scale", "new_rotation", "new_translation", "new_coefficients"),
        dict.fromkeys(("picture", "maps", "scale", "rotation", "translation", "coefficients"), BATCH),
        ("stem1.weight", "stem_guide.weight", "displacement.weight"),
    ),
}
