"""The morphable head: shapes, landmarks, the planes that cut it to a face, and the way from the head to a picture.

Head frame: cm, x to the subject's left (right of a frontal picture), y up, z out of the face.
Picture frame: px, x right, y down, depth towards the viewer. A (4, 4) matrix leads from one to the other.
Planes are rows (a, b, c, d); points with a x + b y + c z + d >= 0 are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from selfie3d.types.frames import upright
from selfie3d_training.errors import DataError
from selfie3d_training.raster import rasterise

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

JAW_ENDS = (0, 16)  # landmarks in front of the ears
CHIN = 8  # landmark
BEHIND_JAW_CM = 3.3  # the face ends this far behind the jaw's ends, as in the paper's volumes
UNDER_CHIN_CM = 2.4  # and this far under the chin
NECK_TILT = 0.12  # the lower plane drops this much per cm towards the front
NOSE = slice(27, 36)  # landmarks
NOSE_REACH_CM = np.array([0.3, 0.3, 1.3])  # around them; the hollow reaches into the head
NOSE_PX = 100.0  # per cm, of the picture that tells what is hidden
HIDDEN_CM = 0.15  # behind what is seen in front
PIVOT_CM = (0.0, 0.0, 2.0)  # a point near the head's axis, inside every shape


@dataclass(frozen=True)
class Head:
    """A watertight head with identity and expression shapes.

    Attributes
    ----------
    neutral : (v, 3) float32 - cm, head frame
    triangles : (t, 3) int64 - counter-clockwise from outside
    identity : (i, v * 3) float32 - cm per standard deviation
    expression : (e, v * 3) float32 - cm at full expression
    landmark_vertices : (68, 3) int64 and landmark_weights : (68, 3) float32 - barycentric points
    """

    neutral: Singles
    triangles: NDArray[np.int64]
    identity: Singles
    expression: Singles
    landmark_vertices: NDArray[np.int64]
    landmark_weights: Singles

    @classmethod
    def load(cls, path: Path | str) -> Head:
        """From head_model.npz. Raises DataError when the file or an array is missing."""
        if not Path(path).is_file():
            raise DataError(f"{path} is missing")
        with np.load(path) as arrays:
            try:
                whole = cls(
                    arrays["neutral"].astype(np.float32),
                    arrays["triangles"].astype(np.int64),
                    arrays["identity"].astype(np.float32).reshape(len(arrays["identity"]), -1),
                    arrays["expression"].astype(np.float32).reshape(len(arrays["expression"]), -1),
                    arrays["landmark_vertices"].astype(np.int64),
                    arrays["landmark_weights"].astype(np.float32),
                )
            except KeyError as error:
                raise DataError(f"{path} is no head model: {error.args[0]}") from error
        return whole.closed(whole.nostrils)

    def closed(self, holes: NDArray[np.bool_]) -> Head:
        """With a membrane in place of the vertices in `holes` (v,): each the mean of its neighbours, in every shape."""
        if not holes.any():
            return self
        starts, indices = self.neighbours
        counts = np.diff(starts)
        means = csr_matrix((np.repeat(1 / counts, counts), indices, starts))[holes]
        solve = splu((identity(int(holes.sum())) - means[:, holes]).tocsc()).solve

        def spanned(shapes: Singles) -> Singles:
            out = shapes.reshape(-1, len(self.neutral), 3).copy()
            for shape in out:
                shape[holes] = solve(means[:, ~holes] @ shape[~holes].astype(np.float64))
            return out.reshape(shapes.shape)

        return replace(
            self,
            neutral=spanned(self.neutral),
            identity=spanned(self.identity),
            expression=spanned(self.expression),
        )

    @cached_property
    def nostrils(self) -> NDArray[np.bool_]:
        """(v,) bool - the vertices of the hollow inside the nose, which no photo shows.

        It is as deep as the nose. A network that does not know the nose's place to the px averages shell and hollow,
        and the nose gets a hook.
        """
        nose = self.landmarks(self.neutral)[NOSE]
        low, high = nose.min(0) - NOSE_REACH_CM, nose.max(0) + NOSE_REACH_CM
        near = ((self.neutral > low) & (self.neutral < high)).all(1)
        seen = (self.neutral - np.array([low[0], high[1], 0.0])) * np.array([NOSE_PX, -NOSE_PX, 1.0])
        width, height, _ = np.ceil((high - low) * NOSE_PX).astype(int)
        depth, _, _ = rasterise(seen, self.triangles, int(height), int(width))
        column, row = seen[near, :2].astype(int).T
        hidden = near.copy()
        hidden[near] = depth[row, column] > self.neutral[near, 2] + HIDDEN_CM
        return np.asarray(hidden)

    def vertices(self, identity: Singles, expression: Singles) -> Singles:
        """(n, i) and (n, e) coefficients -> (n, v, 3) float32, cm."""
        offsets = identity @ self.identity + expression @ self.expression
        return self.neutral + offsets.reshape(len(offsets), -1, 3)

    def landmarks(self, vertices: NDArray[np.floating]) -> NDArray[np.floating]:
        """(..., v, 3) -> (..., 68, 3), in the frame of the vertices."""
        corners = vertices[..., self.landmark_vertices, :]
        return np.asarray((corners * self.landmark_weights[..., None]).sum(-2))

    def face_planes(self, identity: Singles) -> Floats:
        """The planes that cut skull and neck away, from the shape without expression: (i,) -> (2, 4) float64."""
        jaw = self._landmarks_of(identity)
        behind = (jaw[JAW_ENDS[0], 2] + jaw[JAW_ENDS[1], 2]) / 2 - BEHIND_JAW_CM
        under = jaw[CHIN, 1] - UNDER_CHIN_CM
        return np.array([[0.0, 0.0, 1.0, -behind], [0.0, 1.0, NECK_TILT, -under]])

    def _landmarks_of(self, identity: Singles) -> Floats:
        """Landmarks of the shape without expression: only their own vertices are computed."""
        neutral, basis = self._landmark_shapes
        return np.asarray(neutral + np.tensordot(identity, basis, 1), np.float64)

    @cached_property
    def _landmark_shapes(self) -> tuple[Singles, Singles]:
        shapes = self.identity.reshape(len(self.identity), -1, 3)
        return np.asarray(self.landmarks(self.neutral)), np.asarray(self.landmarks(shapes))

    @cached_property
    def mirror(self) -> NDArray[np.int64]:
        """(v,) int64 - for each vertex the one at its place on the other side of the neutral head."""
        return np.asarray(cKDTree(self.neutral).query(self.neutral * [-1, 1, 1])[1], np.int64)

    @cached_property
    def neighbours(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Vertices that share an edge, as (starts (v + 1,), indices): row v is indices[starts[v]:starts[v + 1]]."""
        edges = np.concatenate([self.triangles[:, [0, 1]], self.triangles[:, [1, 2]], self.triangles[:, [2, 0]]])
        both = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
        return np.searchsorted(both[:, 0], np.arange(len(self.neutral) + 1)), np.ascontiguousarray(both[:, 1])


def pose_matrix(scale: float, rotation: NDArray[np.floating], translation: NDArray[np.floating]) -> Floats:
    """The (4, 4) matrix from the head frame (cm) to the picture frame (px) of a fit of labels.npz."""
    matrix = np.eye(4)
    matrix[:3, :3] = float(scale) * upright(np.asarray(rotation, np.float64).T).T
    matrix[:3, 3] = upright(np.asarray(translation, np.float64))
    return matrix


def planes_in(matrix: Floats, planes: Floats) -> Floats:
    """Planes of the head frame in the frame that `matrix` leads to; the scale of a row is kept meaningless."""
    return np.asarray(planes @ np.linalg.inv(matrix))


def yaw_degrees(matrix: Floats) -> float:
    """The heading of the face in a picture: 0 looks at the viewer, 90 to the right of the picture."""
    forward = matrix[:3, 2]
    return float(np.degrees(np.arctan2(forward[0], forward[2])))
