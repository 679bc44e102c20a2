"""From a face in a photo to its whole head: the third look and the guided network together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import CROP_SIZE
from vrn.avatar.guide import PX_PER_CM
from vrn.avatar.strands import pattern
from vrn.avatar.whole_head import WholeHead
from vrn.engine import Engine
from vrn.finder.dense import DenseAligner, load_dense
from vrn.finder.face import AlignedFace
from vrn.network.guided_load import GuidedNetwork, load_guided
from vrn.network.load import DEFAULT, LoadedNetwork, NetworkOnDemand, load_network

HEAD = "head"  # names of the bundled weights
DENSE = "finder-dense"
GREY = 128


@dataclass(frozen=True)
class HeadNetwork:
    """What finds the points of a face, and what makes a head of them."""

    points: DenseAligner
    guided: GuidedNetwork

    def head(self, image: NDArray[np.uint8], face: AlignedFace) -> WholeHead:
        """image : (height, width, 3) uint8 - RGB, photo frame."""
        return self.guided.head(image, face.landmarks_px, self.points.points(image, face.landmarks_px))

    def warm_up(self) -> None:
        """Run once, on the average face in a grey picture, and grow the pattern of hair: the first time is slow."""
        pattern()
        landmarks = self.guided.model.landmark_shapes[0] * PX_PER_CM * [1, -1, 1] + CROP_SIZE / 2
        self.head(np.full((CROP_SIZE, CROP_SIZE, 3), GREY, np.uint8), AlignedFace(landmarks, 1.0))


def load_heads(model: str | Path = DEFAULT, engine: Engine | None = None) -> HeadNetwork | None:
    """The bundled networks of whole heads; None for weights other than the bundled ones, which know the face only.

    Raises WeightsError.
    """
    return HeadNetwork(load_dense(DENSE, engine), load_guided(HEAD, engine)) if model == DEFAULT else None


def load_face_network(model: str | Path, engine: Engine, heads: HeadNetwork | None) -> LoadedNetwork | NetworkOnDemand:
    """The network of the face: opened at once, or on demand where there is one of whole heads.

    Raises WeightsError, BackendMissingError.
    """
    return load_network(model, engine) if heads is None or engine.address else NetworkOnDemand(model, engine)
