"""Large poses: the head of a photo, turned with its texture, over a background that gives way.

The head's colour comes from where the photo shows that place, else from the mirrored place, else from its
neighbours. The background is moved along rays from the head's axis, so that what lay beside the old silhouette lies
beside the new one. Convincing to 65 degrees of yaw and usable to 90, if heads are turned outwards only.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numba
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from selfie3d.types.frames import Crop, transform
from selfie3d_training.head import PIVOT_CM, Head, pose_matrix, yaw_degrees
from selfie3d_training.photos import Ids, Image, Photos
from selfie3d_training.raster import EMPTY, rasterise
from selfie3d_training.views import VIEW_SIZE, VIEWS_PER_FILE, TurnedView, write_views
from vrn.meshing.normals import vertex_normals

VISIBILITY_WIDTH = 200  # px of the picture in which hidden vertices are told from visible ones
GRAZING, FACING = 0.15, 0.4  # cosine to the viewer at which texture starts to be used, is fully used
NEAR_CM = 0.6  # a vertex this far behind the visible surface still counts as visible
TRUSTED = 0.6  # visibility above which a vertex lends its colour to hidden neighbours
SMOOTHING = 12  # passes over the colours of hidden vertices
DIRECTIONS = 120  # rays on which the silhouette is measured
MAX_YAW = 92.0  # degrees

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


def turned(matrix: Floats, yaw: float, pitch: float) -> Floats:
    """A head-to-picture matrix, turned about the head's axis by degrees of camera-frame pitch, then yaw."""
    a, b = np.radians(yaw), np.radians(pitch)
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    result = np.eye(4)
    result[:3, :3] = about_y @ about_x @ matrix[:3, :3]
    pivot = transform(matrix, np.array([PIVOT_CM]))[0]
    result[:3, 3] = pivot - result[:3, :3] @ np.array(PIVOT_CM)
    return result


def turn(
    head: Head, image: Image, vertices: Singles, matrix: Floats, yaw: float, pitch: float, photo: int
) -> TurnedView:
    """The photo's head turned by `yaw` (outwards only) and `pitch` degrees.

    image : (h, w, 3) uint8 RGB; vertices : (v, 3) float32 - cm, head frame
    matrix : (4, 4) float64 - head frame to picture frame
    """
    new = turned(matrix, yaw, pitch)
    crop = Crop.of_landmarks(transform(new, head.landmarks(vertices)))
    to_view = crop.to_crop()
    to_view[:2, 3] += (VIEW_SIZE - 192) / 2
    new = to_view @ new
    on_photo, on_view = transform(matrix, vertices), transform(new, vertices)
    texture = _texture(head, image, vertices, matrix, on_photo)
    pivot = np.array([PIVOT_CM])
    background = _background(
        image,
        transform(matrix, pivot)[0, :2],
        transform(new, pivot)[0, :2],
        _silhouette(on_photo[:, :2] - transform(matrix, pivot)[0, :2]),
        _silhouette(on_view[:, :2] - transform(new, pivot)[0, :2]),
        crop.scale,
    )
    _, shown, weights = rasterise(on_view, head.triangles, VIEW_SIZE, VIEW_SIZE)
    covered = (shown != EMPTY).astype(np.float32)
    alpha = np.where(covered > 0, np.maximum(cv2.GaussianBlur(covered, (0, 0), 0.8), 0.5), 0).astype(np.float32)
    _paint(background, image, shown, weights, head.triangles, texture, alpha)
    return TurnedView(background.astype(np.uint8), photo, new, transform(new, head.landmarks(vertices)))


def sample_turn(rng: np.random.Generator, yaw: float) -> tuple[float, float]:
    """Degrees of yaw and pitch by which to turn a head that now looks `yaw` degrees aside.

    Half of the views end at 60-92 degrees, a third at 25-60; the rest mostly nods.
    """
    side = np.sign(yaw) if abs(yaw) > 4 else rng.choice([-1.0, 1.0])
    kind = rng.random()
    low, high = (60, MAX_YAW) if kind < 0.5 else (25, 60) if kind < 0.85 else (0, 25)
    target = max(rng.uniform(low, high), abs(yaw))
    pitch = rng.normal(0, 7 if kind < 0.85 else 14)
    return float(side * target - yaw), float(np.clip(pitch, -28, 28))


