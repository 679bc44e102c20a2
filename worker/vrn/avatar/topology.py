"""A head with the head model's own vertices: the same place of every head is the same vertex and the same texel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Detail, Mesh, Options, Texture
from selfie3d.types.frames import transform, upright, upright_rotation
from selfie3d.types.rig import Eye, Rig
from vrn.avatar.cavity import with_cavity
from vrn.avatar.chart import EYEBALL, load_chart
from vrn.avatar.chart_picture import LEAST_TEXEL_PX, chart_picture, texels, with_eyeball
from vrn.avatar.eyeballs import NAMES as EYE_NAMES
from vrn.avatar.eyeballs import Eyeballs, ball, eyeballs
from vrn.avatar.head_colour import OnePhoto
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.model import CAP_PART, HeadModel
from vrn.avatar.mouth import MOUTH_SHADE
from vrn.avatar.neck import evened_neck
from vrn.avatar.neighbours import Neighbours
from vrn.avatar.places import Places
from vrn.avatar.registration import Registration, register
from vrn.avatar.rig import NAMES, shapes_of, weights_of, with_sockets
from vrn.finder.face import AlignedFace
from vrn.meshing.colour import Paint, PhotoSampler
from vrn.meshing.normals import vertex_normals

Singles = NDArray[np.float32]

TEXTURE_PX = {Detail.PREVIEW: 512, Detail.STANDARD: 1024, Detail.FULL: 2048}
SPACING = 2.0  # head crop px between the vertices around the features
TEXEL_SPACING = 1.0  # the same between the colours of several photos


@dataclass(frozen=True)
class TopologySurface(HeadSurface):
    """The registered head model in the head crop frame.

    Attributes
    ----------
    registered : the head model on the reconstruction's surface
    rigged : whether the mesh is neutral and moves
    neutral : whether the photo's expression is taken off
    size : px of a side of the texture
    """

    registered: Registration
    rigged: bool
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
            surface.painter,
            found,
            options.rigged,
            options.neutral,
            TEXTURE_PX[options.detail],
        )

    @cached_property
    def shape(self) -> tuple[Singles, Singles]:
        """See `FaceSurface`: without the expression where it is taken off or can be put on."""
        if not self.neutral and not self.rigged:
            return self.vertices, self.normals
        vertices = transform(self.registered.to_crop(), self._rest)
        return vertices.astype(np.float32), _normals(vertices, self.registered.model)

    @cached_property
    def _rest(self) -> NDArray[np.float64]:
        """(v, 3) cm, head frame - the neutral head; of a rigged one what its expressions leave, with room for eyes."""
        found = self.registered
        if not self.rigged:
            return found.neutral_head
        shown = np.tensordot(weights_of(found.expression).astype(np.float32), self._shapes, 1)
        return with_sockets(found.model, found.head - shown)

    @cached_property
    def _shapes(self) -> Singles:
        """(k, v, 3) float32 - cm, head frame: the expressions."""
        return shapes_of(self.registered.model, self.registered.neutral_head)

    def coloured(
        self, photo: NDArray[np.uint8], face: AlignedFace, *, textured: bool = False, delight: bool = False
    ) -> Mesh:
        """See `FaceSurface`; with the rig of a rigged one."""
        mesh = super().coloured(photo, face, textured=textured, delight=delight)
        mesh = replace(mesh, dense_vertices=self.registered.model.dense_indices)
        if not self.rigged or mesh.texture is None:
            return mesh
        skin = np.median(mesh.colours[self.places.skin > 0.5], axis=0).astype(np.float64)
        eyes = eyeballs(self.registered, PhotoSampler.around(photo, self.crop, LEAST_TEXEL_PX), skin)
        cavity = with_cavity(mesh.texture.image, self.registered.model, skin * MOUTH_SHADE)
        texture = replace(mesh.texture, image=with_eyeball(cavity, eyes))
        return replace(mesh, texture=texture, rig=self._rig(mesh, eyes))

    def _rig(self, mesh: Mesh, eyes: Eyeballs) -> Rig:
        """The expressions and the eyes of the upright mesh, whose axes are the head frame's."""
        found = self.registered
        mm = float(found.pose.scale[0] / self.crop.scale / np.linalg.norm(mesh.mesh_to_photo[:3, 0]))
        origin = mesh.vertices[0] - mm * self._rest[0]
        weights = np.zeros(len(found.expression)) if self.neutral else found.expression
        turn = np.eye(3) if self.neutral else eyes.rotation
        vertices, triangles, places = ball()
        left, bottom, side = EYEBALL
        uv = ((places + 1) / 2 * side + np.array([left, bottom])).astype(np.float32)
        return Rig(
            NAMES,
            self._shapes * np.float32(mm),
            weights_of(weights),
            tuple(
                Eye(name, mm * centre + origin, turn, vertices * np.float32(mm), triangles, uv)
                for name, centre in zip(EYE_NAMES, eyes.centres, strict=True)
            ),
        )

    @property
    def landmark_vertices(self) -> NDArray[np.int32]:
        """See `FaceSurface`: the same vertices in every head."""
        return self.registered.model.landmark_indices

    def textured(self, photo: NDArray[np.uint8], painted: Paint) -> Texture:
        """See `FaceSurface`: the chart that all heads share, filled all round."""
        chart = load_chart()
        coarser = self.painter.coarser
        between = texels(self.size // coarser)
        normals = between.mean(self.normals)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.float32(1e-6))
        places = Places.of(self.registered.model, between.neighbours, between.mean(self.vertices), normals)
        spacing = self.spacing * coarser / OnePhoto.coarser
        completed = self.painter.paint(photo, self.whole, places, self.view, self.symmetry, spacing).colours
        picture = chart_picture(photo, self.crop, completed, painted, self.size, coarser)
        return Texture(picture, chart.uv, chart.source.astype(np.int32), chart.triangles.astype(np.int32))


def _normals(vertices: NDArray[np.floating], model: HeadModel) -> Singles:
    """(v, 3) float32 - outward, of vertices of the crop frame; the neck's rim belongs to the neck, not to its cap."""
    points, cap = upright(vertices.astype(np.float32)), model.parts == CAP_PART
    normals, of_skin = vertex_normals(points, model.triangles), vertex_normals(points, model.triangles[~cap])
    has_skin = np.unique(model.triangles[~cap])
    normals[has_skin] = of_skin[has_skin]
    return upright(normals)
