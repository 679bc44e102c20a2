"""The options that every training command has, and what they make of a configuration."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeVar

from selfie3d_training.config import RunConfig
from selfie3d_training.engine import Task, Trainer
from vrn.weights import file as weights

Config = TypeVar("Config", bound=RunConfig)


def run_options() -> argparse.ArgumentParser:
    """To be a parent of a training command's parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data", type=Path, required=True, help="folder of faces-*.tar, labels.npz, head_model.npz")
    parser.add_argument("--views", type=Path, help="cache of turned views, may be growing (default: DATA/turned)")
    parser.add_argument("--folder", type=Path, required=True, help="folder of checkpoint and log")
    parser.add_argument("--config", type=Path, help="JSON file with the settings that differ from the defaults")
    parser.add_argument("--initial", help="a new run starts from these weights: bundled name or file (default: random)")
    parser.add_argument("--minutes", type=float, help="end after this time, on the same schedule")
    return parser


def configured(defaults: Config, options: argparse.Namespace) -> Config:
    """The defaults with the file of `--config` over them, and `--minutes` over both."""
    config = defaults.read(options.config)
    return config if options.minutes is None else config.override({"minutes": options.minutes})


def views_of(options: argparse.Namespace) -> Path:
    """The cache of turned views."""
    folder: Path = options.views or options.data / "turned"
    return folder


def run(task: Task, options: argparse.Namespace) -> None:
    """Train, or go on where the run in the folder stopped."""
    Trainer(task, options.folder, weights.resolve(options.initial) if options.initial else None).run()
