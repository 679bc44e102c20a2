"""A watertight morphable head: skull, ears, eyes with lids, a mouth with a cavity, neck.

Head frame: cm, x to the subject's left, y up, z out of the face; the tip of the nose lies near (0, 0, 13).
The numbers are derived from ICT-FaceKit (USC Institute for Creative Technologies, MIT licence, NOTICE.txt beside
this file). Nostrils are closed by a membrane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.shapes import HeadShapes
from vrn.errors import WeightsError
from vrn.meshing.normals import vertex_normals

MODEL_FILE = Path(__file__).with_name("head.npz")
SHAPES_SUFFIX = ".npy"  # of the file beside it with the shapes
CHIN = 8  # landmark
UNDER_CHIN_CM = 1.6  # the neck is cut this far under the chin
NECK_TILT = 0.12  # the cut rises this much per cm towards the back, where the neck of the model ends higher
FACE_PART, HEAD_PART, EYE_PART, MOUTH_PART, CAP_PART = range(5)  # parts of the triangles

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HeadModel:
    """Shapes of a head; a head is ``neutral`` and the sum of the shapes, each times its coefficient.

    Attributes
    ----------
    neutral : (v, 3) float32 - cm, head frame
    triangles : (t, 3) int64 - counter-clockwise seen from outside
    parts : (t,) int8 - FACE_PART, HEAD_PART, EYE_PART, MOUTH_PART or CAP_PART
    shapes : k of them, cm per unit: identities (standard deviations), then expressions (0..1)
    identities : how many of the shapes are identities
    landmark_vertices : (68, 3) int64 and landmark_weights : (68, 3) float32 - landmarks as barycentric points
    dense_vertices, dense_weights : the same of the 478 points of the face mesh topology
    mirror : (v,) int64 - for each vertex the one at its place on the other side
    """

    neutral: Singles
    triangles: NDArray[np.int64]
    parts: NDArray[np.int8]
    shapes: HeadShapes
    identities: int
    landmark_vertices: NDArray[np.int64]
    landmark_weights: Singles
    dense_vertices: NDArray[np.int64]
    dense_weights: Singles
    mirror: NDArray[np.int64]

    @classmethod
    def load(cls, path: Path | str = MODEL_FILE) -> HeadModel:
        """Raises WeightsError when the file or that of its shapes is missing, damaged or no head model."""
        try:
            with np.load(path) as arrays:
                return cls(
                    arrays["neutral"].astype(np.float32),
                    arrays["triangles"].astype(np.int64),
                    arrays["parts"].astype(np.int8),
                    _shapes(Path(path).with_suffix(SHAPES_SUFFIX), arrays),
                    int(arrays["identities"]),
                    arrays["landmark_vertices"].astype(np.int64),
                    arrays["landmark_weights"].astype(np.float32),
                    arrays["dense_vertices"].astype(np.int64),
                    arrays["dense_weights"].astype(np.float32),
                    arrays["mirror"].astype(np.int64),
                )
        except (OSError, KeyError, ValueError, BadZipFile) as error:
            raise WeightsError(f"{path} is no head model: {error}") from error

    def vertices(self, coefficients: NDArray[np.floating]) -> Singles:
        """(..., k) -> (..., v, 3) float32, cm, head frame."""
        return np.asarray(self.neutral + self.shapes.summed(coefficients))

    def expressed(self, expression: NDArray[np.floating]) -> Singles:
        """(e,) of the expressions -> (v, 3) float32 - how they move the vertices, cm, head frame."""
        return self.shapes.summed(np.concatenate([np.zeros(self.identities), expression]))

    def landmarks(self, vertices: NDArray[np.floating]) -> NDArray[np.floating]:
        """(..., v, 3) -> (..., 68, 3), in the frame of the vertices."""
        return _between(vertices[..., self.landmark_vertices, :], self.landmark_weights)

    def dense(self, vertices: NDArray[np.floating]) -> NDArray[np.floating]:
        """(..., v, 3) -> (..., 478, 3), in the frame of the vertices."""
        return _between(vertices[..., self.dense_vertices, :], self.dense_weights)

    @cached_property
    def landmark_indices(self) -> NDArray[np.int32]:
        """(68,) int32 - the vertex nearest to each landmark."""
        return _heaviest(self.landmark_vertices, self.landmark_weights)

    @cached_property
    def dense_indices(self) -> NDArray[np.int32]:
        """(478,) int32 - the vertex nearest to each point of the face mesh topology."""
        return _heaviest(self.dense_vertices, self.dense_weights)

    @cached_property
    def hollow(self) -> Singles:
        """(v,) float32 - cm by which the neighbours of each vertex of the neutral head rise above it: where the head is
        hollow, and light hardly comes."""
        a, b = np.concatenate([self.triangles[:, [0, 1]], self.triangles[:, [1, 2]], self.triangles[:, [2, 0]]]).T
        count = np.bincount(a, minlength=len(self.neutral))
        normals = vertex_normals(self.neutral, self.triangles)

        def around(values: Singles) -> Singles:
            return np.stack([np.bincount(a, column[b], len(count)) / count for column in values.T], 1)

        smooth = around(around(around(self.neutral)))
        return np.asarray(((smooth - self.neutral) * normals).sum(1), np.float32)

    @cached_property
    def landmark_shapes(self) -> tuple[Floats, Floats]:
        """The landmarks of the neutral head, (68, 3), and of every shape, (k, 68, 3), both float64."""
        shapes = _between(self.shapes.at(self.landmark_vertices), self.landmark_weights)
        return self.landmarks(self.neutral).astype(np.float64), shapes.astype(np.float64)

    @cached_property
    def _dense_shapes(self) -> dict[tuple[int, ...], tuple[Floats, Floats]]:
        return {}

    def dense_shapes(self, indices: tuple[int, ...]) -> tuple[Floats, Floats]:
        """As `landmark_shapes` for some of the 478 points: (m, 3) and (k, m, 3) float64."""
        if indices not in self._dense_shapes:
            some = list(indices)
            shapes = _between(self.shapes.at(self.dense_vertices[some]), self.dense_weights[some])
            self._dense_shapes[indices] = self.dense(self.neutral)[some].astype(np.float64), shapes.astype(np.float64)
        return self._dense_shapes[indices]

    def neck_plane(self, coefficients: NDArray[np.floating]) -> Floats:
        """(4,) float64 - the cut through the neck: points with a x + b y + c z + d >= 0 belong to the head.

        It follows the chin of the shape with its mouth shut.
        """
        neutral, shapes = self.landmark_shapes
        chin = neutral[CHIN] + coefficients[: self.identities] @ shapes[: self.identities, CHIN]
        return np.array([0.0, 1.0, NECK_TILT, -(chin[1] - UNDER_CHIN_CM) - NECK_TILT * chin[2]])


def _shapes(path: Path, about: Mapping[str, NDArray[Any]]) -> HeadShapes:
    steps, small = about["steps"].astype(np.float32), about["small"].astype(bool)
    return HeadShapes.load(path, steps, small, len(about["neutral"]), int(about["shapes_crc32"]))


def _between(corners: NDArray[np.floating], weights: Singles) -> NDArray[np.floating]:
    """Barycentric points: (..., n, 3, 3), the corners of each, and (n, 3) -> (..., n, 3)."""
    return np.asarray((corners * weights[..., None]).sum(-2))


def _heaviest(vertices: NDArray[np.int64], weights: Singles) -> NDArray[np.int32]:
    """(n,) int32 - of the corners of barycentric points, (n, 3) both, those with the largest weights."""
    return np.take_along_axis(vertices, weights.argmax(1)[:, None], 1)[:, 0].astype(np.int32)


@lru_cache(maxsize=1)
def load_model() -> HeadModel:
    """The head that comes with the package, read once."""
    return HeadModel.load()
