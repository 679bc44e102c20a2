"""Several faces of one photo in one mesh frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from selfie3d.types import Mesh


def placed(meshes: Sequence[Mesh]) -> list[Mesh]:
    """The meshes side by side as in the photo, in the mesh frame of the first.

    A photo tells no distances: the faces keep the size they have in the photo relative to the first, and the middle
    of each lies at the same depth. Reliefs (meshes whose axes are not the camera's) keep their upright axes and lie
    on one plane.
    """
    first = meshes[0]
    flat = any(not np.allclose(mesh.axes, np.eye(3)) for mesh in meshes)
    return [first, *(_beside(first, mesh, flat=flat) for mesh in meshes[1:])]


def _beside(first: Mesh, mesh: Mesh, *, flat: bool) -> Mesh:
    size = np.cbrt(np.linalg.det(mesh.mesh_to_photo[:3, :3]) / np.linalg.det(first.mesh_to_photo[:3, :3]))
    turn = np.eye(3) if flat else np.linalg.inv(first.axes) @ mesh.axes
    scale_px = np.linalg.norm(first.mesh_to_photo[:3, 0])
    away_px = (mesh.mesh_to_photo - first.mesh_to_photo)[:3, 3]
    to_first = np.eye(4)
    to_first[:3, :3] = size * turn
    to_first[:3, 3] = [away_px[0] / scale_px, -away_px[1] / scale_px, 0]
    if flat:
        to_first[2, 3] = first.vertices[:, 2].min() - size * mesh.vertices[:, 2].min()
    vertices = mesh.vertices @ to_first[:3, :3].T + to_first[:3, 3]
    return replace(
        mesh,
        vertices=vertices.astype(np.float32),
        normals=mesh.normals @ turn.T.astype(np.float32),
        mesh_to_photo=mesh.mesh_to_photo @ np.linalg.inv(to_first),
    )
