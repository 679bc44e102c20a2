"""Puts trained weights of the finder into the package:
``python -m selfie3d_training.finder.export RUN/face-detector.safetensors --metrics OUT/finder.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vrn.finder.networks import ALIGNER, DETECTOR
from vrn.finder.open import ALIGNER_WEIGHTS, DETECTOR_WEIGHTS
from vrn.weights import file as weights

NAMES = {DETECTOR: DETECTOR_WEIGHTS, ALIGNER: ALIGNER_WEIGHTS}


def export(trained: Path, metrics: Path | None, folder: Path = weights.FOLDER) -> Path:
    """Write a run's weights under the name of the bundled ones, as fp16; `metrics` is what `finder_evaluate` wrote."""
    loaded = weights.load(trained)
    path = folder / f"{NAMES[loaded.config['family']]}{weights.SUFFIX}"
    measured = json.loads(metrics.read_text("utf-8")) if metrics else {}
    weights.write(path, loaded.config, loaded.tensors, loaded.metrics | measured)
    return path


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+", help="weights files of runs")
    parser.add_argument("--metrics", type=Path, help="finder.json of finder_evaluate")
    arguments = parser.parse_args()
    for trained in arguments.weights:
        print(export(trained, arguments.metrics))


if __name__ == "__main__":
    main()
