"""Networks in ONNX Runtime, on the CPU.

A graph file holds the operations alone; the weights are those of the weights file beside it, put in when the graph is
opened. So there is one file of the weights, and no second one that could differ from it. ONNX Runtime takes each weight
for a file of its name, and keeps only the layout of it that it computes with.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vrn.errors import WeightsError
from vrn.weights.read import Weights
from vrn.weights.store import verify

WEIGHTS_KEY = "weights"  # metadata of a graph: the names of the weights it wants, JSON
CONFIG_KEY = "config"  # metadata of a graph: the configuration of the network that it is of, JSON
QUIET = 3  # onnxruntime's log level for errors


class OnnxGraph:
    """See `vrn.engine.graph.Graph`."""

    engine = "onnx"

    def __init__(
        self, path: Path, weights: Weights, threads: int = 0, constants: tuple[NDArray[Any], ...] = ()
    ) -> None:
        """path : of the graph. Raises WeightsError when it is damaged or of another network than the weights."""
        self.config, self.metrics, self.sha256 = weights.config, weights.metrics, weights.sha256
        verify(path)
        self._constants = constants
        self._session = self._opened(path, weights, threads or len(os.sched_getaffinity(0)))
        self._names = [each.name for each in self._session.get_inputs()]

    def run(self, *inputs: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
        """See `vrn.engine.graph.Graph`."""
        feed = dict(zip(self._names, (*inputs, *self._constants), strict=True))
        return tuple(self._session.run(None, feed))

    def _opened(self, path: Path, weights: Weights, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores are wanted elsewhere
        options.enable_cpu_mem_arena = False  # each session would keep all that its largest run has taken: 35 MB in all
        options.log_severity_level = QUIET
        files = {name: array.tobytes() for name, array in weights.arrays.items()}  # copied: ours need not be kept
        lengths = [len(content) for content in files.values()]
        options.add_external_initializers_from_files_in_memory(list(files), list(files.values()), lengths)
        try:
            session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors share no class but this one
            raise WeightsError(f"{path} does not fit the weights: {str(error).splitlines()[0]}") from error
        metadata = session.get_modelmeta().custom_metadata_map
        if json.loads(metadata.get(CONFIG_KEY, "{}")) != self.config:
            raise WeightsError(f"{path} is the graph of another network than that of the weights")
        if set(json.loads(metadata.get(WEIGHTS_KEY, "[]"))) != set(weights.arrays):
            raise WeightsError(f"{path} wants other weights than those that there are")
        return session
