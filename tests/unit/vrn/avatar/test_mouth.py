"""Lips and teeth in a photo of which both are known: which colours the mesh's lips and mouth have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

from selfie3d.types import Detail, Options
from tests.unit.vrn.avatar.portraits import SKIN, portrait
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.lip_rings import RINGS, lip_rings
from vrn.avatar.model import FACE_PART, MOUTH_PART, load_model
from vrn.avatar.places import Places
from vrn.meshing.colour import Paint

pytestmark = pytest.mark.slow  # each test makes whole heads

Floats = NDArray[np.float64]

LIPS, TEETH = np.array([150.0, 40.0, 60.0]), np.array([235.0, 230.0, 220.0])
LIP_CM = 0.6  # around the lips' landmarks


@dataclass(frozen=True)
class Mouth:
    """A painted mouth and where its vertices lie."""

    places: Places
    paint: Paint
    surface: HeadSurface

    @property
    def whiteness(self) -> Floats:
        """(n,) - 0 a colour like that of lips, 1 like that of teeth."""
        along = (TEETH - LIPS) / ((TEETH - LIPS) @ (TEETH - LIPS))
        return np.asarray((self.paint.colours - LIPS) @ along, np.float64)

    @property
    def lips(self) -> NDArray[np.bool_]:
        """Vertices of the red of the lips, outside of where they part."""
        red = near_lips(0.3) & (lip_rings(load_model()).inward == 0)
        return np.asarray(red[self.places.nearest] & (self.places.inward == 0) & ~self.places.mouth)


def near_lips(within_cm: float) -> NDArray[np.bool_]:
    model = load_model()
    lips = model.landmarks(model.neutral)[48:68]
    return np.asarray(np.linalg.norm(model.neutral[:, None] - lips[None], axis=2).min(1) < within_cm)


def mouth(opened: float, detail: Detail = Detail.STANDARD, lower_cm: float = 0.0) -> Mouth:
    """opened : of the shape that lowers the jaw; lower_cm : by which the photo's mouth lies lower than the head's"""
    model = load_model()
    shapes = np.eye(len(model.shapes))[model.identities :]
    chins = [model.landmarks(model.vertices(shape))[57, 1] for shape in shapes]
    colours = np.broadcast_to(SKIN, model.neutral.shape).copy()
    colours[near_lips(LIP_CM)] = LIPS
    colours[np.setdiff1d(model.triangles[model.parts == MOUTH_PART], model.triangles[model.parts == FACE_PART])] = TEETH
    expression = np.zeros(len(shapes))
    expression[int(np.argmin(chins))] = opened
    noise = np.zeros(model.neutral.shape)
    noise[:, 1] = lower_cm * near_lips(2.0)
    seen = portrait(expression=expression, colours=colours, noise_cm=noise)
    surface = HeadSurface.of_head(seen.whole, seen.face, Options(detail=detail))
    return Mouth(surface.places, surface.painted(seen.photo), surface)


@pytest.mark.parametrize("detail", [Detail.STANDARD, Detail.FULL])
def test_open_lips_are_red_up_to_where_they_part_and_the_teeth_between_them_white(detail: Detail) -> None:
    made = mouth(0.6, detail)
    assert made.lips.sum() > 100
    assert np.quantile(made.whiteness[made.lips], 0.99) < 0.3
    between = made.places.mouth & (made.paint.seen == 1)
    assert between.sum() > 30
    assert np.quantile(made.whiteness[between], 0.1) > 0.7


def test_a_mouth_that_the_photo_shows_a_little_lower_has_its_teeth_all_the_same() -> None:
    made = mouth(0.6, lower_cm=0.1)
    between = made.places.mouth & (made.paint.seen == 1)
    assert np.quantile(made.whiteness[between], 0.1) > 0.7
    assert np.quantile(made.whiteness[made.lips], 0.95) < 0.3


def test_a_shut_mouth_has_no_dark_line_and_no_teeth() -> None:
    made = mouth(0.0)
    brightness = made.paint.colours[made.lips].mean(1)
    np.testing.assert_allclose(np.quantile(brightness, (0.02, 0.98)), LIPS.mean(), atol=25)


def test_the_further_the_lips_hide_the_mouth_the_darker_it_is() -> None:
    made = mouth(0.6)
    plane, shown = made.places.points[:, :2], made.places.mouth & (made.paint.seen == 1)
    hidden = made.places.mouth & ~shown
    behind, _ = cKDTree(plane[shown]).query(plane[hidden])
    brightness = made.paint.colours[hidden].mean(1)
    assert np.median(brightness[behind > 1]) < TEETH.mean() - 8
    assert spearmanr(behind, brightness).statistic < -0.6


def test_rings_lie_one_inside_of_the_other_and_the_edge_goes_once_around() -> None:
    model, rings = load_model(), lip_rings(load_model())
    assert set(np.unique(rings.inward)) == set(range(RINGS + 2))
    edge = model.neutral[rings.edge]
    x, y = (edge - edge.mean(0)).T[:2]
    turns = np.diff(np.unwrap(np.arctan2(y, x), period=2 * np.pi))
    assert abs(turns.sum()) == pytest.approx(2 * np.pi, rel=0.1)
    corners = rings.inward[model.triangles[(model.parts == FACE_PART)]]
    assert (np.ptp(corners, axis=1) <= 1).mean() > 0.99
