"""Strands on the scalp: what of hair they look like, and what of a copy they do not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.vrn.avatar.scalps import ball
from vrn.avatar.places import scalp
from vrn.avatar.strands import CROWN_CENTRE, pattern, strands

Singles = NDArray[np.float32]

SPACINGS = (0.13, 0.26, 0.68)  # cm between the vertices at full, standard and preview detail


def places() -> Singles:
    """Evenly over the scalp of a ball, 1.5 mm apart."""
    points = ball(60_000)
    return points[scalp(points) == 1]


def turned(points: Singles, degrees: float, axis: int = 1) -> Singles:
    """About the x axis, forwards at the top, or about the vertical."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    one, two = [k for k in range(3) if k != axis]
    away = points - CROWN_CENTRE
    moved = away.copy()
    moved[:, one], moved[:, two] = cos * away[:, one] + sin * away[:, two], cos * away[:, two] - sin * away[:, one]
    return np.asarray(moved + CROWN_CENTRE, np.float32)


def likeness(one: Singles, other: Singles, spacing: float = 0.26) -> float:
    """Correlation of what is at places with what is at others."""
    return float(np.corrcoef(strands(one, 1.0, spacing), strands(other, 1.0, spacing))[0, 1])


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("locks", [0.5, 1.5])
def test_strands_are_as_often_light_as_dark_like_a_normal(locks: float, spacing: float) -> None:
    quantiles = np.quantile(strands(places(), locks, spacing), [0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(quantiles, [-1.64, -0.67, 0, 0.67, 1.64], atol=0.25)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_side_is_unlike_its_mirror_image(spacing: float) -> None:
    at = places()
    assert abs(likeness(at, at * np.array([-1, 1, 1], np.float32), spacing)) < 0.1


def test_nothing_repeats_around_the_head() -> None:
    at = places()
    at = at[(at[:, 1] > 2) & (at[:, 1] < 11)]  # all around, and far enough from the crown to come away from itself
    assert max(abs(likeness(at, turned(at, degrees))) for degrees in range(20, 341, 5)) < 0.25


def test_strands_go_on_behind_the_head_where_its_angles_jump() -> None:
    at = places()
    back = at[(np.abs(at[:, 0]) < 0.2) & (at[:, 2] < 0)]
    across = likeness(turned(back, -0.3), turned(back, 0.3), 0.13)
    front = at[(np.abs(at[:, 0]) < 0.2) & (at[:, 2] > 0)]
    assert len(back) > 100
    assert across > 0.95
    assert likeness(turned(front, -0.3), turned(front, 0.3), 0.13) > 0.95


@pytest.mark.parametrize("spacing", SPACINGS)
def test_strands_are_longer_than_wide_and_hang_down_at_the_back_and_the_sides(spacing: float) -> None:
    at = places()
    low = at[(at[:, 1] > 0) & (at[:, 1] < 7)]
    back, sides = low[low[:, 2] < -6], low[np.abs(low[:, 0]) > 7.5]
    way = 6 if spacing < 0.5 else 9  # degrees, of 1.7 mm: further where only wide strands are left
    for some, axis in ((back, 0), (sides, 2)):
        assert len(some) > 1000
        down = likeness(some, turned(some, way, axis), spacing)
        around = likeness(some, turned(some, way, 1), spacing)
        assert down > 0.5
        assert down > around + 0.3


@pytest.mark.parametrize("spacing", SPACINGS)
def test_points_carry_the_strands_between_them(spacing: float) -> None:
    at, degrees = places(), np.degrees(spacing / 9.5 / 2)
    for axis in (0, 1):
        between = (
            strands(turned(at, -degrees, axis), 1.0, spacing) + strands(turned(at, degrees, axis), 1.0, spacing)
        ) / 2
        assert (between - strands(at, 1.0, spacing)).std() < 0.25


def test_the_same_place_has_the_same_strand_whoever_asks() -> None:
    at = places()
    before, all_at_once = pattern().tobytes(), strands(at, 1.0, 0.26)
    pattern.cache_clear()
    assert pattern().tobytes() == before
    np.testing.assert_array_equal(strands(at[::7], 1.0, 0.26), all_at_once[::7])


def test_finer_points_have_the_same_strands_with_more_detail() -> None:
    at = places()
    coarse, standard, full = (strands(at, 1.0, spacing) for spacing in reversed(SPACINGS))
    assert np.corrcoef(standard, full)[0, 1] > 0.95
    assert np.corrcoef(coarse, full)[0, 1] > 0.7
