"""The guided network ready to run: a photo and a face's landmarks to that person's whole head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import UPRIGHT, Crop, transform, upright
from vrn.avatar.fit import HeadPose, fit_landmarks, fit_points
from vrn.avatar.guide import COLUMNS, guide_maps, head_crops, to_columns
from vrn.avatar.model import HeadModel, load_model
from vrn.avatar.raster import crossings, foremost
from vrn.avatar.whole_head import WholeHead
from vrn.crop import sample
from vrn.engine import Engine, Graph, open_graph
from vrn.finder.dense_points import INDICES
from vrn.network.guided_config import FAMILY, GuidedConfig

FIT_STEPS = 3

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


class GuidedNetwork:
    """A network with its weights and the head model that guides it.

    graph : of a guided network's pass, with the model's neutral head and shapes as constants
    """

    def __init__(self, graph: Graph, model: HeadModel) -> None:
        GuidedConfig.of(graph.config)
        self.model = model
        self._graph = graph

    def head(
        self,
        image: NDArray[np.uint8],
        landmarks_px: NDArray[np.floating],
        points_px: NDArray[np.floating] | None = None,
    ) -> WholeHead:
        """The head of a face.

        image : (height, width, 3) uint8 RGB, photo frame
        landmarks_px : (68, 3) float, photo frame; points_px : (160, 3) float, the dense aligner's, if there is one
        """
        return self.head_from(image, self._fit(landmarks_px, points_px))

    def head_from(self, image: NDArray[np.uint8], pose: HeadPose) -> WholeHead:
        """The head of a face to which one head has been fitted, photo frame."""
        crop = Crop.of_matrix(head_crops(pose)[0])
        guide, vertices = self._guide(pose, crop)
        picture = sample(image, crop).transpose(2, 0, 1)[None] / np.float32(255)
        maps = guide_pictures(self.model, vertices)[None]
        moved, *corrected = self._graph.run(
            picture,
            maps,
            *(part.astype(np.float32) for part in (guide.scale, guide.rotation, guide.translation, guide.coefficients)),
        )
        new = HeadPose(*(part.astype(np.float64) for part in corrected))
        return WholeHead(moved[0].astype(np.float64), self.model, self._neck(new), crop, new)

    def guide(self, landmarks_px: NDArray[np.floating], points_px: NDArray[np.floating] | None = None) -> WholeHead:
        """The guide alone, as `head` would start from it."""
        pose = self._fit(landmarks_px, points_px)
        crop = Crop.of_matrix(head_crops(pose)[0])
        guide, vertices = self._guide(pose, crop)
        return WholeHead(vertices, self.model, self._neck(guide), crop, guide)

    def _fit(self, landmarks_px: NDArray[np.floating], points_px: NDArray[np.floating] | None) -> HeadPose:
        if points_px is None:
            return fit_landmarks(self.model, landmarks_px[None], FIT_STEPS)
        return fit_points(self.model, landmarks_px[None], points_px[None], INDICES, FIT_STEPS)

    def _guide(self, pose: HeadPose, crop: Crop) -> tuple[HeadPose, Floats]:
        """The guide in its head crop, and its vertices there."""
        matrix = crop.to_crop() @ pose.matrices()[0]
        scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
        rotation, translation = (UPRIGHT @ matrix[:3, :3] / scale)[None], upright(matrix[:3, 3])[None]
        vertices = transform(matrix, self.model.vertices(pose.coefficients[0]))
        return HeadPose(np.array([scale]), rotation, translation, pose.coefficients), vertices

    def _neck(self, guide: HeadPose) -> Floats:
        """The plane through the neck, (4,), head crop frame."""
        return np.asarray(self.model.neck_plane(guide.coefficients[0]) @ np.linalg.inv(guide.matrices()[0]))


def guide_pictures(model: HeadModel, vertices: Floats) -> Singles:
    """(5, 96, 96) float32 - see `vrn.avatar.guide`; vertices : (v, 3) float64, head crop frame."""
    found = crossings(to_columns(vertices), model.triangles, COLUMNS, COLUMNS)
    shown, shares, depth = foremost(found, COLUMNS, COLUMNS)
    return guide_maps(shown, shares, depth, model.triangles, model.neutral)


def constants_of(model: HeadModel) -> tuple[NDArray[Any], ...]:
    """What the graph wants of a head model: its neutral head (v, 3) and its shapes. Nothing large is copied."""
    return model.neutral, *model.shapes.constants()


def untrained(model: HeadModel) -> GuidedNetwork:
    """A network whose answer is, but for little, the guide."""
    from vrn.engine.torch_graph import TorchGraph  # here, because only training and tests want it
    from vrn.network.guided import GuidedHourglass

    return GuidedNetwork(TorchGraph(GuidedHourglass(GuidedConfig()), constants=constants_of(model)), model)


def load_guided(path: str | Path, engine: Engine | None = None) -> GuidedNetwork:
    """Bundled weights by name, or a file. Raises WeightsError."""
    model = load_model()
    return GuidedNetwork(open_graph(path, (FAMILY,), engine, constants_of(model)), model)