def make_views(photos: Photos, head: Head, ids: Ids, folder: Path, count: int, seed: int) -> None:
    """Fill the cache with `count` views of random photos of `ids`; the same seed makes the same views."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(ids) for _ in range(-(-count // len(ids)))])[:count]
    with tqdm(total=count, desc="turning", unit="view") as bar:
        for start in range(0, count, VIEWS_PER_FILE):
            rows = order[start : start + VIEWS_PER_FILE]
            write_views(folder, [_view(photos, head, int(i), sample_turn(rng, _yaw(photos, int(i)))) for i in rows])
            bar.update(len(rows))


def photo_matrix(photos: Photos, photo: int) -> Floats:
    """(4, 4) float64 - head frame to picture frame of a photo's fit."""
    labels = photos.labels
    return pose_matrix(float(labels.scale[photo]), labels.rotation[photo], labels.translation[photo])


def _yaw(photos: Photos, photo: int) -> float:
    return yaw_degrees(photo_matrix(photos, photo))


def _view(photos: Photos, head: Head, photo: int, degrees: tuple[float, float]) -> TurnedView:
    rows = slice(photo, photo + 1)
    vertices = head.vertices(photos.labels.identity[rows], photos.labels.expression[rows])[0]
    return turn(head, photos.image(photo), vertices, photo_matrix(photos, photo), *degrees, photo)


