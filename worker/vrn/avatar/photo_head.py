"""One photo of a person who is seen in several: its head, and how well the photo shows it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from selfie3d.types import Pose
from selfie3d.types.frames import transform, upright
from vrn.avatar.fit import HeadPose
from vrn.avatar.model import FACE_PART, HeadModel
from vrn.avatar.neighbours import model_normals
from vrn.avatar.whole_head import WholeHead
from vrn.crop import sample
from vrn.finder.face import AlignedFace
from vrn.meshing.colour import PhotoSampler
from vrn.meshing.delight import evened
from vrn.meshing.head_fit import HeadFit, Plane
from vrn.meshing.landmarks import register_depth
from vrn.meshing.visibility import View

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

VIEW_COLUMNS = 96  # of the depth buffer
FOLD_PX = 4.0  # head crop px behind the depth buffer that still count as seen
OBLIQUE_DEGREES = 30.0  # off frontal at which a photo has exp(-1) to say about the shape: measured on turned views
FINE_PX, COARSE_PX = 1.2, 5.0  # head crop px: details finer than the first against those up to the second


@dataclass(frozen=True)
class PhotoHead:
    """A photo's head. Of the photo only the part that lends its colours is kept: sixteen whole ones take gigabytes.

    Attributes
    ----------
    index : of the photo, from 0
    face : where it is in the photo
    whole : the head by this photo alone
    seen : (v,) float32 0..1 - how well the photo shows each vertex of the model
    colours : (v, 3) float32 - sRGB 0..255 that it shows there
    sharpness : contrast of the finest details of the face over that of all its details, 0..1
    sampler : what lends the photo's colours
    """

    index: int
    face: AlignedFace
    whole: WholeHead
    seen: Singles
    colours: Singles
    sharpness: float
    sampler: PhotoSampler

    @classmethod
    def of(
        cls,
        index: int,
        image: NDArray[np.uint8],
        face: AlignedFace,
        whole: WholeHead,
        spacing: float,
        *,
        delight: bool = False,
    ) -> Self:
        """image : (H, W, 3) uint8 - photo frame; spacing : head crop px between the points that will be coloured.

        delight : take the photo's light out of the colours
        """
        points, normals = whole.vertices.astype(np.float32), model_normals(whole)
        sampler = PhotoSampler.around(image, whole.crop, spacing)
        seen = whole.view(VIEW_COLUMNS).seen(points, normals, FOLD_PX) * sampler.inside(points)
        seen = np.asarray(seen, np.float32)
        sharpness = _sharpness(image, whole, seen)
        if delight:
            skin = np.zeros_like(seen)
            skin[face_vertices(whole.model)] = seen[face_vertices(whole.model)]
            image = evened(image, whole.crop, points, normals, skin, spacing)
            sampler = PhotoSampler.around(image, whole.crop, spacing)
        return cls(index, face, whole, seen, sampler.sample(points), sharpness, sampler)

    @property
    def model(self) -> HeadModel:
        return self.whole.model

    @property
    def fitted(self) -> HeadPose:
        """The one head. Raises ValueError for a head that was made without a fit."""
        if self.whole.pose is None:
            raise ValueError("a head without a fit cannot be registered")
        return self.whole.pose

    @property
    def identity(self) -> Floats:
        """(i,) - the coefficients of the person's shape."""
        return np.asarray(self.fitted.coefficients[0, : self.model.identities])

    @cached_property
    def view(self) -> View:
        """What the photo sees of its head."""
        return self.whole.view(VIEW_COLUMNS)

    @cached_property
    def _landmarks(self) -> Floats:
        return register_depth(transform(self.whole.crop.to_crop(), self.face.landmarks_px), self.view)

    @property
    def symmetry(self) -> Plane:
        """The head's plane of symmetry, head crop frame."""
        plane = HeadFit.of(upright(self._landmarks)).symmetry
        return Plane(upright(plane.point), upright(plane.normal))

    @cached_property
    def pose(self) -> Pose:
        """The head's, in the photo."""
        return HeadFit.of(upright(transform(self.whole.crop.to_photo(), self._landmarks))).pose

    @property
    def trust(self) -> float:
        """How much the photo has to say about the shape: more when frontal, surely a face and sharp."""
        off = np.degrees(np.arccos(np.clip(self.fitted.rotation[0, 2, 2], -1, 1)))
        return float(np.exp(-((off / OBLIQUE_DEGREES) ** 2)) * self.face.score * self.sharpness)

    @cached_property
    def neutral(self) -> Floats:
        """(v, 3) - the person's head with the photo's pose and expression taken off, cm, head frame."""
        in_head = transform(np.asarray(np.linalg.inv(self.fitted.matrices()[0])), self.whole.vertices)
        return in_head - expression_of(self.model, self.fitted)


def expression_of(model: HeadModel, pose: HeadPose) -> Floats:
    """(v, 3) - how the expression of one head moves the model's vertices, cm."""
    return model.expressed(pose.coefficients[0, model.identities :]).astype(np.float64)


def face_vertices(model: HeadModel) -> NDArray[np.intp]:
    """The vertices of the face's skin."""
    inside = np.zeros(len(model.neutral), bool)
    inside[model.triangles[model.parts == FACE_PART]] = True
    others = np.zeros(len(model.neutral), bool)
    others[model.triangles[model.parts != FACE_PART]] = True
    return np.flatnonzero(inside & ~others)


def _sharpness(image: NDArray[np.uint8], whole: WholeHead, seen: Singles) -> float:
    """The contrast of details finer than FINE_PX of the head crop over that of details up to COARSE_PX."""
    luma = sample(image, whole.crop).mean(2) / 255
    at = face_vertices(whole.model)
    at = at[seen[at] > 0.5]
    if not len(at):
        return 0.0
    x, y = np.rint(whole.vertices[at, :2].T).astype(np.intp).clip(0, len(luma) - 1)
    fine = luma - gaussian_filter(luma, FINE_PX)
    coarse = luma - gaussian_filter(luma, COARSE_PX)
    return float(fine[y, x].std() / (coarse[y, x].std() + 1e-3))
