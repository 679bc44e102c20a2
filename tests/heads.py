"""Photos of the head model itself: heads of a known shape, expression and pose, painted by their place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Mesh, Options
from selfie3d.types.frames import Crop, transform
from vrn.avatar.fit import HeadPose, rotations
from vrn.avatar.guide import head_crops
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.model import HeadModel, load_model
from vrn.avatar.rig import EXPRESSIONS
from vrn.avatar.topology import TopologySurface
from vrn.avatar.whole_head import WholeHead
from vrn.finder.face import AlignedFace
from vrn.render.render import rasterise

SIDE = 480  # px of the photo
SCALE = 14.0  # photo px per cm
BUMP_CM = 0.25

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KnownHead:
    """A head, its photo, and what a network that makes no mistake says of it.

    Attributes
    ----------
    vertices : (v, 3) float64 - cm, head frame
    """

    model: HeadModel
    vertices: Floats
    coefficients: Floats
    whole: WholeHead
    face: AlignedFace
    photo: NDArray[np.uint8]

    def surface(self, options: Options) -> TopologySurface:
        return TopologySurface.of_surface(HeadSurface.of_head(self.whole, self.face, options), options)

    def mesh(self, options: Options) -> Mesh:
        return self.surface(options).coloured(self.photo, self.face, textured=options.needs_texture)


def known_head(
    seed: int = 0,
    yaw: float = 0.0,
    roll: float = 0.0,
    expressions: dict[str, float] | None = None,
    *,
    mirrored: bool = False,
) -> KnownHead:
    """A random person with an expression and something that the model does not know: a bump on the forehead.

    yaw, roll : degrees; mirrored : the same photo in a mirror
    expressions : weights by name
    """
    model = load_model()
    coefficients = np.zeros(len(model.shapes))
    coefficients[:30] = np.random.default_rng(seed).normal(0, 0.7, 30)
    for name, weight in (expressions or {}).items():
        coefficients[model.identities + EXPRESSIONS.index(name)] = weight
    head = model.vertices(coefficients).astype(np.float64)
    head[:, 2] += BUMP_CM * np.exp(-((from_bump(model) / 1.5) ** 2))
    rotation = rotations(np.radians([[0, 0, -roll]]))[0] @ rotations(np.radians([[0, yaw, 0]]))[0]
    if mirrored:
        head = (head * [-1, 1, 1])[model.mirror]
        rotation = rotation * np.outer([-1, 1, 1], [-1, 1, 1])
    middle = np.array([SIDE / 2, -SIDE / 2, 0.0]) - SCALE * rotation @ np.array([0, 1.0, 2.0])
    pose = HeadPose(np.array([SCALE]), rotation[None], middle[None], coefficients[None])
    in_photo = transform(pose.matrices()[0], head)
    crop = Crop.of_matrix(head_crops(pose)[0])
    plane = model.neck_plane(coefficients) @ np.linalg.inv(pose.matrices()[0]) @ crop.to_photo()
    whole = WholeHead(transform(crop.to_crop(), in_photo), model, plane, crop)
    landmarks = np.asarray(model.landmarks(in_photo), np.float64)
    photo = _picture(model, in_photo)
    return KnownHead(model, head, coefficients, whole, AlignedFace(landmarks, 1.0), photo)


def from_bump(model: HeadModel) -> Floats:
    """(v,) cm - how far the neutral head's vertices are from the middle of the bump, left on the forehead."""
    middle = np.linalg.norm(model.neutral - [2.0, 8.0, 10.5], axis=1).argmin()
    return np.asarray(np.linalg.norm(model.neutral - model.neutral[middle], axis=1), np.float64)


def place_colours(model: HeadModel) -> Floats:
    """(v, 3) sRGB - skin, redder upwards, with dark hair."""
    height = model.neutral[:, 1:2]
    skin = np.array([205.0, 160.0, 135.0]) + height * np.array([2.0, -2.0, -2.0])
    return np.where(height > 9.5, np.array([70.0, 50.0, 40.0]), skin)


def _picture(model: HeadModel, in_photo: Floats) -> NDArray[np.uint8]:
    image = np.full((SIDE * SIDE, 3), [20.0, 230.0, 40.0])
    triangles = model.triangles.astype(np.int32)
    shown = rasterise(in_photo.astype(np.float32), triangles, SIDE)
    image[shown.at] = shown.interpolate(place_colours(model).astype(np.float32), triangles)
    return np.rint(image).astype(np.uint8).reshape(SIDE, SIDE, 3)
