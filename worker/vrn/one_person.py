"""From several photos of one person to one head: each reconstructed, then fused and coloured together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Mesh, Options, Topology
from selfie3d.types.frames import CROP_SIZE
from selfie3d.types.photo_view import LeftOut, PhotoView
from vrn.avatar.agreement import left_out
from vrn.avatar.blend import SeveralPhotos
from vrn.avatar.fusion import FusedHead, fuse
from vrn.avatar.head_surface import COLUMNS, HeadSurface
from vrn.avatar.photo_head import PhotoHead
from vrn.avatar.topology import TEXEL_SPACING, TopologySurface
from vrn.avatar.whole_head import WholeHead
from vrn.errors import NoFaceError
from vrn.finder.face import AlignedFace

Image = NDArray[np.uint8]


@dataclass
class Portraits:
    """The photos of one person, as they come in.

    options : of the mesh
    """

    options: Options
    _snapshots: list[PhotoHead] = field(default_factory=list)
    _count: int = 0

    def add(self, image: Image, face: AlignedFace, whole: WholeHead) -> None:
        """The next photo, (H, W, 3) uint8, and the head that it shows."""
        delight, spacing = self.options.delight, _spacing(self.options)
        self._snapshots.append(PhotoHead.of(self._count, image, face, whole, spacing, delight=delight))
        self._count += 1

    def add_faceless(self) -> None:
        """The next photo, in which there is no face."""
        self._count += 1

    def fused(self) -> Fused:
        """All of them together. Raises NoFaceError when no photo shows a face."""
        if not self._snapshots:
            raise NoFaceError
        out = left_out(self._snapshots)
        kept = [each for each in self._snapshots if each.index not in out]
        head = fuse(kept)
        shares = dict(zip((each.index for each in kept), head.shares.tolist(), strict=True))
        return Fused(head, tuple(kept), self._views(out, shares))

    def _views(self, out: dict[int, LeftOut], shares: dict[int, float]) -> tuple[PhotoView, ...]:
        poses = {each.index: each.pose for each in self._snapshots}
        return tuple(
            PhotoView(i, shares.get(i, 0.0), poses.get(i), out.get(i, "" if i in poses else LeftOut.NO_FACE))
            for i in range(self._count)
        )


@dataclass(frozen=True)
class Fused:
    """One head of several photos.

    Attributes
    ----------
    head : the fused head
    snapshots : that it was made of
    views : of every photo
    """

    head: FusedHead
    snapshots: tuple[PhotoHead, ...]
    views: tuple[PhotoView, ...]

    @property
    def reference(self) -> PhotoHead:
        """The photo over which the mesh is laid."""
        return self.head.reference

    def surface(self, options: Options) -> HeadSurface:
        """Raises FieldError."""
        others = sorted(
            (each for each in self.snapshots if each is not self.reference), key=lambda each: each.trust, reverse=True
        )
        painter = SeveralPhotos((self.reference, *others), self.head.whole)
        surface = HeadSurface.of_head(self.head.whole, self.reference.face, options, painter)
        return TopologySurface.of_surface(surface, options) if options.topology is Topology.HEAD else surface

    def mesh(self, surface: HeadSurface, photo: Image, options: Options) -> Mesh:
        """photo : (H, W, 3) uint8 - the reference's."""
        return surface.coloured(photo, self.reference.face, textured=options.needs_texture, delight=options.delight)


def _spacing(options: Options) -> float:
    """Head crop px between the points that are coloured from a photo: vertices, or texels of the head's texture."""
    if options.topology is Topology.HEAD and options.needs_texture:
        return TEXEL_SPACING
    return CROP_SIZE / COLUMNS[options.detail]
