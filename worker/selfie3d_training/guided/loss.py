"""The loss of the guided network: where the guide's vertices should be, and how its face is strained.

Guide and truth are shapes of one morphable head, so every vertex knows its place: that says more per sample than the
voxels' occupancy. The depth of the truth has any zero, so depths are compared without their mean difference.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from numpy.typing import NDArray
from torch import Tensor, nn

from selfie3d_training.guided.config import GuidedTrainConfig
from vrn.avatar.guide import PX_PER_CM
from vrn.avatar.model import EYE_PART, FACE_PART, MOUTH_PART, HeadModel
from vrn.network.displacement import displaced
from vrn.network.guided import Answer, Guide

FACE_WEIGHT, FEATURE_WEIGHT, EAR_WEIGHT, NECK_WEIGHT = 3.0, 6.0, 1.5, 0.15  # of a vertex, against 1 for the skull
FEATURE_CM = 1.0  # around eyes, nose and mouth
BESIDE_FACE_CM = 0.8  # around the hull of the landmarks, seen from the front
FRONT_CM = 1.0  # z of the neutral head behind which nothing is face
HUBER_PX = 1.0

Floats = NDArray[np.float64]


class HeadLoss(nn.Module):
    """The terms, and `loss`, their weighted sum; all lengths in px of the head crop."""

    weights: Tensor
    edges: Tensor
    lengths: Tensor
    neutral: Tensor
    shapes: Tensor
    front: Tensor
    corners: Tensor
    shares: Tensor

    def __init__(self, model: HeadModel, config: GuidedTrainConfig) -> None:
        super().__init__()
        self._config = config
        weights, face = vertex_weights(model)
        edges = face_edges(model, face)
        lengths = np.linalg.norm(model.neutral[edges[:, 0]] - model.neutral[edges[:, 1]], axis=1) * PX_PER_CM
        for name, value in (
            ("weights", torch.from_numpy(weights)),
            ("edges", torch.from_numpy(edges)),
            ("lengths", torch.from_numpy(np.maximum(lengths, 0.7).astype(np.float32))),
            ("neutral", torch.from_numpy(model.neutral)),
            ("shapes", torch.from_numpy(model.shapes.at()).flatten(1)),
            ("front", torch.from_numpy(face)),
            ("corners", torch.from_numpy(model.landmark_vertices)),
            ("shares", torch.from_numpy(model.landmark_weights)),
        ):
            self.register_buffer(name, value, persistent=False)

    def forward(self, answer: Answer, guide: Guide, target: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        """target : (n, v, 3) - the true vertices, and landmarks : (n, 68, 3) - the true landmarks, head crop frame."""
        coarse = guide.corrected(answer.corrections).vertices(self.neutral, self.shapes)
        fine = displaced(coarse.detach(), answer.displacement) - coarse.detach() + coarse
        wrong, coarse_wrong = self._difference(fine, target), self._difference(coarse, target)
        off = self._off_surface(landmarks, target, wrong)
        strain = wrong[:, self.edges[:, 0]] - wrong[:, self.edges[:, 1]]
        terms = {
            "place": self._mean(_huber(wrong)),
            "coarse": self._mean(_huber(coarse_wrong)),
            "landmark": off.mean(),
            "edge": (strain.norm(dim=-1) / self.lengths).mean(),
            "smooth": _second_differences(answer.displacement),
            "face": wrong[:, self.front].norm(dim=-1).mean().detach(),
            "coarse_face": coarse_wrong[:, self.front].norm(dim=-1).mean().detach(),
            "whole": wrong.norm(dim=-1).mean().detach(),
        }
        config = self._config
        terms["loss"] = (
            terms["place"]
            + config.coarse_weight * terms["coarse"]
            + config.landmark_weight * terms["landmark"]
            + config.edge_weight * terms["edge"]
            + config.smooth_weight * terms["smooth"]
        )
        return terms

    def _off_surface(self, landmarks: Tensor, target: Tensor, wrong: Tensor) -> Tensor:
        """(n, 68) px - how far the landmarks lie off the head, along the true head's normals, at the same offset."""
        corners = target[:, self.corners]  # (n, 68, 3, 3)
        normals = torch.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0], dim=-1)
        normals = F.normalize(normals, dim=-1)
        at = (target[:, self.corners] * self.shares[..., None]).sum(2)
        moved = (wrong[:, self.corners] * self.shares[..., None]).sum(2)  # found - at, without the offset
        label = landmarks - at
        label = label - F.pad(label[..., 2].median(1, keepdim=True)[0][..., None], (2, 0))
        return ((moved - label) * normals).sum(-1).abs()

    def _difference(self, found: Tensor, target: Tensor) -> Tensor:
        difference = found - target
        depth = (difference[..., 2] * self.weights).sum(1) / self.weights.sum()
        return difference - F.pad(depth[:, None, None], (2, 0))

    def _mean(self, values: Tensor) -> Tensor:
        return (values * self.weights).sum(1).mean() / self.weights.sum()


