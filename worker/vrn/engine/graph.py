"""A network with its weights, ready to run: arrays in, arrays out, whatever the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vrn.engine.choice import INT8, ONNX, TORCH, Engine, choose, is_installed, missing
from vrn.errors import WeightsError
from vrn.weights import read
from vrn.weights.store import GRAPH_SUFFIX, resolve

Arrays = tuple[NDArray[Any], ...]
INT8_SUFFIX = f".{INT8}{GRAPH_SUFFIX}"  # the same operations, most of them on whole numbers of 8 bits


class Graph(Protocol):
    """See the module's text.

    Attributes
    ----------
    engine : onnx or torch
    config : the configuration that came with the weights
    metrics : what was measured with these weights
    sha256 : of the weights' file
    """

    engine: str
    config: dict[str, Any]
    metrics: dict[str, Any]
    sha256: str

    def run(self, *inputs: NDArray[np.float32]) -> Arrays:
        """The network's answers, in its own order; the inputs are left alone."""
        ...


def open_graph(
    name_or_path: str | Path, families: tuple[str, ...], engine: Engine | None = None, constants: Arrays = ()
) -> Graph:
    """The network of a weights file.

    name_or_path : bundled weights by name, or a file
    families : of networks, one of which it must be
    constants : the last inputs of every run

    Raises WeightsError when the weights are missing, damaged, of another family or do not fit their network, and
    BackendMissingError when they want an engine that is not installed, and ModelProcessError when the engine's process
    does not answer.
    """
    engine = engine or choose(device="cpu")
    if engine.address:
        from vrn.engine.remote_graph import RemoteGraph, link_to

        return RemoteGraph(link_to(engine.address), name_or_path, families, constants)
    path = resolve(name_or_path)
    loaded = read.load(path)
    family = loaded.config.get("family")
    if family not in families:
        raise WeightsError(f"expected weights of the family {' or '.join(sorted(families))}, found {family!r}")
    graph = graph_file(path, engine)
    if engine.name == ONNX and graph.is_file():
        from vrn.engine.onnx_graph import OnnxGraph

        return OnnxGraph(graph, loaded, engine.threads, constants)
    if engine.name == ONNX and engine.strict:
        raise WeightsError(
            f"no {graph.name} lies beside {path.name}: make it with `python -m selfie3d_training graph`, "
            "or use the engine torch"
        )
    if not is_installed(TORCH):
        raise missing(TORCH, f", with which alone {path.name} runs, as no {graph.name} lies beside it")
    from vrn.engine.torch_graph import TorchGraph, build

    return TorchGraph(build(loaded), loaded, engine, constants)


def graph_file(weights: Path, engine: Engine) -> Path:
    """The file of the graph that ONNX Runtime runs for this file of weights."""
    rounded = weights.with_suffix(INT8_SUFFIX)
    return rounded if engine.precision == INT8 and rounded.is_file() else weights.with_suffix(GRAPH_SUFFIX)
