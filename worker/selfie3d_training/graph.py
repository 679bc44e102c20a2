"""From a weights file to its graph: the operations of the network in ONNX, without the weights.

ONNX Runtime puts the weights of the weights file into the graph when it opens it (`vrn.engine.onnx_graph`), so that
there is one file of them and no second one that could differ.
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
from onnx import ModelProto, TensorProto
from torch import Tensor, nn

from selfie3d.types.atomic_file import write_atomically
from selfie3d.types.frames import CROP_SIZE
from selfie3d_training.fold import fold
from selfie3d_training.norms import share
from vrn.avatar.guide import COLUMNS, MAPS
from vrn.avatar.model import load_model
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
WRAPPED = "network."  # where a pass has its network
BATCH = {0: "n"}


@dataclass(frozen=True)
class Shapes:
    """What the tracing of a family's network wants to know: examples of its inputs, by name, and which axes vary."""

    inputs: Callable[[], dict[str, Tensor]]
    outputs: tuple[str, ...]
    varying: Mapping[str, Mapping[int, str]]


def write_graph(path: Path) -> Path:
    """Write the graph of a weights file beside it, and its line of the manifest; the graph's path.

    Raises WeightsError for the official network, which runs with torch only.
    """
    target = path.with_suffix(GRAPH_SUFFIX)
    write_atomically(target, graph_of(read.load(path)))
    record(target)
    return target


def graph_of(loaded: read.Weights) -> bytes:
    """The graph of these weights; the same weights give the same bytes. Raises WeightsError as `write_graph`."""
    family = loaded.config.get("family")
    if family not in FAMILIES:
        raise WeightsError(f"expected weights of the family {' or '.join(sorted(FAMILIES))}, found {family!r}")
    model = _traced(as_run(build(loaded).eval().requires_grad_(False)), FAMILIES[family])
    wanted = _without_weights(model, set(loaded.arrays))
    missing = sorted(set(loaded.arrays) - wanted)
    if missing:
        raise WeightsError(f"the graph does without the weights {', '.join(missing)}")
    fold(model)
    share(model)
    for key, value in ((CONFIG_KEY, loaded.config), (WEIGHTS_KEY, sorted(wanted))):
        model.metadata_props.add(key=key, value=json.dumps(value))
    return model.SerializeToString(deterministic=True)


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
    ),
    HOURGLASS: Shapes(lambda: {"picture": _picture()}, ("logits",), {"picture": BATCH}),
    GUIDED: Shapes(
        _head,
        ("vertices", "new_scale", "new_rotation", "new_translation", "new_coefficients"),
        dict.fromkeys(("picture", "maps", "scale", "rotation", "translation", "coefficients"), BATCH),
    ),
}
