"""Portraits that are known exactly: heads of the model, posed, with an expression and colours of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import Crop, transform, upright
from vrn.avatar.fit import HeadPose, rotations
from vrn.avatar.guide import head_crops
from vrn.avatar.model import load_model
from vrn.avatar.photo_head import PhotoHead
from vrn.avatar.raster import crossings, foremost
from vrn.avatar.whole_head import WholeHead
from vrn.finder.face import AlignedFace

Floats = NDArray[np.float64]

SCALE, SIDE = 10.0, 360  # px per cm and of the square photo
SPACING = 2.0
SKIN = np.array([200.0, 150.0, 120.0])
WALL = (30, 160, 60)


@dataclass(frozen=True)
class Portrait:
    """A photo of a head: its pixels, where its face is, and the head itself."""

    photo: NDArray[np.uint8]
    face: AlignedFace
    whole: WholeHead

    def snapshot(self, index: int = 0) -> PhotoHead:
        return PhotoHead.of(index, self.photo, self.face, self.whole, SPACING)


def portrait(
    yaw: float = 0.0,
    identity: Floats | None = None,
    expression: Floats | None = None,
    colours: Floats | None = None,
    gain: float | Floats = 1.0,
    noise_cm: Floats | None = None,
) -> Portrait:
    """yaw in degrees; identity and expression : the first coefficients of each; colours : (v, 3) sRGB of the vertices

    gain : of the exposure; noise_cm : (v, 3) - what the reconstruction gets wrong, head frame
    """
    model = load_model()
    coefficients = np.zeros((1, len(model.shapes)))
    if identity is not None:
        coefficients[0, : len(identity)] = identity
    if expression is not None:
        coefficients[0, model.identities : model.identities + len(expression)] = expression
    rotation = rotations(np.radians([[0, yaw, 0]]))
    middle = np.array([[SIDE / 2, -SIDE / 2, 0.0]]) - SCALE * rotation @ np.array([0, 1.0, 2.0])
    pose = HeadPose(np.array([SCALE]), rotation, middle, coefficients)
    head = model.vertices(coefficients[0]).astype(np.float64)
    in_photo = transform(pose.matrices()[0], head)
    crop = Crop.of_matrix(head_crops(pose)[0])
    fitted = in_crop(pose, crop)
    plane = model.neck_plane(coefficients[0]) @ np.linalg.inv(fitted.matrices()[0])
    made = transform(fitted.matrices()[0], head + (0 if noise_cm is None else noise_cm))
    whole = WholeHead(made, model, plane, crop, fitted)
    face = AlignedFace(np.asarray(model.landmarks(in_photo), np.float64), 0.9)
    return Portrait(_picture(in_photo, mottled() if colours is None else colours, gain), face, whole)


def mottled(seed: int = 0) -> Floats:
    """(v, 3) - skin with details of all sizes, different on both sides."""
    model, rng = load_model(), np.random.default_rng(seed)
    waves = np.cos(model.neutral @ rng.normal(0, 2.5, (3, 12)) + rng.uniform(0, 6, 12)).sum(1)
    return np.asarray(np.clip(SKIN * (1 + 0.04 * waves[:, None]), 20, 235))


def in_crop(pose: HeadPose, crop: Crop) -> HeadPose:
    """The pose in the head crop's frame instead of the photo's."""
    matrix = crop.to_crop() @ pose.matrices()[0]
    scale = float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))
    rotation = upright((matrix[:3, :3] / scale).T).T
    return HeadPose(np.array([scale]), rotation[None], upright(matrix[:3, 3])[None], pose.coefficients)


def blurred(one: Portrait, passes: int) -> Portrait:
    """The same, out of focus."""
    photo = one.photo.astype(np.float64)
    for _ in range(passes):
        for axis in (0, 1):
            photo = (np.roll(photo, 1, axis) + 2 * photo + np.roll(photo, -1, axis)) / 4
    return replace(one, photo=photo.astype(np.uint8))


def _picture(in_photo: Floats, colours: Floats, gain: float | Floats) -> NDArray[np.uint8]:
    triangles = load_model().triangles
    shown, weights, _ = foremost(crossings(in_photo, triangles, SIDE, SIDE), SIDE, SIDE)
    corners = colours[triangles[np.maximum(shown, 0)]]
    share = np.concatenate([1 - weights.sum(-1, keepdims=True), weights], -1)
    painted = np.where(shown[..., None] >= 0, (corners * share[..., None]).sum(2), WALL)
    return np.asarray(np.clip(painted * gain, 0, 255), np.uint8)
