"""Weights to a network that is ready to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import CROP_SIZE, Grid
from vrn.engine import Engine, Graph, open_graph
from vrn.engine.choice import ONNX
from vrn.engine.graph import graph_file
from vrn.meshing.field import Field
from vrn.network.config import FAMILY, LEVEL, HourglassConfig
from vrn.official.config import FAMILY as OFFICIAL
from vrn.official.config import LEVEL as OFFICIAL_LEVEL
from vrn.official.config import OfficialConfig
from vrn.weights.store import resolve, verify

DEFAULT = "default"


class LoadedNetwork:
    """A network with its weights, for inference.

    Attributes
    ----------
    config : the configuration that came with the weights
    metrics : what was measured with these weights
    sha256 : of the weights' file
    engine : what runs it, onnx or torch
    grid : of every field that it makes
    """

    def __init__(self, graph: Graph) -> None:
        self.config, self.metrics, self.sha256 = graph.config, graph.metrics, graph.sha256
        self.engine = graph.engine
        self.grid, self._level = _output(graph.config)
        self._graph = graph

    def field(self, crop: NDArray[np.uint8]) -> Field:
        """crop : (192, 192, 3) uint8 - RGB, crop frame. Raises ValueError for another shape or type."""
        return self.fields([crop])[0]

    def fields(self, crops: Sequence[NDArray[np.uint8]]) -> list[Field]:
        """The fields of several crops in one run of the network; none of them depends on the others."""
        if not crops:
            return []
        for crop in crops:
            if crop.shape != (CROP_SIZE, CROP_SIZE, 3) or crop.dtype != np.uint8:
                raise ValueError(f"a crop is ({CROP_SIZE}, {CROP_SIZE}, 3) uint8, not {crop.shape} {crop.dtype}")
        pictures = np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32)
        (values,) = self._graph.run(pictures / np.float32(255))
        return [Field(np.ascontiguousarray(each), self.grid, self._level) for each in values]


class NetworkOnDemand:
    """A network that is opened when it is first asked for a field: where whole heads are made, few photos want one.

    Attributes
    ----------
    sha256 : of the weights' file, which is checked at once
    engine : what will run it
    """

    def __init__(self, name_or_path: str | Path, engine: Engine) -> None:
        """Raises WeightsError when the weights or their graph are missing or damaged."""
        self._name_or_path, self._engine = name_or_path, engine
        path = resolve(name_or_path)
        self.sha256, self.engine = verify(path), engine.name
        if engine.name == ONNX:
            verify(graph_file(path, engine))

    def field(self, crop: NDArray[np.uint8]) -> Field:
        """As `LoadedNetwork.field`. Raises what `load_network` raises."""
        return self._network.field(crop)

    @cached_property
    def _network(self) -> LoadedNetwork:
        return load_network(self._name_or_path, self._engine)


def load_network(name_or_path: str | Path = DEFAULT, engine: Engine | None = None) -> LoadedNetwork:
    """Bundled weights by name, or a file.

    Raises WeightsError when they are missing, damaged, of an unknown family or do not fit their network, and
    BackendMissingError when they want an engine that is not installed.
    """
    return LoadedNetwork(open_graph(name_or_path, (FAMILY, OFFICIAL), engine))


def _output(config: Mapping[str, Any]) -> tuple[Grid, float]:
    """Where the samples of the output lie in the crop frame, and the value of the surface."""
    if config["family"] == OFFICIAL:
        return OfficialConfig.of(config).grid, OFFICIAL_LEVEL
    return HourglassConfig.of(config).grid, LEVEL
