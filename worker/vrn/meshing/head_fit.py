"""Where a head looks: a similarity fit of its 68 landmarks to those of a mean head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Pose

Floats = NDArray[np.float64]

# The 68 landmarks of the neutral mean head of ICT-FaceKit (USC Institute for Creative Technologies, MIT licence), mm:
# x = the subject's left, y up, z out of the face, origin between the outer eye corners. Symmetric in x.
# fmt: off
MEAN_LANDMARKS_MM: Floats = np.array([
    (-73, -17, -65), (-71, -36, -62), (-68, -53, -58), (-64, -69, -54), (-58, -83, -44), (-49, -94, -27),
    (-38, -100, -7), (-22, -105, 12), (0, -108, 20), (22, -105, 12), (38, -100, -7), (49, -94, -27),
    (58, -83, -44), (64, -69, -54), (68, -53, -58), (71, -36, -62), (73, -17, -65), (-59, 12, -7),
    (-51, 20, 5), (-40, 24, 13), (-29, 23, 18), (-19, 21, 20), (19, 21, 20), (29, 23, 18),
    (40, 24, 13), (51, 20, 5), (59, 12, -7), (0, 0, 23), (0, -12, 32), (0, -23, 41),
    (0, -31, 45), (-12, -43, 24), (-6, -43, 28), (0, -44, 32), (6, -43, 28), (12, -43, 24),
    (-45, 0, 0), (-39, 4, 8), (-28, 5, 9), (-18, -2, 6), (-27, -3, 8), (-39, -4, 6),
    (18, -2, 6), (28, 5, 9), (39, 4, 8), (45, 0, 0), (39, -4, 6), (27, -3, 8),
    (-25, -70, 16), (-17, -62, 26), (-7, -59, 31), (0, -59, 32), (7, -59, 31), (17, -62, 26),
    (25, -70, 16), (18, -75, 23), (10, -77, 28), (0, -78, 29), (-10, -77, 28), (-18, -75, 23),
    (-22, -69, 15), (-10, -67, 25), (0, -68, 27), (10, -67, 25), (22, -69, 15), (11, -68, 24),
    (0, -68, 26), (-11, -68, 24),
], np.float64)
# fmt: on


@dataclass(frozen=True)
class Plane:
    """A plane through `point`, (3,), with the unit `normal`, (3,)."""

    point: Floats
    normal: Floats

    def reflect(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mirror images of (n, 3) points."""
        return self.reflect_directions(points) + np.float32(2 * self.point @ self.normal) * self._normal32

    def reflect_directions(self, directions: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mirror images of (n, 3) directions."""
        return directions - (2 * (directions @ self._normal32))[:, None] * self._normal32

    @property
    def _normal32(self) -> NDArray[np.float32]:
        return self.normal.astype(np.float32)


@dataclass(frozen=True)
class HeadFit:
    """The mean head laid over a face's landmarks: ``point = scale * rotation @ mean + centre``.

    Attributes
    ----------
    scale : landmark units per mm of the mean head
    rotation : (3, 3) float64 - head axes to the landmarks' axes, without reflection
    centre : (3,) float64 - the middle of the eyes, in the plane of symmetry
    """

    scale: float
    rotation: Floats
    centre: Floats

    @classmethod
    def of(cls, landmarks: NDArray[np.floating]) -> Self:
        """Least squares after Umeyama 1991.

        landmarks : (68, 3) float - a right-handed frame with y up
        """
        mean, found = MEAN_LANDMARKS_MM, np.asarray(landmarks, np.float64)
        mean_centre, found_centre = mean.mean(0), found.mean(0)
        u, s, vt = np.linalg.svd((found - found_centre).T @ (mean - mean_centre))
        sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        rotation = (u * sign) @ vt
        scale = float((s * sign).sum() / ((mean - mean_centre) ** 2).sum())
        return cls(scale, rotation, found_centre - scale * rotation @ mean_centre)

    @property
    def pose(self) -> Pose:
        """The rotation as angles."""
        return Pose.of_rotation(self.rotation)

    @property
    def symmetry(self) -> Plane:
        """The plane of symmetry, in the landmarks' frame."""
        return Plane(self.centre, self.rotation[:, 0])
