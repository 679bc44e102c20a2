"""The surface of one face and what is known about it before it has colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Detail, Mesh, Options, Pose, Texture
from selfie3d.types.frames import Crop, transform, upright
from vrn.finder.face import AlignedFace
from vrn.meshing.assemble import assemble, px_per_mm
from vrn.meshing.colour import Paint, paint
from vrn.meshing.delight import evened
from vrn.meshing.field import Field
from vrn.meshing.head_fit import HeadFit, Plane
from vrn.meshing.landmarks import nearest_vertices, register_depth
from vrn.meshing.normals import vertex_normals
from vrn.meshing.printable import relief
from vrn.meshing.surface import STEPS_PX, march, solidify
from vrn.meshing.texture import texture
from vrn.meshing.visibility import View


@dataclass(frozen=True)
class FaceSurface:
    """A closed surface in a crop frame.

    Attributes
    ----------
    crop : Crop - the frame
    vertices, normals : (n, 3) float32 - crop frame
    triangles : (m, 3) int32 - counter-clockwise seen from outside in a frame with y up
    view : what the camera sees of the solid
    landmarks : (68, 3) float64 - crop frame, depth on the surface
    head : the mean head laid over the landmarks, crop frame with y up
    pose : the head's, as the photo shows it
    spacing : crop px between vertices
    axes : (3, 3) float64 - the mesh frame's axes to the camera's (y up)
    """

    crop: Crop
    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    triangles: NDArray[np.int32]
    view: View
    landmarks: NDArray[np.float64]
    head: HeadFit
    pose: Pose
    spacing: float
    axes: NDArray[np.float64]

    @property
    def symmetry(self) -> Plane:
        """The plane of symmetry of the head, crop frame."""
        plane = self.head.symmetry
        return Plane(upright(plane.point), upright(plane.normal))

    @classmethod
    def of(cls, field: Field, face: AlignedFace, options: Options) -> Self:
        """Raises FieldError when the field holds no solid of a face's size."""
        solid = solidify(field, options.detail)
        view = View.of(solid if options.detail is Detail.STANDARD else solidify(field))
        landmarks = register_depth(transform(face.crop.to_crop(), face.landmarks_px), view)
        head = HeadFit.of(upright(landmarks))
        axes = head.rotation if options.solid else np.eye(3)
        if options.solid:
            vertices, triangles = _relief(solid, head, px_per_mm(face) * face.crop.scale)
        else:
            vertices, triangles = march(solid)
        normals = upright(vertex_normals(upright(vertices), triangles))
        spacing = STEPS_PX[options.detail][0]
        return cls(face.crop, vertices, normals, triangles, view, landmarks, head, head.pose, spacing, axes)

    def coloured(
        self, photo: NDArray[np.uint8], face: AlignedFace, *, textured: bool = False, delight: bool = False
    ) -> Mesh:
        """Colour it from the photo, (H, W, 3) uint8, and move it to the mesh frame.

        delight : take the photo's light out of the colours
        """
        if delight:
            seen = self.view.seen(self.vertices, self.normals) * self.skin
            photo = evened(photo, self.crop, self.vertices, self.normals, seen, self.spacing)
        painted = self.painted(photo)
        picture = self.textured(photo, painted) if textured else None
        vertices, normals = self.shape
        surface, at = (vertices, self.triangles), self.landmark_vertices
        return assemble(surface, normals, painted, face, self.crop, self.pose, at, self.axes, picture)

    @property
    def shape(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The vertices and normals of the mesh, (n, 3) float32 each, crop frame: those that the photo shows."""
        return self.vertices, self.normals

    @property
    def landmark_vertices(self) -> NDArray[np.int32]:
        """(68,) int32 - the vertex of each landmark."""
        return nearest_vertices(self.landmarks, self.vertices)

    def textured(self, photo: NDArray[np.uint8], painted: Paint) -> Texture:
        """A texture with what the photo, (H, W, 3) uint8, shows of the painted surface."""
        return texture(photo, self.crop, self.vertices, self.triangles, painted, self.pocket)

    @property
    def pocket(self) -> NDArray[np.bool_]:
        """(n,) - which vertices lie in a pocket of the surface: the face has none."""
        return np.zeros(len(self.vertices), bool)

    @property
    def skin(self) -> NDArray[np.float32]:
        """(n,) float32 0..1 - which vertices are taken for skin."""
        return np.ones(len(self.vertices), np.float32)

    def painted(self, photo: NDArray[np.uint8]) -> Paint:
        """The colours of the vertices; photo : (H, W, 3) uint8."""
        return paint(photo, self.crop, self.vertices, self.normals, self.view, self.symmetry, self.spacing)


def _relief(solid: Field, head: HeadFit, px_per_mm: float) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The printable surface, crop frame."""
    printable, to_crop = relief(solid, head.rotation, px_per_mm)
    vertices, triangles = march(printable)
    return transform(to_crop, vertices).astype(np.float32), triangles
