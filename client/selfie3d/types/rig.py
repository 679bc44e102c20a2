"""What makes a face move: expressions as displacements of the mesh's vertices, and eyes that turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Eye:
    """An eyeball, a mesh of its own that turns about its centre. It looks along z.

    Attributes
    ----------
    name : "eyeLeft" or "eyeRight", the subject's
    centre : (3,) float64 - mesh frame, mm
    rotation : (3, 3) float64 - how it is turned in the photo
    vertices : (n, 3) float32 - mm from the centre
    triangles : (m, 3) int32
    uv : (n, 2) float32 - in the texture of the face
    """

    name: str
    centre: NDArray[np.float64]
    rotation: NDArray[np.float64]
    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    uv: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Rig:
    """Expressions of a mesh whose vertices are those of the neutral face.

    Attributes
    ----------
    names : of the expressions, as ARKit names them
    deltas : (k, n, 3) float32 - mm by which each moves the mesh's vertices at weight 1
    weights : (k,) float64 0..1 - what the photo shows; 0 where a neutral face was asked for
    eyes : the right one and the left one
    """

    names: tuple[str, ...]
    deltas: NDArray[np.float32]
    weights: NDArray[np.float64]
    eyes: tuple[Eye, ...] = ()

    def moved(self, vertices: NDArray[np.float32], weights: NDArray[np.floating]) -> NDArray[np.float32]:
        """The neutral vertices (n, 3) with expressions of so much weight, (k,)."""
        return vertices + np.tensordot(weights.astype(np.float32), self.deltas, 1)
