"""The surface of one face and what is known about it before it has colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vrn.colour import paint, upright
from vrn.face import Face
from vrn.field import Field
from vrn.frames import transform
from vrn.landmarks import nearest_vertices, register_depth
from vrn.mesh import Mesh
from vrn.normals import vertex_normals
from vrn.options import Options
from vrn.pose import HeadFit, Plane
from vrn.smooth import taubin
from vrn.surface import STEPS_PX, Detail, march, solidify
from vrn.visibility import View


@dataclass(frozen=True)
class FaceSurface:
    """A closed surface in the crop frame.

    Attributes
    ----------
    vertices, normals : (n, 3) float32 - crop frame
    triangles : (m, 3) int32 - counter-clockwise seen from outside in a frame with y up
    view : what the camera sees of the solid
    landmarks : (68, 3) float64 - crop frame, depth on the surface
    head : the mean head laid over the landmarks, crop frame with y up
    spacing : crop px between vertices
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    triangles: NDArray[np.int32]
    view: View
    landmarks: NDArray[np.float64]
    head: HeadFit
    spacing: float

    @property
    def symmetry(self) -> Plane:
        """The plane of symmetry of the head, crop frame."""
        plane = self.head.symmetry
        return Plane(upright(plane.point), upright(plane.normal))

    @classmethod
    def of(cls, field: Field, face: Face, options: Options) -> Self:
        """Raises FieldError when the field holds no solid of a face's size."""
        solid = solidify(field, options.detail)
        vertices, triangles = march(solid)
        vertices = taubin(vertices, triangles, options.smoothing)
        view = View.of(solid if options.detail is Detail.STANDARD else solidify(field))
        landmarks = register_depth(transform(face.crop.to_crop(), face.landmarks_px), view)
        head = HeadFit.of(upright(landmarks))
        normals = np.asarray(upright(vertex_normals(upright(vertices), triangles)), np.float32)
        return cls(vertices, normals, triangles, view, landmarks, head, STEPS_PX[options.detail][0])

    def coloured(self, photo: NDArray[np.uint8], face: Face) -> Mesh:
        """Colour it from the photo, (H, W, 3) uint8, and move it to the mesh frame."""
        painted = paint(photo, face.crop, self.vertices, self.normals, self.view, self.symmetry, self.spacing)
        at = nearest_vertices(self.landmarks, self.vertices)
        return Mesh.assemble((self.vertices, self.triangles), self.normals, painted, face, self.head.pose, at)
