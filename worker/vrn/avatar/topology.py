"""A head with the head model's own vertices: the same place of every head is the same vertex and the same texel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Detail, Options, Texture
from selfie3d.types.frames import transform, upright, upright_rotation
from vrn.avatar.chart import load_chart
from vrn.avatar.chart_picture import chart_picture
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.model import CAP_PART, HeadModel
from vrn.avatar.neck import evened_neck
from vrn.avatar.neighbours import Neighbours
from vrn.avatar.registration import Registration, register
from vrn.meshing.colour import Paint
from vrn.meshing.normals import vertex_normals

Singles = NDArray[np.float32]

TEXTURE_PX = {Detail.PREVIEW: 512, Detail.STANDARD: 1024, Detail.FULL: 2048}
SPACING = 2.0  # head crop px between the vertices around the features


@dataclass(frozen=True)
class TopologySurface(HeadSurface):
    """The registered head model in the head crop frame.

    Attributes
    ----------
    registered : the head model on the reconstruction's surface
    neutral : whether the mesh has the face without the photo's expression
    size : px of a side of the texture
    """

    registered: Registration
    neutral: bool
    size: int

    @classmethod
    def of_surface(cls, surface: HeadSurface, options: Options) -> Self:
        """Register the head model to a marched surface."""
        found = register(surface.whole, surface.vertices, surface.normals)
        model = found.model
        found = replace(found, offsets=evened_neck(model, found.head) - model.vertices(found.pose.coefficients[0]))
        vertices = transform(found.to_crop(), found.head)
        index = np.arange(len(vertices))[:, None]
        near = Neighbours(index, np.ones(index.shape, np.float32))
        turn = upright_rotation(surface.crop.to_photo()[:3, :3] * surface.crop.scale) @ found.pose.rotation[0]
        return cls(
            surface.crop,
            vertices.astype(np.float32),
            _normals(vertices, model),
            model.triangles.astype(np.int32),
            surface.view,
            surface.landmarks,
            surface.head,
            surface.pose,
            SPACING,
            turn if options.upright else np.eye(3),
            replace(surface.whole, vertices=vertices),
            near,
            found,
            options.neutral or options.rigged,
            TEXTURE_PX[options.detail],
        )

    @cached_property
    def shape(self) -> tuple[Singles, Singles]:
        """See `FaceSurface`: without the expression where the mesh is neutral."""
        if not self.neutral:
            return self.vertices, self.normals
        found = self.registered
        vertices = transform(found.to_crop(), found.neutral_head)
        return vertices.astype(np.float32), _normals(vertices, found.model)

    @property
    def landmark_vertices(self) -> NDArray[np.int32]:
        """See `FaceSurface`: the same vertices in every head."""
        return self.registered.model.landmark_indices

    def textured(self, photo: NDArray[np.uint8], painted: Paint) -> Texture:
        """See `FaceSurface`: the chart that all heads share, filled all round."""
        chart = load_chart()
        picture = chart_picture(photo, self, painted, self.size)
        return Texture(picture, chart.uv, chart.source.astype(np.int32), chart.triangles.astype(np.int32))


def _normals(vertices: NDArray[np.floating], model: HeadModel) -> Singles:
    """(v, 3) float32 - outward, of vertices of the crop frame; the neck's rim belongs to the neck and not to its cap."""
    points, cap = upright(vertices.astype(np.float32)), model.parts == CAP_PART
    normals, of_skin = vertex_normals(points, model.triangles), vertex_normals(points, model.triangles[~cap])
    has_skin = np.unique(model.triangles[~cap])
    normals[has_skin] = of_skin[has_skin]
    return upright(normals)