def vertex_weights(model: HeadModel) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(v,) float32 - how much each vertex counts, and (v,) bool - the vertices of the face's front."""
    from scipy.spatial import ConvexHull, cKDTree

    place = model.neutral
    landmarks = model.landmarks(place)
    of_part = {part: np.zeros(len(place), bool) for part in range(5)}
    for part, mask in of_part.items():
        mask[np.unique(model.triangles[model.parts == part])] = True
    hull = ConvexHull(landmarks[:, :2])
    outside = (place[:, :2] @ hull.equations[:, :2].T + hull.equations[:, 2]).max(1)
    front = of_part[FACE_PART] & (outside < BESIDE_FACE_CM) & (place[:, 2] > FRONT_CM)
    features = cKDTree(landmarks[27:]).query(place)[0] < FEATURE_CM
    ears = of_part[FACE_PART] & (np.abs(place[:, 0]) > 7.0) & (np.abs(place[:, 1] - 1.0) < 4.0) & (place[:, 2] < 4.0)
    weights = np.sqrt(vertex_areas(model))
    factor = np.ones(len(place))
    factor[ears] = EAR_WEIGHT
    factor[front] = FACE_WEIGHT
    factor[(front & features) | of_part[EYE_PART]] = FEATURE_WEIGHT
    factor[of_part[MOUTH_PART] & ~front] = FACE_WEIGHT
    plane = model.neck_plane(np.zeros(len(model.shapes)))
    factor[place @ plane[:3] + plane[3] < 0] = NECK_WEIGHT
    weights = weights * factor
    return (weights / weights.mean()).astype(np.float32), front


def vertex_areas(model: HeadModel) -> Floats:
    """(v,) float64 - a third of the area of the triangles around each vertex, cm^2."""
    a, b, c = (model.neutral[model.triangles[:, k]].astype(np.float64) for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    areas_at = np.bincount(model.triangles.ravel(), np.repeat(areas / 3, 3), len(model.neutral))
    return np.asarray(areas_at, np.float64)


def face_edges(model: HeadModel, face: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(e, 2) int64 - the edges between vertices of the face, each once."""
    triangles = model.triangles
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = edges[(edges[:, 0] < edges[:, 1]) & face[edges].all(1)]
    return np.ascontiguousarray(edges)


def _huber(wrong: Tensor) -> Tensor:
    """(n, v) - the length of each vector, quadratic under 1 px."""
    length = (wrong.square().sum(-1) + 1e-12).sqrt()
    return torch.where(length < HUBER_PX, 0.5 * length**2 / HUBER_PX, length - 0.5 * HUBER_PX)


def _second_differences(field: Tensor) -> Tensor:
    across = field[..., 2:] - 2 * field[..., 1:-1] + field[..., :-2]
    down = field[..., 2:, :] - 2 * field[..., 1:-1, :] + field[..., :-2, :]
    return across.abs().mean() + down.abs().mean()
