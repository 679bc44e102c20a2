"""A finder by its name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from vrn.engine import Engine, choose, open_graph
from vrn.errors import BackendMissingError
from vrn.finder.aligner import Aligner
from vrn.finder.bundled import MIN_SCORE, BundledFinder
from vrn.finder.config import ALIGNER, DETECTOR
from vrn.finder.detector import Detector
from vrn.finder.face import Finder
from vrn.finder.second_search import WEAK, SecondSearch

FINDERS = ("bundled", "face-alignment")
DETECTOR_WEIGHTS, ALIGNER_WEIGHTS = "finder-detector", "finder-aligner"


def load_finder(name: str = "bundled", engine: Engine | None = None, **options: Any) -> Finder:
    """`bundled` or `face-alignment`, ready to run.

    engine : what runs it; face-alignment runs with torch whatever it says, on its device
    options : those of `open_bundled`, or of `vrn.finder.face_alignment.FaceAlignmentFinder`

    Raises ValueError for another name, WeightsError when weights are missing or damaged, and BackendMissingError
    when the engine or the face-alignment package is not installed.
    """
    engine = engine or choose(device="cpu")
    if name == "bundled":
        return open_bundled(engine, **options)
    if name == "face-alignment":
        finder: Finder = face_alignment().FaceAlignmentFinder(device=engine.device, **options)
        return finder
    raise ValueError(f"finder: expected {' or '.join(FINDERS)}, found {name!r}")


def face_alignment() -> Any:
    """The module of that finder. Raises BackendMissingError where torch, which it stands on, is not installed."""
    try:
        return import_module("vrn.finder.face_alignment")
    except ModuleNotFoundError as error:
        raise BackendMissingError(
            f"the face-alignment finder needs a package that cannot be imported ({error}): "
            "run `pip install '.[face-alignment]'`, or use the bundled finder"
        ) from error


def open_bundled(
    engine: Engine | None = None,
    min_score: float = MIN_SCORE,
    detector: str | Path = DETECTOR_WEIGHTS,
    aligner: str | Path = ALIGNER_WEIGHTS,
) -> BundledFinder:
    """The finder with its own weights.

    min_score : 0..1, faces that score less are left out
    detector, aligner : files, or names of bundled weights
    """
    graph, aligner_ = open_graph(detector, (DETECTOR,), engine), Aligner(open_graph(aligner, (ALIGNER,), engine))
    found_by = Detector(graph, min_score)  # a face scores no more than its box
    return BundledFinder(found_by, aligner_, min_score, SecondSearch(Detector(graph, WEAK), aligner_))
