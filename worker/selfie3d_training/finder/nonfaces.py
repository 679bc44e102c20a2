"""Pictures without faces: what scikit-image ships, textures made of noise and shapes, what surrounds the faces of the
training photos, and the photos themselves with the face taken out or shuffled."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from selfie3d_training.finder.faces import FacePicture, FaceSource, box_of
from selfie3d_training.photos import Image

# Left out: astronaut and camera (people), coins (portraits). Kept for the evaluation alone: chelsea, coffee, rocket
SHIPPED = ("brick", "cell", "clock", "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon", "page")
SHIPPED_TOO = ("retina", "text", "stereo_motorcycle", "colorwheel", "horse", "checkerboard", "microaneurysms")
HEAD_REACH = 0.85  # of a face's size: from its middle to the border of its head
LEAST_SIDE = 150  # px, short side of the smallest reduced version of a shipped picture

Rng = np.random.Generator


@cache
def shipped_pictures(names: tuple[str, ...] = SHIPPED + SHIPPED_TOO) -> tuple[Image, ...]:
    """Pictures of scikit-image by name, (h, w, 3) uint8 each, and the larger ones at a half and a quarter as well."""
    pictures = [_colour(getattr(skimage.data, name)()) for name in names]
    for picture in pictures:
        if min(picture.shape[:2]) >= 2 * LEAST_SIDE:
            half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            pictures.append(np.asarray(half, np.uint8))
    return tuple(pictures)


class NonFaces:
    """Draws pictures without a face.

    faces : whose surroundings are used; None for none
    """

    def __init__(self, faces: FaceSource | None, size: int) -> None:
        self.faces = faces
        self.size = size

    def draw(self, rng: Rng) -> Image:
        """(size, size, 3) uint8."""
        kinds: list[tuple[float, Callable[[Rng], Image]]] = [(0.3, self.shipped), (0.15, self.made)]
        if self.faces is not None:
            kinds += [(0.2, self.surroundings), (0.2, self.headless), (0.15, self.shuffled)]
        shares = np.array([share for share, _ in kinds])
        picture = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))][1](rng)
        return np.asarray(cv2.flip(picture, 1), np.uint8) if rng.random() < 0.5 else picture

    def shipped(self, rng: Rng) -> Image:
        """A turned piece of a shipped picture, sometimes in other colours."""
        pictures = shipped_pictures()
        whole = pictures[int(rng.integers(len(pictures)))]
        piece = cut(whole, rng, self.size, 0.4, 1.5, 180)
        return np.ascontiguousarray(piece[..., rng.permutation(3)]) if rng.random() < 0.3 else piece

    def made(self, rng: Rng) -> Image:
        """Noise at several scales, gradients, stripes, and shapes on top."""
        picture = _noise(rng, self.size)
        if rng.random() < 0.3:
            y, x = np.mgrid[: self.size, : self.size]
            wave = np.sin((x * rng.normal() + y * rng.normal()) * rng.uniform(0.05, 0.6))[..., None]
            picture = picture + wave * rng.normal(0, 40, 3)
        image = picture.clip(0, 255).astype(np.uint8)
        for _ in range(int(rng.integers(0, 12))):
            _draw_shape(image, rng)
        return image

    def surroundings(self, rng: Rng) -> Image:
        """What lies beside the head in a training photo, enlarged."""
        picture = self._face(rng)
        (x, y), size = box_of(picture.landmarks)
        side = len(picture.image)
        width = rng.uniform(0.3, 0.5) * size
        spots = rng.uniform(0, side - width, (12, 2)) + width / 2
        clear = (np.abs(spots[:, 0] - x) > 0.75 * size + width / 2) | (spots[:, 1] - y > 0.85 * size + width / 2)
        at = spots[clear.argmax()] if clear.any() else np.array([width / 2, side - width / 2])
        left, top, extent = int(at[0] - width / 2), int(at[1] - width / 2), int(width)
        piece = picture.image[top : top + extent, left : left + extent]
        return np.asarray(cv2.resize(piece, (self.size, self.size), interpolation=cv2.INTER_CUBIC), np.uint8)

    def headless(self, rng: Rng) -> Image:
        """The head of a training photo, its face painted over; cut so close that no neighbour's face is left in it."""
        picture = self._face(rng)
        (x, y), size = box_of(picture.landmarks)
        side = len(picture.image)
        mask = np.zeros((side, side), np.float32)
        centre, axes = (x, y - 0.1 * size), (size * rng.uniform(1.15, 1.6), size * rng.uniform(1.4, 1.9))
        cv2.ellipse(mask, (centre, axes, float(rng.uniform(-20, 20))), 1.0, -1)
        share = np.asarray(cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 6)), np.float64)[..., None]
        filling = self._filling(picture.image, picture.image[int(y), int(x)], rng)
        image = (picture.image * (1 - share) + filling * share).clip(0, 255).astype(np.uint8)
        reach = HEAD_REACH * size
        (left, top), (right, bottom) = (np.clip([x + s * reach, y + s * reach], 0, side).astype(int) for s in (-1, 1))
        head = image[top:bottom, left:right]
        return cut(head, rng, self.size, 0.8 * len(head) / self.size, 1.05 * len(head) / self.size, 40)

    def shuffled(self, rng: Rng) -> Image:
        """A training photo whose parts have changed places: eyes, noses and hair, but no face."""
        image = self._face(rng).image
        parts = int(rng.integers(5, 9))
        part = len(image) // parts
        starts = [(j * part, i * part) for j in range(parts) for i in range(parts)]
        tiles = [image[top : top + part, left : left + part] for top, left in starts]
        order = rng.permutation(len(tiles))
        rows = [np.hstack([tiles[k] for k in order[j * parts : (j + 1) * parts]]) for j in range(parts)]
        return cut(np.vstack(rows), rng, self.size, 0.4, 1.0, 40)

    def _filling(self, image: Image, colour: NDArray[np.uint8], rng: Rng) -> NDArray[np.floating]:
        """What is painted over a face, as large as the picture: its colour, its blur, or another picture."""
        side = len(image)
        kind = rng.random()
        if kind < 0.35:
            return colour + 0.1 * (_noise(rng, side) - 127)
        if kind < 0.6:
            few = int(rng.integers(3, 10))
            image = np.asarray(cv2.resize(image, (few, few), interpolation=cv2.INTER_AREA), np.uint8)
        else:
            image = self.shipped(rng) if rng.random() < 0.7 else self.made(rng)
        return np.asarray(cv2.resize(image, (side, side)), np.float64)

    def _face(self, rng: Rng) -> FacePicture:
        if self.faces is None:
            raise ValueError("there are no faces whose surroundings could be used")
        return self.faces.draw(rng)


