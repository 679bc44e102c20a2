"""The original's recipe for a mesh, step for step, to measure ours against.

After raw2obj.py of https://github.com/AaronJackson/vrn: the volume's bytes are taken as signed, so that all above 127
counts as far outside; the surface is at 10 of 255; each vertex takes the nearest pixel of the 192 px crop; text OBJ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from selfie3d.types.frames import DEPTH_STEP, Grid
from vrn.meshing.field import Field

LEVEL = 10


def byte_volume(field: Field) -> NDArray[np.uint8]:
    """(200, 192, 192) uint8 - the field's occupancy as the original's network writes it."""
    grid = Grid.paper()
    offset = (np.array(grid.origin) - field.grid.origin) / field.grid.step
    ratio = np.array(grid.step) / field.grid.step
    z, y, x = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    places = np.broadcast_arrays(*(at * ratio[k] + offset[k] for at, k in ((z, 2), (y, 1), (x, 0))))
    logits = map_coordinates(field.values - field.level, places, np.float32, order=1, mode="nearest")
    return np.asarray(np.rint(255 / (1 + np.exp(-logits.clip(-30, 30)))), np.uint8)


def mesh(
    volume: NDArray[np.uint8], crop: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.uint8]]:
    """Vertices in crop px (x, y, depth), triangles and colours."""
    signed = volume.view(np.int8).astype(np.float64)
    vertices, triangles, _, _ = marching_cubes(signed, LEVEL)
    vertices = vertices[:, ::-1] * [1, 1, DEPTH_STEP]
    x, y = np.meshgrid(np.arange(crop.shape[1]), np.arange(crop.shape[0]))
    nearest = cKDTree(np.stack([x.ravel(), y.ravel()], 1)).query(vertices[:, :2])[1]
    return vertices, triangles[:, ::-1], crop.reshape(-1, 3)[nearest]


def obj(vertices: NDArray[np.float64], triangles: NDArray[np.int32], colours: NDArray[np.uint8]) -> bytes:
    """Text, a line a vertex and a line a triangle."""
    lines = [
        f"v {x:.4f} {y:.4f} {z:.4f} {r:.4f} {g:.4f} {b:.4f}"
        for (x, y, z), (r, g, b) in zip(vertices.tolist(), (colours / 255).tolist(), strict=True)
    ]
    lines += [f"f {a} {b} {c}" for a, b, c in (triangles + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()
