"""The mesh: what a reconstruction hands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vrn.colour import Paint, upright
from vrn.face import Face
from vrn.frames import OUTER_EYE_CORNERS, OUTER_EYE_MM, mesh_to_photo, transform
from vrn.pose import Pose

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Texture:
    """A picture for a surface.

    Attributes
    ----------
    image : (h, w, 3) uint8 - sRGB
    uv : (n, 2) float32 - per vertex; u to the right, v up, (0, 0) the lower left corner of the picture
    """

    image: NDArray[np.uint8]
    uv: NDArray[np.float32]


@dataclass(frozen=True)
class Mesh:
    """A closed, coloured surface in the mesh frame: mm, x right, y up, z to the viewer.

    Attributes
    ----------
    vertices : (n, 3) float32 - mm
    triangles : (m, 3) int32 - counter-clockwise seen from outside
    normals : (n, 3) float32 - unit, outward
    colours : (n, 3) uint8 - sRGB
    confidence : (n,) uint8 - colour.Confidence: 2 seen, 1 mirrored, 0 filled
    mesh_to_photo : (4, 4) float64 - mm to photo px (x, y, depth)
    landmark_vertices : (68,) int32 - the vertex of each landmark of the 68-point scheme
    pose : Pose - of the head in the photo
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    normals: NDArray[np.float32]
    colours: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    mesh_to_photo: Floats
    landmark_vertices: NDArray[np.int32]
    pose: Pose

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """(68, 3) float32 - the landmarks on the surface, mm."""
        return self.vertices[self.landmark_vertices]

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Width, height and depth of the bounding box, estimated mm."""
        width, height, depth = np.ptp(self.vertices, axis=0).tolist()
        return (width, height, depth)

    @classmethod
    def assemble(
        cls,
        surface: tuple[NDArray[np.float32], NDArray[np.int32]],
        normals: NDArray[np.float32],
        paint: Paint,
        face: Face,
        pose: Pose,
        landmark_vertices: NDArray[np.int32],
    ) -> Self:
        """Move a painted surface from the crop to the mesh frame.

        surface : vertices (n, 3) float32 in crop px and triangles; normals : (n, 3) float32 - crop frame
        """
        vertices_crop, triangles = surface
        vertices_px = transform(face.crop.to_photo(), vertices_crop)
        matrix = mesh_to_photo((vertices_px.min(0) + vertices_px.max(0)) / 2, px_per_mm(face))
        return cls(
            transform(np.asarray(np.linalg.inv(matrix), np.float64), vertices_px).astype(np.float32),
            triangles,
            np.asarray(upright(normals), np.float32),
            np.rint(paint.colours).astype(np.uint8),
            paint.confidence,
            matrix,
            landmark_vertices,
            pose,
        )


def px_per_mm(face: Face) -> float:
    """Photo px per mm, estimated from the distance of the outer eye corners in 3D."""
    right, left = face.landmarks_px[list(OUTER_EYE_CORNERS)]
    return float(np.linalg.norm(right - left)) / OUTER_EYE_MM