def cut(image: Image, rng: Rng, size: int, least: float, most: float, degrees: float) -> Image:
    """A square of `size` px from anywhere in the picture, turned; one px of it is `least` to `most` px there."""
    scale = float(np.exp(rng.uniform(np.log(least), np.log(max(most, least)))))
    angle = np.deg2rad(rng.uniform(-degrees, degrees))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    reach = size * scale / 2
    low = np.minimum(reach, np.array(image.shape[1::-1]) / 2)
    centre = rng.uniform(low, np.array(image.shape[1::-1]) - low)
    matrix = np.c_[turn, centre - turn @ np.full(2, (size - 1) / 2)]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT), np.uint8)


def _noise(rng: Rng, size: int) -> NDArray[np.float64]:
    """Random colours at random scales, (size, size, 3), about 0..255."""
    picture = np.zeros((size, size, 3), np.float32) + rng.uniform(20, 235, 3).astype(np.float32)
    for cells in rng.choice([2, 3, 5, 9, 17, 40, size], int(rng.integers(1, 5)), replace=False):
        layer = rng.normal(0, rng.uniform(5, 45), (int(cells), int(cells), 3 if rng.random() < 0.6 else 1))
        large = cv2.resize(layer.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        picture += large if large.ndim == 3 else large[..., None]
    return picture.astype(np.float64)


def _draw_shape(image: Image, rng: Rng) -> None:
    size = len(image)
    colour = [int(v) for v in rng.integers(0, 256, 3)]
    x, y, width, height = (int(v) for v in rng.integers(0, size, 4) * [1, 1, 0.3, 0.3])
    kind = int(rng.integers(5))
    if kind <= 1:
        box = ((float(x), float(y)), (2.0 * width + 1, 2.0 * height + 1), float(rng.uniform(0, 180)))
        cv2.ellipse(image, box, colour, -1, cv2.LINE_AA)
    elif kind == 2:
        cv2.rectangle(image, (x, y), (x + width, y + height), colour, -1)
    elif kind == 3:
        corners = rng.integers(0, size, (int(rng.integers(2, 5)), 2)).astype(np.int32)
        cv2.polylines(image, [corners], False, colour, int(rng.integers(1, 9)), cv2.LINE_AA)
    else:
        letters = "".join(chr(int(c)) for c in rng.integers(33, 127, 6))
        font, height_scale, thickness = int(rng.integers(0, 8)), rng.uniform(0.3, 2.5), int(rng.integers(1, 4))
        cv2.putText(image, letters, (x, y), font, height_scale, colour, thickness)


def _colour(image: NDArray[np.generic] | tuple[NDArray[np.generic], ...]) -> Image:
    """Any of scikit-image's pictures as (h, w, 3) uint8."""
    array = np.asarray(image[0] if isinstance(image, tuple) else image)
    if array.dtype == np.bool_:
        array = array * 255
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, 2)
    return np.ascontiguousarray(array[..., :3].astype(np.uint8))
