"""Which vertices of a whole head lie next to the points of its marched surface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from selfie3d.types.frames import upright
from vrn.avatar.whole_head import WholeHead
from vrn.meshing.normals import vertex_normals
from vrn.meshing.relaxation import relaxed
from vrn.meshing.sums import incidence
from vrn.meshing.visibility import smoothstep

Floats = NDArray[np.float32]

COUNT = 5
LEAST_PX = 1e-3  # distance of the first that counts no more, where vertices coincide
AGREEMENT = (0.2, 0.7)  # cosine between their normals and the marched surface's from which they count


@dataclass(frozen=True)
class Neighbours:
    """The nearest vertices of the head model to each of n points.

    Attributes
    ----------
    index : (n, COUNT) - nearest first
    weights : (n, COUNT) float32 - how much each counts, 0..1: near ones that face the same way
    """

    index: NDArray[np.intp]
    weights: Floats

    @classmethod
    def of(cls, whole: WholeHead, points: Floats, normals: Floats, model_normals: Floats) -> Self:
        """points, normals : (n, 3) float32 - head crop frame; model_normals : (v, 3) float32 - of whole.vertices."""
        tree = cKDTree(whole.vertices, balanced_tree=False)  # built in half the time
        found = tree.query(points, COUNT + 1)
        distance, index = (np.ascontiguousarray(each.T) for each in found)  # numpy is slow along short rows
        reach = np.maximum(distance[COUNT], LEAST_PX)  # no weight is left where a neighbour gives way to the next
        weights = ((1 - np.minimum(distance[:COUNT] / reach, 1) ** 2) ** 2).astype(np.float32)
        index = index[:COUNT]
        agree = sum(np.ascontiguousarray(model_normals[:, c]).take(index) * normals[:, c] for c in range(3))
        weights *= smoothstep(np.asarray(agree), AGREEMENT)
        return cls(np.asarray(index.T, np.intp), weights.T)

    def of_points(self, chosen: NDArray[np.intp]) -> Neighbours:
        """Of some of the points, (m,) indices."""
        return Neighbours(self.index.T.take(chosen, 1).T, self.weights.T.take(chosen, 1).T)

    def mean(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """(n, c) float - weighted means of values (v, c) of the model's vertices; the nearest's where none counts."""
        return np.asarray(self._shares @ values[: self._shares.shape[1]])

    @cached_property
    def _shares(self) -> csr_array:
        """The weights so that they add up to 1; the nearest's is 1 where none counts."""
        total = row_sums(self.weights) + np.float32(1e-6)
        shares = self.weights / total[:, None]
        shares[:, 0] += np.float32(1e-6) / total
        (points, count), nodes = self.index.shape, self.index.ravel().astype(np.int32)
        ends = np.arange(0, points * count + 1, count, dtype=np.int32)
        return csr_array((shares.ravel(), nodes, ends), (points, int(nodes.max()) + 1))


def row_sums(values: Floats) -> Floats:
    """(n,) float32 - of (n, k), k few: column by column, which is much quicker than `sum` along short rows."""
    total = values[:, 0].copy()
    for column in values.T[1:]:
        total += column
    return total


def model_normals(whole: WholeHead) -> Floats:
    """(v, 3) float32 - outward normals of a head's vertices, head crop frame."""
    return upright(vertex_normals(upright(whole.vertices.astype(np.float32)), whole.model.triangles))


def onto_model(
    whole: WholeHead, vertices: Floats, triangles: NDArray[np.int32], spacing: float
) -> tuple[Floats, Floats, Neighbours]:
    """Vertices moved onto the head's own surface, its normals there, both (n, 3) float32, and their neighbours.

    A volume holds a surface to a fraction of its step, which shows as rings where the light grazes it. The surface
    is the zero of the weighted mean of the distances to the neighbours along their normals (Kolluri, Provably good
    moving least squares, 2008). Along a neighbour's normal alone they would be distances to its tangent plane, and the
    surface would rise between the head's vertices like a golf ball; halfway between its normal and the point's own,
    they are exact on every sphere.

    vertices : (n, 3) float32 - head crop frame; spacing : px between them, of which half is the furthest move
    """
    around = incidence(triangles, len(vertices))
    normals, of_model = upright(vertex_normals(upright(vertices), triangles, around)), model_normals(whole)
    vertices = relaxed(vertices, normals, triangles, around)
    near = Neighbours.of(whole, vertices, normals, of_model)
    total = row_sums(near.weights)
    share = total / (total + np.float32(1e-3))
    towards, along, at = np.split(near.mean(_planes(whole, of_model)), [3, 4], 1)
    smooth = normals + (towards - normals) * share[:, None]
    smooth /= np.maximum(np.sqrt(row_sums(smooth * smooth)), 1e-6)[:, None]
    # the mean over the neighbours of (towards + smooth) @ (vertex - at) / 2
    off = (row_sums(vertices * (towards + smooth) - at * smooth) - along[:, 0]) / 2
    moved = vertices - np.clip(share * off, -spacing / 2, spacing / 2)[:, None] * smooth
    return np.asarray(moved, np.float32), np.asarray(smooth, np.float32), near


def _planes(whole: WholeHead, normals: Floats) -> NDArray[np.float64]:
    """(v, 7) float64 - the normals of a head's vertices, how far the vertices lie along them, and the vertices."""
    vertices = whole.vertices
    return np.concatenate([normals, (vertices * normals).sum(1, keepdims=True), vertices], 1)
