"""Colours of one head from several photos: from the one that saw a place best, in one light, without seams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vrn.avatar.agreement import exposure_gains
from vrn.avatar.fusion import similarity
from vrn.avatar.head_colour import finished, mirrored, shown
from vrn.avatar.mouth import with_mouth
from vrn.avatar.neighbours import Neighbours, model_normals
from vrn.avatar.photo_head import PhotoHead
from vrn.avatar.places import Places
from vrn.avatar.whole_head import WholeHead
from vrn.meshing.colour import LIGHT_CELL_PX, Paint, PhotoSampler
from vrn.meshing.diffusion import diffuse
from vrn.meshing.head_fit import Plane
from vrn.meshing.visibility import View

Singles = NDArray[np.float32]

BEST = 3.0  # power of how well a photo shows a place: the best one prevails, and gives way smoothly
FINER = 2.0  # a photo has at most so many times the say of another one for its sharpness and size


@dataclass(frozen=True)
class SeveralPhotos:
    """Colours of all photos of a fused head.

    Attributes
    ----------
    snapshots : of the head; the first is the reference, in whose frame the surface lies
    whole : the fused head, whose vertices are at the same places as those of the photos' heads
    """

    snapshots: tuple[PhotoHead, ...]
    whole: WholeHead
    coarser: int = 2  # finer than for one photo: the texture has the other photos' details from here alone

    def paint(
        self,
        photo: NDArray[np.uint8],
        whole: WholeHead,
        places: Places,
        view: View,  # noqa: ARG002 - each photo has its own
        symmetry: Plane,  # noqa: ARG002
        spacing: float,
    ) -> Paint:
        """See `Painter`; photo : the reference's."""
        reference, *others = self.snapshots
        sampler = PhotoSampler.around(photo, reference.whole.crop, spacing)
        canvas = _Canvas(self.snapshots, self.whole, places)
        of_reference = canvas.begin(replace(reference, sampler=sampler))
        for snapshot, gain in zip(others, exposure_gains(self.snapshots)[1:], strict=True):
            evened = replace(snapshot.sampler, patch=snapshot.sampler.patch * gain)
            canvas.add(replace(snapshot, sampler=evened))
        paint = finished(places, canvas.colours, canvas.seen, *canvas.lent())
        of_reference = np.minimum(of_reference, paint.seen)  # a texture takes these from the photo itself
        return with_mouth(replace(paint, seen=of_reference), sampler, reference.view, whole, places)


class _Canvas:
    """The colours of a surface's points while one photo after the other is blended in.

    colours : (n, 3) float32 - sRGB; seen : (n,) float32 - 0..1, how well the best photo shows each
    """

    def __init__(self, snapshots: Sequence[PhotoHead], whole: WholeHead, places: Places) -> None:
        self._whole, self._places = whole, places
        self._near = Neighbours.of(whole, places.points, places.normals, model_normals(whole))
        self._finest = max(map(_detail, snapshots))
        count = len(places.points)
        self.colours, self.seen = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
        self._weight = np.zeros(count, np.float32)
        self._shown: list[tuple[PhotoHead, Places]] = []

    def begin(self, snapshot: PhotoHead) -> Singles:
        """The reference; how well it shows each point, (n,)."""
        colours, seen = shown(snapshot.sampler, snapshot.view, self._places, self._places.points, self._places.normals)
        self._blend(snapshot, self._places, colours, seen)
        return seen

    def add(self, snapshot: PhotoHead) -> None:
        """Another photo, with the difference in light to what is there taken out."""
        points, normals = moved_to(self._whole, snapshot.whole, self._near, self._places)
        places = replace(self._places, points=points, normals=normals)
        colours, seen = shown(snapshot.sampler, snapshot.view, places, points, normals)
        seen *= ~places.mouth
        at = np.flatnonzero(seen)
        both = seen[at] * self.seen[at]
        if both.any():
            colours[at] += diffuse(self._places.points[at], self.colours[at] - colours[at], both, LIGHT_CELL_PX)
        self._blend(snapshot, places, colours, seen)

    def lent(self) -> tuple[Singles, Singles]:
        """Weight (n,) and colours (n, 3) that the head's other side lends, from the photos that show it best."""
        weight, total = np.zeros_like(self.seen), np.full_like(self.seen, 1e-12)
        colours = np.zeros_like(self.colours)
        for snapshot, places in self._shown:
            whole, view, symmetry = snapshot.whole, snapshot.view, snapshot.symmetry
            by, other = mirrored(snapshot.sampler, whole, places, view, symmetry, self.seen, self.colours)
            share = by**BEST
            total = total + share
            colours += (other - colours) * (share / total)[:, None]
            weight = np.maximum(weight, by)
        return weight, colours

    def _blend(self, snapshot: PhotoHead, places: Places, colours: Singles, seen: Singles) -> None:
        detail = np.float32(max(_detail(snapshot) / self._finest, 1 / FINER))
        weight = (seen * detail) ** BEST
        self._weight = self._weight + weight
        self.colours += (colours - self.colours) * (weight / np.maximum(self._weight, np.float32(1e-12)))[:, None]
        self.seen = np.maximum(self.seen, seen)
        self._shown.append((snapshot, places))


def _detail(snapshot: PhotoHead) -> float:
    """How fine a photo shows the head; more pixels than the head crop has are no gain."""
    return snapshot.sharpness * min(1 / snapshot.whole.crop.scale, 1.0) + 1e-6


def moved_to(fused: WholeHead, other: WholeHead, near: Neighbours, places: Places) -> tuple[Singles, Singles]:
    """Points and normals (n, 3) float32 of the surface of one head on another head of the same model.

    near : the model's vertices next to the points
    """
    here, there = fused.vertices.astype(np.float32), other.vertices.astype(np.float32)
    grown, turn, _ = similarity(fused.vertices, other.vertices)
    off = (places.points - near.mean(here)) @ (grown * turn.T).astype(np.float32)
    normals = near.mean(model_normals(other))
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.float32(1e-6))
    return np.asarray(near.mean(there) + off, np.float32), np.asarray(normals, np.float32)
