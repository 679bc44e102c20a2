"""The surface of a whole head: its volume, marched and coloured all round."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Detail, Options
from selfie3d.types.frames import CROP_SIZE, transform, upright
from vrn.avatar.features import refined
from vrn.avatar.head_colour import OnePhoto, Painter
from vrn.avatar.neighbours import Neighbours, onto_model
from vrn.avatar.places import Places
from vrn.avatar.whole_head import WholeHead
from vrn.finder.face import AlignedFace
from vrn.meshing.colour import Paint
from vrn.meshing.cut import cut
from vrn.meshing.face_surface import FaceSurface
from vrn.meshing.field import Field
from vrn.meshing.head_fit import HeadFit
from vrn.meshing.landmarks import register_depth
from vrn.meshing.surface import closed, march
from vrn.meshing.visibility import View

COLUMNS = {Detail.PREVIEW: 36, Detail.STANDARD: 96, Detail.FULL: 192}  # of the volume over the head crop
MARCHED_LEVEL = 0.3  # of the occupancy: the shell of an ear stays whole, and the surface is moved inwards afterwards
CUT_STEPS = 2.0  # how far below the cut through the neck the volume goes on, so that the cut is even
VIEW_COLUMNS = 96  # at least, of the depth buffer


@dataclass(frozen=True)
class HeadSurface(FaceSurface):
    """A closed surface of a whole head, in the head crop frame.

    Attributes
    ----------
    whole : the head that it was marched from
    near : the whole head's vertices next to each of the surface's
    painter : what it is coloured from
    """

    whole: WholeHead
    near: Neighbours
    painter: Painter

    @classmethod
    def of_head(cls, whole: WholeHead, face: AlignedFace, options: Options, painter: Painter | None = None) -> Self:
        """painter : None: the photo alone. Raises FieldError when the head's volume holds no solid of a head's size."""
        columns = COLUMNS[options.detail]
        spacing = CROP_SIZE / columns
        plane = whole.plane / np.linalg.norm(whole.plane[:3])
        lower = np.array([*plane[:3], plane[3] + CUT_STEPS * spacing])
        field = replace(whole, plane=lower).field(columns)
        view = View.of(_above(field, field.level)) if columns >= VIEW_COLUMNS else whole.view(VIEW_COLUMNS)
        landmarks = register_depth(transform(whole.crop.to_crop(), face.landmarks_px), view)
        head = HeadFit.of(upright(landmarks))
        pose = HeadFit.of(upright(transform(whole.crop.to_photo(), landmarks))).pose
        vertices, triangles = refined(whole, *march(closed(_above(field, MARCHED_LEVEL))), spacing)
        vertices, normals, near = onto_model(whole, vertices, triangles, spacing)
        end = cut(vertices, triangles, plane, spacing)
        normals, near = normals.take(end.source, 0), near.of_points(end.source)
        normals[end.flat] = -plane[:3]
        surface = whole.crop, end.vertices, normals, end.triangles
        return cls(*surface, view, landmarks, head, pose, spacing, np.eye(3), whole, near, painter or OnePhoto())

    @cached_property
    def places(self) -> Places:
        """Where the vertices lie on the neutral head."""
        return Places.of(self.whole.model, self.near, self.vertices, self.normals)

    @property
    def skin(self) -> NDArray[np.float32]:
        """See `FaceSurface`."""
        places = self.places
        return places.skin * ~places.bare

    @property
    def pocket(self) -> NDArray[np.bool_]:
        """See `FaceSurface`: the mouth."""
        return self.places.inward > 0

    def painted(self, photo: NDArray[np.uint8]) -> Paint:
        """See `FaceSurface`."""
        return self.painter.paint(photo, self.whole, self.places, self.view, self.symmetry, self.spacing)


def _above(field: Field, level: float) -> Field:
    """The field with that level at 0."""
    return Field(field.values - np.float32(level), field.grid, 0.0)
