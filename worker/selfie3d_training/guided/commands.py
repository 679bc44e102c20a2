"""The sub-commands of the guided network: model, dense aligner, its errors, train, evaluate."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from selfie3d.types import Extent, Options
from selfie3d_training.engine import Trainer
from selfie3d_training.finder.train import FinderTask
from selfie3d_training.guided.chart import save_chart
from selfie3d_training.guided.config import MOST_RESIDUAL, DenseTrainConfig, GuidedTrainConfig
from selfie3d_training.guided.dense import DenseSamples
from selfie3d_training.guided.dense_errors import ERRORS, DenseErrors
from selfie3d_training.guided.evaluate import cases_of, evaluate, methods_of, table
from selfie3d_training.guided.evaluate_colour import colour_cases, evaluate_colours
from selfie3d_training.guided.evaluate_snapshots import alarms, compare, frontal_ids, persons, rendered_heads
from selfie3d_training.guided.evaluate_snapshots import table as snapshot_table
from selfie3d_training.guided.loss import vertex_areas
from selfie3d_training.guided.model_file import export_model
from selfie3d_training.guided.pairs import HeadMaterial
from selfie3d_training.guided.train import GuidedTask
from selfie3d_training.head import Head
from selfie3d_training.options import configured, views_of
from selfie3d_training.photos import Photos
from vrn.avatar.model import load_model
from vrn.finder import load_finder
from vrn.finder.dense import load_dense
from vrn.network import load_network
from vrn.network.guided_load import load_guided, untrained
from vrn.network.heads import load_heads
from vrn.pipeline import Reconstructor
from vrn.weights import file as weights

OFFSETS = (1, 7, 23)  # of the other people among the heads


def add_guided_commands(commands: Any, run_options: argparse.ArgumentParser) -> None:
    """Add them to the sub-parsers of a parser."""
    model = commands.add_parser("head-model", help="write the head model in the form that travels with the worker")
    model.add_argument("--data", type=Path, required=True, help="folder of head_model.npz")
    model.add_argument("--out", type=Path, required=True)
    model.set_defaults(command=_model)

    chart = commands.add_parser("head-chart", help="write the texture chart that every head shares")
    chart.add_argument("--out", type=Path, required=True)
    chart.set_defaults(command=_chart)

    found = argparse.ArgumentParser(add_help=False)
    found.add_argument("--found", type=Path, required=True, help="cache of the aligner's landmarks, filled first")
    dense = commands.add_parser("dense-train", parents=[run_options, found], help="train the dense aligner")
    dense.set_defaults(command=_train_dense)
    train = commands.add_parser("guided-train", parents=[run_options, found], help="train the guided network")
    train.set_defaults(command=_train)

    measured = argparse.ArgumentParser(add_help=False)
    measured.add_argument("--data", type=Path, required=True, help="folder of the training data")
    measured.add_argument("--views", type=Path, required=True, help="cache of turned views")
    measured.add_argument("--dense", required=True, help="weights of the dense aligner")
    errors = commands.add_parser("dense-errors", parents=[measured, found], help="what it gets wrong, for the guides")
    errors.add_argument("--count", type=int, default=700, help="photos, and as many views")
    errors.set_defaults(command=_errors)
    compare = commands.add_parser("guided-evaluate", parents=[measured, found], help="compare with the shipped network")
    compare.add_argument("--weights", help="of the guided network (default: untrained, which is the guide)")
    compare.add_argument("--count", type=int, default=100, help="photos, and as many views")
    compare.set_defaults(command=_evaluate)
    colours = commands.add_parser("colour-evaluate", parents=[found], help="measure the colours that a turn hides")
    colours.add_argument("--data", type=Path, required=True, help="folder of the training data")
    colours.add_argument("--views", type=Path, required=True, help="cache of turned views")
    colours.add_argument("--count", type=int, default=100, help="views")
    colours.set_defaults(command=_evaluate_colours)
    snapshots = commands.add_parser("snapshots-evaluate", help="compare three photos of a person with one")
    snapshots.add_argument("--data", type=Path, required=True, help="folder of the training data")
    snapshots.add_argument("--count", type=int, default=100, help="heads")
    snapshots.set_defaults(command=_evaluate_snapshots)


def _material(options: argparse.Namespace) -> HeadMaterial:
    return HeadMaterial(options.data, views_of(options), options.found, load_model())


def _model(options: argparse.Namespace) -> None:
    export_model(options.data / "head_model.npz", options.out)


def _chart(options: argparse.Namespace) -> None:
    save_chart(load_model(), options.out)


def _train(options: argparse.Namespace) -> None:
    initial = weights.resolve(options.initial) if options.initial else None
    Trainer(GuidedTask(configured(GuidedTrainConfig(), options), _material(options), initial), options.folder).run()


def _train_dense(options: argparse.Namespace) -> None:
    config = configured(DenseTrainConfig(), options)
    samples = DenseSamples(_material(options), config.network, options.initial)
    Trainer(FinderTask(config, samples), options.folder).run()


def _errors(options: argparse.Namespace) -> None:
    material, rng = _material(options), np.random.default_rng(0)
    ids = rng.choice(material.ids("train", MOST_RESIDUAL), options.count, replace=False)
    views = rng.choice(len(material.views), min(options.count, len(material.views)), replace=False)
    sources = itertools.chain(
        ((material.of_photo(int(i)), material.found_photos[i]) for i in ids),
        ((material.of_view(int(k)), material.found_views[k]) for k in views),
    )
    triples = ((source, found, material.points_of[source.photo]) for source, found in sources)
    DenseErrors.measured(load_dense(options.dense), triples).save(options.found / ERRORS)


def _evaluate(options: argparse.Namespace) -> None:
    material = _material(options)
    cases = cases_of(material, options.count, MOST_RESIDUAL)
    network = load_guided(options.weights) if options.weights else untrained(material.model)
    methods = methods_of(load_finder("bundled"), load_network("default"), load_dense(options.dense), network)
    print(table(evaluate(material.model, vertex_areas(material.model), cases, methods)), end="")


def _evaluate_colours(options: argparse.Namespace) -> None:
    cases, reconstructor = colour_cases(_material(options), options.count), Reconstructor.open()
    methods = {str(extent): (reconstructor, Options(extent=extent)) for extent in Extent}
    results = evaluate_colours(cases, methods)
    both = ~np.isnan(np.stack(list(results.values()))).any(0)
    print(f"{len(cases)} views, found by all methods: {both.sum()}")
    for name, values in results.items():
        print(f"{name}: mean {values[both].mean():.2f} dB, median {np.median(values[both]):.2f} dB")


def _evaluate_snapshots(options: argparse.Namespace) -> None:
    photos, head, model = Photos(options.data), Head.load(options.data / "head_model.npz"), load_model()
    with np.load(options.data / "labels.npz") as arrays:
        ids = frontal_ids(photos, arrays["residual"], MOST_RESIDUAL, options.count)
    reconstructor = Reconstructor.open()
    print(snapshot_table(compare(reconstructor, model, rendered_heads(photos, head, model, ids))), end="")
    heads = load_heads()
    if heads is not None:
        print(alarms(reconstructor, heads, rendered_heads(photos, head, model, ids)))
        same, others = persons(reconstructor, heads, rendered_heads(photos, head, model, ids), OFFSETS)
        for limit in np.arange(1.0, 3.6, 0.25):
            shares = f"{(same > limit).mean():.2%} of the same person, {(others > limit).mean():.2%} of others"
            print(f"over {limit:.2f} mm: {shares}")
