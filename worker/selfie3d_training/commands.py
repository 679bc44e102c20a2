"""The sub-commands of ``python -m selfie3d_training``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2
import torch

from selfie3d_training.config import TrainConfig
from selfie3d_training.dataset import Material
from selfie3d_training.engine import LOG
from selfie3d_training.errors import TrainingError
from selfie3d_training.evaluate import cases, evaluate, report, summary, table, view_cases
from selfie3d_training.export import export
from selfie3d_training.finder.commands import add_finder_commands
from selfie3d_training.graph import write_graph, write_int8_graph
from selfie3d_training.guided.commands import add_guided_commands
from selfie3d_training.head import Head
from selfie3d_training.options import configured, run, run_options, views_of
from selfie3d_training.photos import Photos
from selfie3d_training.pictures import curves
from selfie3d_training.ranges import measure, pictures
from selfie3d_training.train import VolumeTask
from selfie3d_training.turn import make_views
from selfie3d_training.views import TurnedViews
from vrn.engine import choose
from vrn.errors import VrnError
from vrn.finder.face import Finder
from vrn.network import load_network
from vrn.weights import file as weights


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(options.threads)
    try:
        options.command(options)
    except (TrainingError, VrnError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _turn(options: argparse.Namespace) -> None:
    photos, head = Photos(options.data), Head.load(options.data / "head_model.npz")
    make_views(photos, head, photos.ids(options.split), options.views, options.count, options.seed)


def _train(options: argparse.Namespace) -> None:
    run(VolumeTask(configured(TrainConfig(), options), Material(options.data, views_of(options))), options)


def _export(options: argparse.Namespace) -> None:
    metrics = json.loads(options.metrics.read_text("utf-8")) if options.metrics else None
    print(export(options.folder, options.out, {"validation": metrics} if metrics else None))


def _graph(options: argparse.Namespace) -> None:
    for name in options.weights:
        print(write_graph(weights.resolve(name)))


def _int8(options: argparse.Namespace) -> None:
    photos = pictures(Photos(options.data), TurnedViews(views_of(options)), options.count)
    for name, ranges in measure(photos).items():
        print(write_int8_graph(weights.resolve(name), ranges))


def _evaluate(options: argparse.Namespace) -> None:
    network = load_network(options.weights, choose(device="cpu", threads=options.threads))
    material = Material(options.data, options.views or options.data / "turned-val")
    ids = material.photos.ids("val")
    photos = ids[:: -(-len(ids) // options.count)].tolist()  # spread over all sources
    todo = [*cases(material, photos, None, "photos, label crop"), *view_cases(material, options.count, None)]
    if options.finder:
        todo += cases(
            material, photos, _finder(options.finder, options.threads), f"photos, crop from the {options.finder} finder"
        )
    outcomes = evaluate(network, material, todo)
    report(network, outcomes, options.out)
    if options.folder:
        curves(options.folder / LOG, options.out / "curves.png")
    print(table(summary(outcomes)), end="")


def _finder(name: str, threads: int) -> Finder:
    from vrn.finder import load_finder

    return load_finder(name, choose(device="cpu", threads=threads))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfie3d_training", description=__doc__)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of the network (default: all)")
    commands = parser.add_subparsers(required=True)

    turn = commands.add_parser("turn", help="fill the cache of turned views")
    turn.add_argument("--data", type=Path, required=True, help="folder of faces-*.tar, labels.npz, head_model.npz")
    turn.add_argument("--views", type=Path, required=True, help="folder of the cache")
    turn.add_argument("--count", type=int, default=18_000)
    turn.add_argument("--split", choices=("train", "val"), default="train")
    turn.add_argument("--seed", type=int, default=0)
    turn.set_defaults(command=_turn)

    run_ = run_options()
    train = commands.add_parser("train", parents=[run_], help="train, or go on where the run in the folder stopped")
    train.set_defaults(command=_train)

    export_ = commands.add_parser(
        "export", help="write the averaged weights of any run as safetensors, and their ONNX graph"
    )
    export_.add_argument("--folder", type=Path, required=True)
    export_.add_argument("--out", type=Path, required=True)
    export_.add_argument("--metrics", type=Path, help="metrics.json of an evaluation, to travel with the weights")
    export_.set_defaults(command=_export)

    graph = commands.add_parser("graph", help="write the ONNX graph of weights files beside them")
    graph.add_argument("weights", nargs="+", help="bundled names or files")
    graph.set_defaults(command=_graph)

    int8 = commands.add_parser(
        "int8", help="measure what flows through the bundled networks, and write their graphs of 8 bits"
    )
    int8.add_argument("--data", type=Path, required=True)
    int8.add_argument("--views", type=Path, help="cache of turned views (default: DATA/turned)")
    int8.add_argument("--count", type=int, default=48, help="so many photos, and so many views")
    int8.set_defaults(command=_int8)

    measured = commands.add_parser("evaluate", help="measure weights on the validation photos and turned views")
    measured.add_argument("--data", type=Path, required=True)
    measured.add_argument("--views", type=Path, help="cache of turned validation views (default: DATA/turned-val)")
    measured.add_argument("--weights", default="default", help="bundled name or file")
    measured.add_argument("--finder", help="also measure with the crops of this finder, e.g. bundled")
    measured.add_argument("--folder", type=Path, help="a run's folder, to draw the curves of its log")
    measured.add_argument("--count", type=int, default=1_000, help="at most so many photos and so many views")
    measured.add_argument("--out", type=Path, default=Path("runs/evaluation"))
    measured.set_defaults(command=_evaluate)
    add_finder_commands(commands, run_)
    add_guided_commands(commands, run_)
    return parser
