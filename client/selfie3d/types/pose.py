"""Where a head looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """How the head is turned against the camera: ``Ry(yaw) @ Rx(-pitch) @ Rz(-roll)``, y up, z to the viewer.

    Attributes
    ----------
    yaw : degrees; positive = the nose points to the right of the photo
    pitch : degrees; positive = the nose points up
    roll : degrees; positive = the head is tilted clockwise in the photo
    """

    yaw: float
    pitch: float
    roll: float

    @classmethod
    def of_rotation(cls, rotation: Floats) -> Self:
        """rotation : (3, 3) float64 - head axes (its left, up, out of the face) to x right, y up, z to the viewer."""
        yaw = np.arctan2(rotation[0, 2], rotation[2, 2])
        pitch = np.arcsin(np.clip(rotation[1, 2], -1, 1))
        roll = np.arctan2(-rotation[1, 0], rotation[1, 1])
        return cls(*(float(np.degrees(angle)) for angle in (yaw, pitch, roll)))

    @property
    def rotation(self) -> Floats:
        """(3, 3) float64 - head axes to camera axes; its third column is where the nose points."""
        (cy, cp, cr), (sy, sp, sr) = (f(np.radians([self.yaw, self.pitch, self.roll])) for f in (np.cos, np.sin))
        around_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        around_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        around_z = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
        return np.asarray(around_y @ around_x @ around_z)
