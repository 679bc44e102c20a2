"""Open and shut mouths, from photos of red lips around white teeth that do not lie quite where the head's do."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from selfie3d.types import Detail, Mesh, Options
from tests.heads import KnownHead, known_head
from vrn.avatar.head_colour import finished, mirrored, shown
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.lip_rings import RINGS, lip_rings
from vrn.avatar.model import FACE_PART, MOUTH_PART, load_model
from vrn.avatar.mouth import MouthOpening, with_mouth
from vrn.avatar.places import Places
from vrn.meshing.colour import Paint, PhotoSampler
from vrn.render.render import rasterise

SIDE = 480
RED, WHITE, SKIN = np.array([200, 40, 50.0]), np.array([245, 240, 235.0]), np.array([205, 160, 135.0])
SHUT, OPEN, WIDE = 0.0, 0.35, 0.8  # weights of the shape that opens the jaw
LIPS_CM = 0.9  # how far from where they part the lips are red
EXACT_PX = 1.0  # crop px, an opening is found to


class Painted(NamedTuple):
    """A head, what its surface is like, and its colours."""

    known: KnownHead
    surface: HeadSurface
    photo: NDArray[np.uint8]
    paint: Paint

    @property
    def places(self) -> Places:
        return self.surface.places

    @property
    def lips(self) -> NDArray[np.bool_]:
        """(n,) - which vertices surely lie on the outer side of a lip, and are red."""
        return (self.places.inward == 0) & ~self.places.eye & (from_edge()[self.places.nearest] < LIPS_CM / 2)

    @property
    def behind(self) -> NDArray[np.float32]:
        """(n,) - head crop px from vertices to where the mouth's inside is surely seen."""
        sampler = PhotoSampler.around(self.photo, self.surface.crop, self.surface.spacing)
        opening = MouthOpening.of(edge_of(self.known), sampler)
        return opening.inner.into(self.places.points)[1]

    @property
    def whiteness(self) -> NDArray[np.float32]:
        """(n,) - 0 as red as the lips, 1 as white as the teeth."""
        return np.asarray((self.paint.colours - RED) @ (WHITE - RED) / ((WHITE - RED) @ (WHITE - RED)), np.float32)


@cache
def painted(down: int = 0, jaw: float = OPEN, yaw: float = 0.0, detail: Detail = Detail.FULL) -> Painted:
    """down : photo px by which the photo lies lower than the head says"""
    known = known_head(1, yaw, expressions={"jawOpen": jaw})
    surface = HeadSurface.of_head(known.whole, known.face, Options(detail=detail))
    photo = np.roll(picture(known), down, axis=0)
    return Painted(known, surface, photo, surface.painted(photo))


def picture(known: KnownHead) -> NDArray[np.uint8]:
    model = known.model
    colours = np.where((from_edge() < LIPS_CM)[:, None], RED, SKIN)
    colours[lip_rings(model).inward > 0] = RED
    colours[lip_rings(model).inward > RINGS] = WHITE
    points, triangles = known.whole.crop.to_photo(), model.triangles.astype(np.int32)
    at = known.whole.vertices @ points[:3, :3].T + points[:3, 3]
    image = np.full((SIDE * SIDE, 3), [20.0, 230.0, 40.0])
    fragments = rasterise(at.astype(np.float32), triangles, SIDE)
    image[fragments.at] = fragments.interpolate(colours.astype(np.float32), triangles)
    return np.rint(image).astype(np.uint8).reshape(SIDE, SIDE, 3)


@cache
def from_edge() -> NDArray[np.float64]:
    """(v,) cm - how far the neutral head's vertices are from where the lips part."""
    model = load_model()
    edge = model.neutral[lip_rings(model).edge]
    return np.asarray(np.linalg.norm(model.neutral[:, None] - edge, axis=2).min(1), np.float64)


def edge_of(known: KnownHead) -> NDArray[np.float64]:
    return np.asarray(known.whole.vertices[lip_rings(known.model).edge, :2])


def test_the_lips_rings_lead_from_the_mouths_inside_to_where_the_lips_part() -> None:
    model = load_model()
    rings = lip_rings(model)
    skin, inside = (model.triangles[model.parts == part] for part in (FACE_PART, MOUTH_PART))
    assert set(rings.inward) == set(range(RINGS + 2))
    assert (np.ptp(rings.inward[skin], axis=1) <= 1).all()
    assert (rings.inward[np.unique(inside)] >= RINGS).all()
    others = np.ones(len(rings.inward), bool)
    others[skin], others[inside] = False, False
    assert (rings.inward[others] == 0).all()
    edge = model.neutral[rings.edge]
    landmarks = model.landmarks(model.neutral)[60:68]
    assert np.linalg.norm(landmarks[:, None] - edge, axis=2).min(1).max() < 0.15
    x, y = (edge - edge.mean(0)).T[:2]
    angles = np.unwrap(np.arctan2(20 * y, x))  # the neutral head's lips hardly part
    assert abs(abs(angles[-1] - angles[0]) - 2 * np.pi) < 0.5  # once around


