"""Colours of one head from several photos."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from selfie3d.types import Detail, Mesh, Options
from selfie3d.types.frames import transform
from tests.unit.vrn.avatar.portraits import Portrait, mottled, portrait
from vrn.avatar.blend import moved_to
from vrn.avatar.model import load_model
from vrn.avatar.neighbours import Neighbours, model_normals
from vrn.avatar.places import Places
from vrn.meshing.colour import Confidence
from vrn.one_person import Portraits

pytestmark = pytest.mark.slow  # each test makes whole heads

Floats = NDArray[np.float64]

PREVIEW = Options(detail=Detail.PREVIEW)
CHEEKS = [np.array([side * 6.0, -3.0, 5.5]) for side in (-1.0, 1.0)]  # on the neutral head, cm


def mesh_of(portraits: list[Portrait], options: Options = PREVIEW) -> tuple[Mesh, Portrait]:
    """The mesh, and the portrait over which it is laid."""
    together = Portraits(options)
    for each in portraits:
        together.add(each.photo, each.face, each.whole)
    fused = together.fused()
    reference = portraits[fused.reference.index]
    return fused.mesh(fused.surface(options), reference.photo, options), reference


def colours_at(mesh: Mesh, reference: Portrait, places: list[Floats]) -> tuple[Floats, NDArray[np.uint8]]:
    """Mean colour and least confidence around places of the neutral head."""
    model = load_model()
    in_photo = transform(reference.whole.crop.to_photo(), reference.whole.vertices)
    tree = cKDTree(transform(mesh.mesh_to_photo, mesh.vertices))
    colours, confidence = [], []
    for place in places:
        near = np.argsort(np.linalg.norm(model.neutral - place, axis=1))[:30]
        at = tree.query(in_photo[near])[1]
        colours.append(mesh.colours[at][:, :3].mean(0))
        confidence.append(mesh.confidence[at].min())
    return np.array(colours), np.array(confidence)


def spotted() -> Floats:
    """A red cheek and a blue one, which no mirror can know."""
    colours, neutral = mottled(), load_model().neutral
    for cheek, colour in zip(CHEEKS, ((210, 70, 60), (90, 90, 200)), strict=True):
        colours[np.linalg.norm(neutral - cheek, axis=1) < 2.0] = colour
    return colours


def test_each_side_has_the_colour_of_the_photo_that_shows_it() -> None:
    colours = spotted()
    sides = [portrait(yaw, colours=colours) for yaw in (-50.0, 50.0)]
    found, confidence = colours_at(*mesh_of(sides), CHEEKS)
    np.testing.assert_allclose(found, [(210, 70, 60), (90, 90, 200)], atol=14)
    assert (confidence == Confidence.SEEN).all()
    one, _ = colours_at(*mesh_of(sides[:1]), CHEEKS)
    assert np.abs(one - found).max() > 60


def test_photos_of_other_exposures_leave_no_seam() -> None:
    colours = np.broadcast_to(np.array([170.0, 130.0, 105.0]), (len(load_model().neutral), 3)).copy()
    gains = np.array([[0.7, 0.75, 0.8], [1.0, 1.0, 1.0], [1.2, 1.15, 1.1]])
    faces = [portrait(yaw, colours=colours, gain=gain) for yaw, gain in zip((-45.0, 0.0, 45.0), gains, strict=True)]
    mesh, reference = mesh_of(faces)
    found, _ = colours_at(mesh, reference, [*CHEEKS, np.array([0.0, -1.0, 12.0]), np.array([0.0, -6.5, 10.0])])
    assert np.ptp(found, axis=0).max() < 6
    np.testing.assert_allclose(found, np.broadcast_to([170, 130, 105], found.shape), atol=6)


def test_the_order_of_the_photos_changes_nothing_but_their_numbers() -> None:
    colours = spotted()
    faces = [portrait(yaw, colours=colours) for yaw in (-45.0, 5.0, 45.0)]
    forward, _ = mesh_of(faces)
    backward, _ = mesh_of(faces[::-1])
    np.testing.assert_allclose(forward.vertices, backward.vertices, atol=1e-3)
    assert np.abs(forward.colours.astype(int) - backward.colours.astype(int)).mean() < 0.5


def test_a_surface_point_finds_its_place_on_another_photos_head() -> None:
    here, there = portrait(0.0).whole, portrait(40.0, expression=np.eye(45)[5] * 0.5).whole
    points, normals = here.vertices.astype(np.float32), model_normals(here)
    near = Neighbours.of(here, points, normals, normals)
    moved, turned = moved_to(here, there, near, Places.of(here.model, near, points, normals))
    off = np.linalg.norm(moved - there.vertices, axis=1)
    assert np.median(off) < 0.2  # px
    assert np.quantile(off, 0.95) < 1.5
    assert np.median((turned * model_normals(there)).sum(1)) > 0.97
