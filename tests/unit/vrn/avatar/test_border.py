"""Where the hair and the sides of a face that a photo shows end: no band, no edge, and all else as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from selfie3d.types import Mesh, Options
from tests.unit.vrn.avatar.test_head_surface import SIDE, Scene, darkness, nearest_vertices, scene
from vrn.avatar.border import DARK, OUTER, REACH_PX, SIDE_CM, border, given_way
from vrn.avatar.completion import completed
from vrn.avatar.head_colour import shown
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.model import load_model
from vrn.avatar.palette import LUMA, medians
from vrn.avatar.places import ear
from vrn.meshing.colour import PhotoSampler
from vrn.meshing.visibility import smoothstep
from vrn.render.render import rasterise

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

X = np.abs(load_model().neutral[:, 0])  # cm, of the model's vertices from the middle
SHADE = 1 - 0.45 * smoothstep(X, (4.8, 6.0))  # of the skin towards the end of what a photo shows
SHADOW = 1 - 0.7 * smoothstep(X, (5.4, 5.6))  # of hair beside the cheeks


def dimmed(light: NDArray[np.floating]) -> Scene:
    """A head in a photo that is darker at each of the model's vertices, light: (v,) 0..1."""
    known = scene()
    triangles = known.whole.model.triangles.astype(np.int32)
    seen = rasterise(known.in_photo.astype(np.float32), triangles, SIDE)
    image = known.photo.reshape(-1, 3).astype(np.float32)
    image[seen.at] *= seen.interpolate(light[:, None].astype(np.float32), triangles)
    return replace(known, photo=np.rint(image).astype(np.uint8).reshape(SIDE, SIDE, 3))


def surface_of(known: Scene) -> HeadSurface:
    return HeadSurface.of_head(known.whole, known.face, Options())


def on_cheeks(known: Scene, mesh: Mesh) -> tuple[Singles, NDArray[np.bool_]]:
    """Brightness (n,) of a mesh's vertices, and which of them lie between the nose and the ears."""
    neutral = known.whole.model.neutral[nearest_vertices(known, mesh)]
    x, y, z = neutral.T
    chosen = (np.abs(x) > 3) & (y > -5) & (y < 1) & (z > 1) & (ear(neutral) == 0)
    return mesh.colours[:, :3].astype(np.float32).mean(1), chosen


def steepest(known: Scene) -> float:
    """The largest difference in brightness along an edge of the cheeks."""
    mesh = known.mesh()
    brightness, cheek = on_cheeks(known, mesh)
    edges = np.concatenate([mesh.triangles[:, [0, 1]], mesh.triangles[:, [1, 2]], mesh.triangles[:, [2, 0]]])
    return float(np.abs(np.diff(brightness[edges[cheek[edges].all(1)]], axis=1)).max())


@pytest.mark.slow
@pytest.mark.parametrize("light", [SHADE, SHADOW], ids=["shade", "shadow of hair"])
def test_a_cheek_that_grows_dark_where_the_photo_ends_has_no_edge_there(light: Singles) -> None:
    assert steepest(dimmed(light)) < steepest(scene()) + 18  # of 167


@pytest.mark.slow
def test_a_shadow_at_the_end_of_a_cheek_is_left_out() -> None:
    brightness, cheek = on_cheeks(known := dimmed(SHADOW), known.mesh())
    even, _ = on_cheeks(scene(), scene().mesh())
    np.testing.assert_allclose(brightness[cheek], even[cheek], atol=12)  # the shadow is 117 darker


@pytest.mark.slow
def test_away_from_the_border_the_colours_are_those_of_the_photo() -> None:
    known = dimmed(SHADE)
    surface = surface_of(known)
    places, view = surface.places, surface.view
    sampler = PhotoSampler.around(known.photo, surface.crop, surface.spacing)
    _, seen = shown(sampler, view, places, places.points, places.normals)
    paint = surface.painted(known.photo)
    mouth = places.mouth | (places.inward > 0)
    middle = (np.abs(places.neutral[:, 0]) <= SIDE_CM[0]) & (places.hair == 0) & ~mouth
    np.testing.assert_array_equal(paint.seen[middle], seen[middle])
    whole = paint.seen == 1
    assert (whole & ~middle & (places.skin == 1)).sum() > 500
    np.testing.assert_allclose(paint.colours[whole], sampler.sample(paint.at[whole]), atol=1e-3)
    np.testing.assert_array_equal(paint.at[~mouth], places.points[~mouth])
    assert (paint.seen <= seen)[~mouth].all()


