"""From a run's checkpoint to a weights file and its graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfie3d_training.engine import read_checkpoint
from selfie3d_training.graph import write_graph
from vrn.weights import file as weights


def export(run: Path, path: Path, metrics: Mapping[str, Any] | None = None) -> str:
    """Write the running mean of a run's weights to `path`, with their configuration, and their graph beside it.

    Returns the SHA-256 of the weights.

    metrics : what was measured with them; the number of samples they have seen is added
    """
    state = read_checkpoint(run)
    network = json.loads(state["config"])["network"]
    sha256 = weights.write(path, network, state["average"], {"samples": state["samples"], **(metrics or {})})
    write_graph(path)
    return sha256
