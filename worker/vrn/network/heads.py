"""From a face in a photo to its whole head: the third look and the guided network together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.whole_head import WholeHead
from vrn.engine import Engine
from vrn.finder.dense import DenseAligner, load_dense
from vrn.finder.face import AlignedFace
from vrn.network.guided_load import GuidedNetwork, load_guided
from vrn.network.load import DEFAULT

HEAD = "head"  # names of the bundled weights
DENSE = "finder-dense"


@dataclass(frozen=True)
class HeadNetwork:
    """What finds the points of a face, and what makes a head of them."""

    points: DenseAligner
    guided: GuidedNetwork

    def head(self, image: NDArray[np.uint8], face: AlignedFace) -> WholeHead:
        """image : (height, width, 3) uint8 - RGB, photo frame."""
        return self.guided.head(image, face.landmarks_px, self.points.points(image, face.landmarks_px))


def load_heads(model: str | Path = DEFAULT, engine: Engine | None = None) -> HeadNetwork | None:
    """The bundled networks of whole heads; None for weights other than the bundled ones, which know the face only.

    Raises WeightsError.
    """
    return HeadNetwork(load_dense(DENSE, engine), load_guided(HEAD, engine)) if model == DEFAULT else None