@pytest.mark.slow
def test_a_beard_stays_and_goes_on_where_the_photo_ends() -> None:
    x, y, z = load_model().neutral.T
    beard = (y > -7.5) & (y < -4) & (z > 2)
    known = scene(dark=beard)
    mesh = known.mesh()
    place = nearest_vertices(known, mesh)
    front = beard & (z > 6)
    chin, cheek, jaw = (
        darkness(mesh, (front & (np.abs(x) > low) & (np.abs(x) < low + 1.5))[place]) for low in (0, 3, 5)
    )
    assert np.quantile(chin, 0.25) > 0.9
    assert np.quantile(cheek, 0.25) > 0.6
    assert np.quantile(jaw, 0.25) > 0.3  # it fades


@pytest.mark.slow
def test_a_border_is_near_the_end_of_what_is_known_on_the_sides_of_a_face_and_on_hair_and_nowhere_else() -> None:
    places = surface_of(scene()).places
    x, y, z = places.neutral.T
    front = (z > 3).astype(np.float32)  # all that is known ends across the cheeks
    near = border(places, front)
    plain = ~places.bare & ~places.folded
    others = (np.abs(x) <= SIDE_CM[0]) & (places.hair == 0) | ~plain
    assert not near[others].any()
    cheek = (np.abs(x) > SIDE_CM[1]) & (places.skin == 1) & plain & (np.abs(y) < 3)
    assert not near[front == 0].any()
    scalp = (places.hair == 1) & (y > 5)
    for part in (cheek, scalp):
        assert near[part & (z > 3) & (z < 3.2)].mean() > 0.8
    reach = 2.5 * REACH_PX * (z.max() - z.min()) / np.ptp(places.points[:, 2])  # cm
    assert not near[(cheek | scalp) & (z > 3 + reach)].any()
    assert not border(places, np.ones_like(front)).any()
    assert (border(places, 0.5 * front) >= near).all()


@pytest.mark.slow
def test_a_patch_at_the_end_of_the_hair_is_left_out() -> None:
    even = scene()
    surface = surface_of(even)
    places, paint = surface.places, surface.painted(even.photo)
    sampler = PhotoSampler.around(even.photo, surface.crop, surface.spacing)
    seen = shown(sampler, surface.view, places, places.points, places.normals)[1]
    end = (places.hair == 1) & (seen > 0.5) & (border(places, seen) > 0.9)
    assert end.sum() > 100
    patch = np.zeros(len(X), np.float32)
    patch[places.nearest[end]] = 1
    known = dimmed(1 - 0.9 * patch)
    darker = paint.colours - surface_of(known).painted(known.photo).colours
    assert darker[end].mean() < 0.25 * 0.9 * paint.colours[end].mean()
    assert darker[(places.hair == 1) & (seen == 0)].max() < 0.5 * 0.9 * paint.colours[end].mean()


@pytest.mark.slow
def test_the_middle_of_a_face_goes_on_from_its_faintly_seen_sides_and_not_as_the_whole_face() -> None:
    places = surface_of(scene()).places
    x, y, z = places.neutral.T
    light, dark = np.array([225, 190, 170], np.float32), np.array([165, 120, 100], np.float32)
    front = (np.abs(x) < 4.5) & (z > 5)
    colours = np.where(front[:, None], light, dark)
    sure = np.where(front, np.float32(0.01), np.float32(1)) * ~(front & (np.abs(x) < 2))
    assert (medians(places, colours, sure).skin == dark).all()
    middle = np.flatnonzero((np.abs(x) < 1.5) & (y > 1) & (y < 5) & (z > 5) & (places.skin > 0.99) & ~places.bare)
    assert len(middle) > 300
    assert np.abs(completed(places, colours, sure, sure, middle) - light).mean() < 16  # of 67; 23 as elsewhere


def test_what_is_as_bright_as_what_replaces_it_gives_way_at_the_very_border_alone() -> None:
    near = np.linspace(0, 1, 101).astype(np.float32)
    fill = np.tile(np.array([200, 150, 130], np.float32), (101, 1))
    grey = np.tile(fill[:1] @ LUMA, (101, 3)).reshape(101, 3)
    for colours in (fill, grey, 1.2 * fill):
        np.testing.assert_allclose(given_way(near, colours, fill), smoothstep(near, OUTER), atol=1e-4)
    np.testing.assert_array_equal(given_way(near, DARK[0] * 0.99 * fill, fill), smoothstep(near, (0, 1)))


def test_the_darker_a_colour_the_more_it_gives_way_whatever_the_exposure() -> None:
    shares = np.linspace(0.5, 1.2, 57).astype(np.float32)
    fill = np.tile(np.array([200, 150, 130], np.float32), (57, 1))
    near = np.full(57, 0.4, np.float32)
    ways = given_way(near, shares[:, None] * fill, fill)
    assert (np.diff(ways) <= 1e-6).all()
    assert ways[0] > 3 * ways[-1] > 0
    np.testing.assert_allclose(given_way(near, 0.3 * shares[:, None] * fill, 0.3 * fill), ways, atol=1e-5)
