"""The sub-commands of the finder: train, mine, evaluate."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from selfie3d_training.finder.evaluate import measure, table
from selfie3d_training.finder.mine import LEAST_SCORE, mine
from selfie3d_training.finder.train import FinderTrainConfig, finder_task
from selfie3d_training.options import configured, run, views_of
from selfie3d_training.photos import Photos
from selfie3d_training.views import TurnedViews
from vrn.finder import open_bundled
from vrn.finder.config import AlignerConfig, DetectorConfig
from vrn.finder.open import ALIGNER_WEIGHTS, DETECTOR_WEIGHTS

NETWORKS = {"aligner": AlignerConfig, "detector": DetectorConfig}


def add_finder_commands(commands: Any, run_options: argparse.ArgumentParser) -> None:
    """Add them to the sub-parsers of a parser."""
    train = commands.add_parser("finder-train", parents=[run_options], help="train one of the finder's networks")
    train.add_argument("network", choices=NETWORKS)
    train.add_argument("--hard", type=Path, help="what a detector took for faces, from finder-mine; for the aligner")
    train.set_defaults(command=_train)

    found = argparse.ArgumentParser(add_help=False)
    found.add_argument("--data", type=Path, required=True, help="folder of the training data")
    found.add_argument("--detector", default=DETECTOR_WEIGHTS, help="bundled name or file")
    found.add_argument("--aligner", default=ALIGNER_WEIGHTS, help="bundled name or file")
    found.add_argument("--out", type=Path, required=True)

    mine_ = commands.add_parser("finder-mine", parents=[found], help="collect what the detector takes for faces")
    mine_.add_argument("--count", type=int, default=3000, help="random pictures to look at")
    mine_.add_argument("--seed", type=int, default=5)
    mine_.set_defaults(command=_mine)

    evaluate = commands.add_parser("finder-evaluate", parents=[found], help="measure a finder on the validation photos")
    evaluate.add_argument("--views", type=Path, help="cache of turned validation views (default: DATA/turned-val)")
    evaluate.set_defaults(command=_evaluate)


def _train(options: argparse.Namespace) -> None:
    config = configured(FinderTrainConfig(NETWORKS[options.network]()), options)
    run(finder_task(config, Photos(options.data), TurnedViews(views_of(options)), options.hard), options)


def _mine(options: argparse.Namespace) -> None:
    finder = open_bundled(min_score=LEAST_SCORE, detector=options.detector, aligner=options.aligner)
    mine(finder, Photos(options.data), options.out, options.count, options.seed)


def _evaluate(options: argparse.Namespace) -> None:
    finder = open_bundled(detector=options.detector, aligner=options.aligner)
    views = TurnedViews(options.views or options.data / "turned-val")
    result = measure(finder, Photos(options.data), views, options.out)
    print(table(result))
    print(json.dumps({name: row for name, row in result.items() if "found" not in row}, indent=1))
