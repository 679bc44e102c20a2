"""A painted surface of the crop becomes the mesh of a face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Mesh, Pose, Texture
from selfie3d.types.frames import OUTER_EYE_CORNERS, OUTER_EYE_MM, Crop, mesh_to_photo, transform, upright
from vrn.finder.face import AlignedFace
from vrn.meshing.colour import Paint

Floats = NDArray[np.float64]


def assemble(
    surface: tuple[NDArray[np.float32], NDArray[np.int32]],
    normals: NDArray[np.float32],
    paint: Paint,
    face: AlignedFace,
    crop: Crop,
    pose: Pose,
    landmark_vertices: NDArray[np.int32],
    axes: Floats,
    texture: Texture | None,
) -> Mesh:
    """Move a painted surface from the crop to the mesh frame.

    surface : vertices (n, 3) float32 in px of the crop and triangles; normals : (n, 3) float32 - crop frame
    axes : (3, 3) float64 - mesh axes to the camera's (x right, y up, z to the viewer)
    """
    vertices_crop, triangles = surface
    turn = np.eye(4)
    turn[:3, :3] = axes
    matrix = mesh_to_photo(np.zeros(3), px_per_mm(face)) @ turn
    from_crop = np.linalg.inv(matrix) @ crop.to_photo()
    vertices = transform(from_crop, vertices_crop)
    middle = np.array([(column.min() + column.max()) / 2 for column in vertices.T])
    matrix[:3, 3] = matrix[:3, :3] @ middle
    return Mesh(
        (vertices - middle).astype(np.float32),
        triangles,
        upright(normals @ (crop.to_photo()[:3, :3] * crop.scale).T.astype(np.float32)) @ axes.astype(np.float32),
        np.rint(paint.colours).astype(np.uint8),
        paint.confidence,
        matrix,
        landmark_vertices,
        pose,
        texture,
    )


def px_per_mm(face: AlignedFace) -> float:
    """Photo px per mm, estimated from the distance of the outer eye corners in 3D."""
    right, left = face.landmarks_px[list(OUTER_EYE_CORNERS)]
    return float(np.linalg.norm(right - left)) / OUTER_EYE_MM
