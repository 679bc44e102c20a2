"""A texture: the photo itself where it shows the face, and one more chart for all the rest.

The first chart is the photo around the face in its own pixels. The second holds all that the photo does not show: the
surface is unrolled onto a disc (azimuthal equidistant) whose middle is the direction opposite to the seen part, so
that it has no seam, and the colours of its vertices are diffused over it. The inside of a mouth would lie there on
what is behind it, so it is unrolled around its own middle, in a corner beside the disc.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from selfie3d.types import Texture
from selfie3d.types.frames import Crop, transform
from vrn.meshing.colour import Paint
from vrn.meshing.diffusion import pull_push

DISC_PX = 768
POCKET_PX = 110  # fits into the corners beside the disc
PHOTO_PX = 2048  # the longer side of the photo's chart at most
MARGIN_PX = 4


def texture(
    photo: NDArray[np.uint8],
    crop: Crop,
    vertices: NDArray[np.float32],
    triangles: NDArray[np.int32],
    paint: Paint,
    pocket: NDArray[np.bool_],
) -> Texture:
    """The texture of a painted surface.

    photo : (H, W, 3) uint8; vertices : (n, 3) float32 - crop frame; triangles : (m, 3) int32
    pocket : (n,) bool - which vertices lie in a pocket of the surface that is open towards the camera
    """
    shown = (paint.seen >= 1)[triangles].all(1)
    apart = ~shown & pocket[triangles].any(1)
    kinds = (shown, apart, ~shown & ~apart)
    parts, corners = zip(*(np.unique(triangles[kind], return_inverse=True) for kind in kinds), strict=True)
    chart, places = _photo_chart(photo, crop, paint.at[parts[0]])
    disc_places = _unrolled(vertices, paint.seen, DISC_PX)[parts[2]]
    disc = _disc_chart(disc_places, paint.colours[parts[2]], DISC_PX)
    pocket_places = _unrolled(vertices[parts[1]], np.zeros(len(parts[1])), POCKET_PX)
    disc[:POCKET_PX, :POCKET_PX] = _disc_chart(pocket_places, paint.colours[parts[1]], POCKET_PX)

    height, width = (_power_of_two(n) for n in (max(len(chart), len(disc)), chart.shape[1] + disc.shape[1]))
    image = np.zeros((height, width, 3), np.uint8)
    image[: len(chart), : chart.shape[1]] = chart
    image[: len(disc), chart.shape[1] : chart.shape[1] + disc.shape[1]] = disc
    beside = np.array([chart.shape[1], 0])
    px = np.concatenate([places, pocket_places + beside, disc_places + beside])
    uv = (px + 0.5) / image.shape[1::-1] * np.array([1, -1]) + np.array([0, 1])
    split = np.empty_like(triangles)
    for kind, at, start in zip(kinds, corners, np.cumsum([0, *map(len, parts)]), strict=False):
        split[kind] = at.reshape(-1, 3) + start
    return Texture(image, uv.astype(np.float32), np.concatenate(parts), split)


def _power_of_two(n: int) -> int:
    """The next power of two, which every renderer can make mipmaps of."""
    return 1 << (n - 1).bit_length()


def _photo_chart(
    photo: NDArray[np.uint8], crop: Crop, points: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The photo around some points, (n, 3) crop frame, and where in it, (n, 2) px, they lie."""
    if not len(points):
        return np.zeros((1, 1, 3), np.uint8), np.zeros((0, 2))
    places = transform(crop.to_photo(), points)[:, :2]
    low = np.floor(places.min(0) - MARGIN_PX).astype(int).clip(0)
    high = np.ceil(places.max(0) + MARGIN_PX + 1).astype(int).clip(None, photo.shape[1::-1])
    chart = photo[low[1] : high[1], low[0] : high[0]]
    factor = int(np.ceil(max(chart.shape) / PHOTO_PX))
    if factor > 1:
        chart = np.asarray(Image.fromarray(chart).reduce(factor))
    return chart, (places - low + 0.5) / factor - 0.5


def _disc_chart(places: NDArray[np.float64], colours: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    """A disc of size x size px with the colours of vertices that lie there, (n, 2) px."""
    texels = np.rint(places).astype(np.intp)
    at = texels[:, 1] * size + texels[:, 0]
    sums = [np.bincount(at, column, size**2) for column in (*colours.T, np.ones(len(at)))]
    filled = pull_push(np.stack(sums, -1).astype(np.float32).reshape(size, size, 4))
    return np.asarray(np.rint(filled.clip(0, 255)), np.uint8)


def _unrolled(vertices: NDArray[np.float32], seen: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    """(n, 2) px on a disc of size x size: the angle from its middle is the distance from it."""
    if not len(vertices):
        return np.zeros((0, 2))
    middle = (vertices.min(0) + vertices.max(0)) / 2
    directions = (vertices - middle).astype(np.float64)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    towards = seen @ directions + [0, 0, 1e-6]
    z = -towards / np.linalg.norm(towards)
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    along = directions @ np.stack([x, np.cross(z, x), z], 1)
    angle = np.arccos(np.clip(along[:, 2], -1, 1)) / np.pi
    around = along[:, :2] / np.maximum(np.linalg.norm(along[:, :2], axis=1, keepdims=True), 1e-9)
    return np.asarray(around * angle[:, None] * (size / 2 - MARGIN_PX) + (size - 1) / 2)
