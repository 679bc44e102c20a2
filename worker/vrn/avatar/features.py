"""Finer triangles around eyes, lips and nostrils, which a volume's columns are too coarse for."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vrn.avatar.model import HeadModel
from vrn.avatar.whole_head import WholeHead
from vrn.meshing.subdivision import subdivided

NOSTRILS, EYES, LIPS = range(31, 36), range(36, 48), range(48, 68)  # landmarks
FEATURES = (  # landmarks, cm around them on the neutral head, and the px between vertices that is fine enough
    ((*NOSTRILS, *EYES, *LIPS), 0.9, 1.0),
    ((*EYES,), 0.55, 0.5),
)
WINGS_CM = 1.5  # around the landmarks of the nostrils: the wings of the nose
BESIDE = 0.75  # of the spacing: how far from such a place of the head a vertex belongs to it

Floats = NDArray[np.float32]
Triangles = NDArray[np.int32]


def refined(whole: WholeHead, vertices: Floats, triangles: Triangles, spacing: float) -> tuple[Floats, Triangles]:
    """Halve the edges of a marched surface around the features, those of the eyes twice; of a coarse preview none.

    vertices : (n, 3) float32 - head crop frame; spacing : px between them
    """
    for landmarks, radius, enough in FEATURES:
        if enough < spacing <= 2 * enough:
            feature = whole.vertices[_around(whole.model, landmarks, radius)]
            vertices, triangles = subdivided(vertices, triangles, _beside(vertices, feature, BESIDE * spacing))
            spacing /= 2
    return vertices, triangles


def at_eyes_or_lips(model: HeadModel) -> NDArray[np.bool_]:
    """(v,) bool - which of the model's vertices belong to the eyes or the lips."""
    return _within(model, (*EYES, *LIPS), FEATURES[0][1])


def at_nostrils(model: HeadModel) -> NDArray[np.bool_]:
    """(v,) bool - which of the model's vertices belong to the nostrils and the nose's wings."""
    return _within(model, (*NOSTRILS,), WINGS_CM)


def _within(model: HeadModel, landmarks: tuple[int, ...], radius: float) -> NDArray[np.bool_]:
    chosen = np.zeros(len(model.neutral), bool)
    chosen[_around(model, landmarks, radius)] = True
    return chosen


def _beside(vertices: Floats, feature: NDArray[np.floating], within: float) -> NDArray[np.bool_]:
    """(n,) bool - which vertices lie within a distance of a feature's points."""
    low, high = feature.min(0) - within, feature.max(0) + within
    near = np.arange(len(vertices))
    for column, least, most in zip(vertices.T, low, high, strict=True):
        some = column.take(near)
        near = near.compress((some >= least) & (some <= most))
    away, _ = cKDTree(feature).query(vertices[near], distance_upper_bound=within)
    beside = np.zeros(len(vertices), bool)
    beside[near[np.isfinite(away)]] = True
    return beside


@lru_cache(maxsize=len(FEATURES) + 2)
def _around(model: HeadModel, landmarks: tuple[int, ...], radius: float) -> NDArray[np.intp]:
    """The model's vertices within a radius of landmarks of the neutral head, cm."""
    away, _ = cKDTree(model.landmarks(model.neutral)[list(landmarks)]).query(model.neutral)
    return np.flatnonzero(away <= radius)
