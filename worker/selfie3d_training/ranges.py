"""The ranges of what flows between the layers of the bundled networks, measured on training photos and turned views.

The whole pipeline runs, so that every network sees what it sees in use. The aligner stays as it is: its second look
depends on the first, and so a photo's landmarks would not be the same alone and in a batch.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from tqdm import tqdm

from selfie3d.types import Extent
from selfie3d_training.graph import watched_graph_of
from selfie3d_training.photos import Image, Photos
from selfie3d_training.quantise import Range
from selfie3d_training.views import TurnedViews
from vrn.avatar.model import load_model
from vrn.engine import choose, open_graph
from vrn.engine.choice import SINGLE
from vrn.engine.onnx_graph import OnnxGraph
from vrn.errors import NoFaceError
from vrn.finder import BundledFinder
from vrn.finder.aligner import Aligner
from vrn.finder.config import ALIGNER as ALIGNER_FAMILY
from vrn.finder.dense import DenseAligner
from vrn.finder.detector import Detector
from vrn.network import LoadedNetwork
from vrn.network.guided_load import GuidedNetwork, constants_of
from vrn.network.heads import DENSE, HEAD, HeadNetwork
from vrn.network.load import DEFAULT
from vrn.pipeline import Reconstructor
from vrn.weights import read
from vrn.weights.store import GRAPH_SUFFIX, bundled

ALIGNER, DETECTOR = "finder-aligner", "finder-detector"


class WatchedGraph:
    """A graph, see `vrn.engine.graph.Graph`, that notes the least and the most of what flows through it.

    Attributes
    ----------
    ranges : by name, of all runs so far
    """

    engine = "onnx"

    def __init__(self, path: Path, constants: tuple[NDArray[Any], ...] = ()) -> None:
        """path : of the weights."""
        weights = read.load(path)
        self.config, self.metrics, self.sha256 = weights.config, weights.metrics, weights.sha256
        model, self._names = watched_graph_of(weights)
        with tempfile.TemporaryDirectory() as folder:
            graph = Path(folder, path.stem + GRAPH_SUFFIX)
            graph.write_bytes(model)
            self._graph = OnnxGraph(graph, weights, constants=constants)
        self.ranges: dict[str, Range] = {}

    def run(self, *inputs: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
        """The network's own answers."""
        found = self._graph.run(*inputs)
        answers = len(found) - len(self._names)
        for name, values in zip(self._names, found[answers:], strict=True):
            least, most = self.ranges.get(name, (np.inf, -np.inf))
            self.ranges[name] = min(least, float(values.min())), max(most, float(values.max()))
        return found[:answers]


def measure(photos: Iterable[Image]) -> dict[str, dict[str, Range]]:
    """What flows through the networks that are rounded while these photos are reconstructed, by name of the weights."""
    graphs = {name: WatchedGraph(bundled(name)) for name in (DETECTOR, DENSE, DEFAULT)}
    model = load_model()
    graphs[HEAD] = WatchedGraph(bundled(HEAD), constants_of(model))
    aligner = open_graph(ALIGNER, (ALIGNER_FAMILY,), choose("onnx", precision=SINGLE))
    reconstructor = Reconstructor(
        LoadedNetwork(graphs[DEFAULT]),
        BundledFinder(Detector(graphs[DETECTOR]), Aligner(aligner)),
        heads=HeadNetwork(DenseAligner(graphs[DENSE]), GuidedNetwork(graphs[HEAD], model)),
    )
    for photo in photos:
        for extent in Extent:
            with suppress(NoFaceError):
                reconstructor.reconstruct(_png(photo), extent=extent)
    return {name: graph.ranges for name, graph in graphs.items()}


def pictures(photos: Photos, views: TurnedViews, count: int) -> Iterator[Image]:
    """So many photos and so many views, evenly spread over all of them."""
    ids = photos.ids("train")
    for index in tqdm(range(count), desc="measuring", unit="photo"):
        yield photos.image(int(ids[index * len(ids) // count]))
        yield views[index * len(views) // count].image


def _png(picture: Image) -> bytes:
    out = io.BytesIO()
    Pictures.fromarray(picture).save(out, "PNG", compress_level=0)
    return out.getvalue()