@pytest.mark.slow
@pytest.mark.parametrize("down", [-3, 0, 3])
def test_lips_are_red_up_to_their_edge_and_what_they_part_is_white_though_the_photo_lies_beside(down: int) -> None:
    head = painted(down)
    assert head.lips.sum() > 200
    assert head.whiteness[head.lips].max() < 0.15
    seen = (head.places.inward > RINGS + 0.99) & (head.behind == 0)
    assert seen.sum() > 20
    assert head.whiteness[seen].min() > 0.85


@pytest.mark.slow
def test_the_inner_side_of_the_lips_is_theirs_and_has_neither_skin_nor_teeth() -> None:
    head = painted()
    wall = (head.places.inward > 1) & (head.places.inward < RINGS - 1.01)
    assert wall.sum() > 100
    colours = head.paint.colours[wall]
    lightness = colours @ RED / (RED @ RED)
    assert np.abs(colours - lightness[:, None] * RED).max() < 25
    assert lightness.max() < 1.1
    assert lightness.min() > 0.45
    assert np.corrcoef(lightness, head.places.inward[wall])[0, 1] < -0.8


@pytest.mark.slow
def test_behind_the_lips_the_mouth_becomes_steadily_darker() -> None:
    head = painted(jaw=WIDE, yaw=45.0)
    inside = head.places.inward > RINGS + 0.99
    away, light = head.behind[inside], head.paint.colours[inside].mean(1)
    steps = [np.median(light[(away >= low) & (away < low + 1.5)]) for low in np.arange(0, 7, 1.5)]
    assert (np.diff(steps) < 2).all()
    assert steps[0] > 220
    assert steps[-1] < 0.6 * steps[0]


@pytest.mark.slow
@pytest.mark.parametrize("down", [-4, -2, 0, 2, 4])
def test_the_photos_opening_is_found_where_it_lies(down: int) -> None:
    head = painted(down)
    sampler = PhotoSampler.around(head.photo, head.surface.crop, head.surface.spacing)
    assert abs(MouthOpening.of(edge_of(head.known), sampler).lower - down * head.surface.crop.scale) < EXACT_PX


@pytest.mark.slow
def test_a_shut_mouth_leaves_all_that_is_not_in_it_as_it_is() -> None:
    head = painted(2, SHUT)
    surface, places, view = head.surface, head.places, head.surface.view
    sampler = PhotoSampler.around(head.photo, surface.crop, surface.spacing)
    colours, seen = shown(sampler, view, places, places.points, places.normals)
    lent = mirrored(sampler, surface.whole, places, view, surface.symmetry, seen, colours)
    before = finished(places, colours, seen, *lent)
    kept = before.colours.copy(), before.seen.copy(), before.confidence.copy()
    after = with_mouth(before, sampler, view, surface.whole, places)
    outside = places.inward == 0
    assert outside.sum() < len(outside)
    np.testing.assert_array_equal(after.colours[outside], kept[0][outside])
    np.testing.assert_array_equal(after.seen[outside], kept[1][outside])
    np.testing.assert_array_equal(after.confidence[outside], kept[2][outside])
    np.testing.assert_array_equal(after.at[outside], places.points[outside])


@pytest.mark.slow
@pytest.mark.parametrize("detail", [Detail.STANDARD, Detail.FULL])
def test_a_texture_shows_an_open_mouth_as_its_vertices_do(detail: Detail) -> None:
    head = painted(2, yaw=-15.0, detail=detail)
    mesh = head.surface.coloured(head.photo, head.known.face, textured=True)
    of_mouth = (head.lips | (head.places.inward > 0))[head.surface.triangles].all(1)
    error = np.abs(texture_middles(mesh)[of_mouth] - mesh.colours[mesh.triangles[of_mouth]].mean(1)).mean(1)
    assert of_mouth.sum() > 300
    assert np.quantile(error, 0.75) < 12
    assert np.median(error) < 4


def texture_middles(mesh: Mesh) -> NDArray[np.float64]:
    """(t, 3) - what the texture shows in the middle of each triangle."""
    texture = mesh.texture
    assert texture is not None
    height, width = texture.image.shape[:2]
    u, v = texture.uv[texture.triangles].mean(1).T
    x, y = np.rint(u * width - 0.5).astype(int), np.rint((1 - v) * height - 0.5).astype(int)
    return np.asarray(texture.image[y, x], np.float64)
