"""A finder by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vrn.finder.aligner import Aligner
from vrn.finder.bundled import MIN_SCORE, BundledFinder
from vrn.finder.detector import Detector
from vrn.finder.face import Finder
from vrn.finder.networks import AlignerConfig, AlignerNetwork, DetectorConfig, DetectorNetwork
from vrn.weights import file as weights

FINDERS = ("bundled", "face-alignment")
DETECTOR_WEIGHTS, ALIGNER_WEIGHTS = "finder-detector", "finder-aligner"


def load_finder(name: str = "bundled", **options: Any) -> Finder:
    """`bundled` or `face-alignment`, ready to run.

    options : those of `open_bundled`, or of `vrn.finder.face_alignment.FaceAlignmentFinder`

    Raises ValueError for another name, WeightsError when weights are missing or damaged, and BackendMissingError
    when the face-alignment package is not installed.
    """
    if name == "bundled":
        return open_bundled(**options)
    if name == "face-alignment":
        from vrn.finder.face_alignment import FaceAlignmentFinder  # only here: the package is optional

        finder: Finder = FaceAlignmentFinder(**options)
        return finder
    raise ValueError(f"finder: expected {' or '.join(FINDERS)}, found {name!r}")


def open_bundled(
    device: str = "cpu",
    min_score: float = MIN_SCORE,
    detector: str | Path = DETECTOR_WEIGHTS,
    aligner: str | Path = ALIGNER_WEIGHTS,
) -> BundledFinder:
    """The finder with its own weights.

    device : of torch
    min_score : 0..1, faces that score less are left out
    detector, aligner : files, or names of bundled weights
    """
    found = weights.load(weights.resolve(detector))
    detector_network = DetectorNetwork(DetectorConfig.of(found.config))
    weights.fill(detector_network, found.tensors)
    found = weights.load(weights.resolve(aligner))
    aligner_network = AlignerNetwork(AlignerConfig.of(found.config))
    weights.fill(aligner_network, found.tensors)
    for network in (detector_network, aligner_network):
        ready(network, device)
    found_by = Detector(detector_network, min_score, device)  # a face scores no more than its box
    return BundledFinder(found_by, Aligner(aligner_network, device), min_score)


def ready(network: nn.Module, device: str = "cpu") -> None:
    """Make a network fit to run, in place: evaluation mode, batch norms folded into convolutions, on its device."""
    network.eval().requires_grad_(False)
    for part in network.modules():
        if isinstance(part, nn.Sequential):
            _fold(part)
    network.to(device)


def _fold(layers: nn.Sequential) -> None:
    for index in range(len(layers) - 1):
        before, after = layers[index], layers[index + 1]
        if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
            folded = fuse_conv_bn_eval(before, after)
            folded.weight.data = folded.weight.data.contiguous(memory_format=torch.channels_last)
            layers[index], layers[index + 1] = folded, nn.Identity()