def _texture(head: Head, image: Image, vertices: Singles, matrix: Floats, on_photo: Floats) -> Singles:
    """(v, 9) float32 per vertex: its x, y in the photo and visibility; the same of its mirror; a fill colour."""
    seen = _visibility(head, vertices, matrix, on_photo, image.shape[:2])
    place = on_photo[:, :2].astype(np.float32)
    colour = cv2.remap(image, place[None, :, 0], place[None, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    filled = _fill_hidden(colour[0].astype(np.float32), seen > TRUSTED, *head.neighbours)
    mirrored = np.column_stack([place[head.mirror], seen[head.mirror]])
    return np.column_stack([place, seen, mirrored, filled]).astype(np.float32)


def vertex_texture(head: Head, image: Image, vertices: Singles, matrix: Floats) -> Floats:
    """(v, 3) - the colours that views of the photo show at the vertices, sRGB 0..255."""
    values = _texture(head, image, vertices, matrix, transform(matrix, vertices))
    seen, of_mirror, filled = values[:, 2:3], values[:, 5:6], values[:, 6:]
    own, mirrored = (
        cv2.remap(image, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0].astype(np.float64)
        for x, y in ((values[:, 0], values[:, 1]), (values[:, 3], values[:, 4]))
    )
    hidden = of_mirror * mirrored + (1 - of_mirror) * filled
    return np.asarray(seen * own + (1 - seen) * hidden)


def _visibility(
    head: Head, vertices: Singles, matrix: Floats, on_photo: Floats, size: tuple[int, int]
) -> NDArray[np.float32]:
    """(v,) float32 0..1 - how well the photo shows each vertex."""
    scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
    shrink = min(1.0, VISIBILITY_WIDTH / np.ptp(on_photo[:, 0]))
    low = on_photo[:, :2].min(0)
    small = on_photo * shrink
    small[:, :2] -= low * shrink - 2
    width, height = (int(v) + 3 for v in small[:, :2].max(0))
    depth = rasterise(small, head.triangles, height, width)[0]
    x, y = np.clip(np.rint(small[:, :2]).astype(np.int64), 0, [width - 1, height - 1]).T
    facing = vertex_normals(vertices, head.triangles) @ (matrix[2, :3] / scale)
    inside = (on_photo[:, :2] > 1).all(1) & (on_photo[:, :2] < np.array(size)[::-1] - 2).all(1)
    near = small[:, 2] > depth[y, x] - NEAR_CM * scale * shrink
    seen = np.clip((facing - GRAZING) / (FACING - GRAZING), 0, 1) * near * inside
    return _erode(seen.astype(np.float32), *head.neighbours)


@numba.njit(cache=True)
def _erode(seen: Singles, starts: NDArray[np.int64], indices: NDArray[np.int64]) -> Singles:
    """Lower every vertex to the mean of its neighbours, three times: borders of the visible part fade."""
    for _ in range(3):
        before = seen.copy()
        for v in range(len(seen)):
            around = before[indices[starts[v] : starts[v + 1]]]
            if len(around) > 0:
                seen[v] = min(seen[v], around.mean())
    return seen


@numba.njit(cache=True)
def _fill_hidden(
    colour: Singles, known: NDArray[np.bool_], starts: NDArray[np.int64], indices: NDArray[np.int64]
) -> Singles:
    """Colours grow from known vertices over the mesh in waves, then the grown ones are smoothed."""
    done = known.copy()
    order = np.empty(len(colour), np.int64)
    first, last = 0, 0
    for v in range(len(colour)):
        if known[v]:
            order[last] = v
            last += 1
    seeds = last
    while first < last:
        v = order[first]
        first += 1
        for i in range(starts[v], starts[v + 1]):
            u = indices[i]
            if not done[u]:
                done[u] = True
                colour[u] = colour[v]
                order[last] = u
                last += 1
    for _ in range(SMOOTHING):
        for k in range(seeds, last):
            v = order[k]
            for c in range(3):
                total = np.float32(0)
                for i in range(starts[v], starts[v + 1]):
                    total += colour[indices[i], c]
                colour[v, c] = total / max(starts[v + 1] - starts[v], 1)
    return colour


def _silhouette(from_pivot: Floats) -> Singles:
    """(DIRECTIONS,) float32 - how far the head reaches on every ray from its axis; (v, 2) points from there, px."""
    angle = np.arctan2(from_pivot[:, 1], from_pivot[:, 0]) / (2 * np.pi) * DIRECTIONS
    reach = np.zeros(DIRECTIONS)
    np.maximum.at(reach, np.rint(angle).astype(np.int64) % DIRECTIONS, np.hypot(*from_pivot.T))
    found = np.flatnonzero(reach)
    reach = np.interp(np.arange(DIRECTIONS), found, reach[found], period=DIRECTIONS)
    padded = np.pad(reach, 4, mode="wrap")
    kernel = np.exp(-(np.arange(-4, 5) ** 2) / (2 * 1.3**2))
    return np.convolve(padded, kernel / kernel.sum(), "valid").astype(np.float32)


def _background(
    image: Image, old_pivot: Floats, new_pivot: Floats, old: Singles, new: Singles, scale: float
) -> Singles:
    """(308, 308, 3) float32 - the photo's surroundings, moved from the old silhouette to the new one.

    old, new : (DIRECTIONS,) float32 - silhouettes in photo px and in view px; scale : view px per photo px
    """
    x, y = _rays(old_pivot, new_pivot, old * scale, new, scale)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101).astype(np.float32)


@numba.njit(cache=True)
def _rays(old_pivot: Floats, new_pivot: Floats, old: Singles, new: Singles, scale: float) -> tuple[Singles, Singles]:
    map_x = np.empty((VIEW_SIZE, VIEW_SIZE), np.float32)
    map_y = np.empty((VIEW_SIZE, VIEW_SIZE), np.float32)
    for j in range(VIEW_SIZE):
        for i in range(VIEW_SIZE):
            dx, dy = i - new_pivot[0], j - new_pivot[1]
            radius = np.sqrt(dx * dx + dy * dy) + 1e-6
            place = np.arctan2(dy, dx) / (2 * np.pi) * DIRECTIONS
            k = int(np.floor(place))
            part = place - k
            a, b = k % DIRECTIONS, (k + 1) % DIRECTIONS
            before, after = old[a] * (1 - part) + old[b] * part, new[a] * (1 - part) + new[b] * part
            gap = before - after
            if radius < after:  # a notch of the new silhouette: mirror what lies outside
                source = before + 0.5 * (after - radius)
            else:
                reach = 2 * abs(gap) + 0.4 * after
                source = radius + gap * max(0.0, 1 - (radius - after) / reach)
            map_x[j, i] = old_pivot[0] + dx / radius * source / scale
            map_y[j, i] = old_pivot[1] + dy / radius * source / scale
    return map_x, map_y


@numba.njit(cache=True)
def _paint(
    picture: Singles,
    image: Image,
    shown: NDArray[np.int32],
    weights: Singles,
    triangles: NDArray[np.int64],
    texture: Singles,
    alpha: Singles,
) -> None:
    """Lay the textured head over `picture` (float32, changed in place)."""
    height, width = shown.shape
    values = np.empty(9, np.float32)
    for j in range(height):
        for i in range(width):
            t = shown[j, i]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            v, w = weights[j, i, 0], weights[j, i, 1]
            for n in range(9):
                values[n] = texture[a, n] * (1 - v - w) + texture[b, n] * v + texture[c, n] * w
            for n in range(3):
                own = _sample(image, values[0], values[1], n)
                other = _sample(image, values[3], values[4], n)
                hidden = values[5] * other + (1 - values[5]) * values[6 + n]
                colour = values[2] * own + (1 - values[2]) * hidden
                picture[j, i, n] += alpha[j, i] * (colour - picture[j, i, n])


@numba.njit(cache=True)
def _sample(image: Image, x: float, y: float, channel: int) -> float:
    x, y = min(max(x, 0.0), image.shape[1] - 1.001), min(max(y, 0.0), image.shape[0] - 1.001)
    i, j = int(x), int(y)
    p, q = x - i, y - j
    top = image[j, i, channel] * (1 - p) + image[j, i + 1, channel] * p
    bottom = image[j + 1, i, channel] * (1 - p) + image[j + 1, i + 1, channel] * p
    return float(top * (1 - q) + bottom * q)
