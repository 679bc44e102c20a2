"""The mesh: what a reconstruction hands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import OUTER_EYE_CORNERS, OUTER_EYE_MM, mesh_to_photo, transform
from vrn.finder.face import Face
from vrn.meshing.colour import Paint, upright
from vrn.meshing.pose import Pose

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Texture:
    """A picture for a mesh. Vertices on a seam of the picture appear once for each side of it.

    Attributes
    ----------
    image : (h, w, 3) uint8 - sRGB
    uv : (k, 2) float32 - u to the right, v up, (0, 0) the lower left corner of the picture
    source : (k,) int32 - the mesh's vertex
    triangles : (m, 3) int32 - the mesh's triangles in these k vertices
    """

    image: NDArray[np.uint8]
    uv: NDArray[np.float32]
    source: NDArray[np.int32]
    triangles: NDArray[np.int32]


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
    texture : Texture | None
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    normals: NDArray[np.float32]
    colours: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    mesh_to_photo: Floats
    landmark_vertices: NDArray[np.int32]
    pose: Pose
    texture: Texture | None = None

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """(68, 3) float32 - the landmarks on the surface, mm."""
        return self.vertices[self.landmark_vertices]

    @property
    def axes(self) -> Floats:
        """(3, 3) float64 - the mesh's axes to the camera's (x right, y up, z to the viewer), a rotation."""
        linear = np.diag([1.0, -1.0, 1.0]) @ self.mesh_to_photo[:3, :3]
        return np.asarray(linear / np.cbrt(np.linalg.det(linear)))

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
        axes: Floats,
        texture: Texture | None,
    ) -> Self:
        """Move a painted surface from the crop to the mesh frame.

        surface : vertices (n, 3) float32 in crop px and triangles; normals : (n, 3) float32 - crop frame
        axes : (3, 3) float64 - mesh axes to the camera's (x right, y up, z to the viewer)
        """
        vertices_crop, triangles = surface
        turn = np.eye(4)
        turn[:3, :3] = axes
        matrix = mesh_to_photo(np.zeros(3), px_per_mm(face)) @ turn
        from_crop = np.linalg.inv(matrix) @ face.crop.to_photo()
        vertices = transform(from_crop, vertices_crop)
        middle = np.array([(column.min() + column.max()) / 2 for column in vertices.T])
        matrix[:3, 3] = matrix[:3, :3] @ middle
        return cls(
            (vertices - middle).astype(np.float32),
            triangles,
            upright(normals) @ axes.astype(np.float32),
            np.rint(paint.colours).astype(np.uint8),
            paint.confidence,
            matrix,
            landmark_vertices,
            pose,
            texture,
        )


def px_per_mm(face: Face) -> float:
    """Photo px per mm, estimated from the distance of the outer eye corners in 3D."""
    right, left = face.landmarks_px[list(OUTER_EYE_CORNERS)]
    return float(np.linalg.norm(right - left)) / OUTER_EYE_MM
