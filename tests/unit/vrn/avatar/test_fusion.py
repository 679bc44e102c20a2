"""Several photos' heads of one person as one: shape, what is left out, and exposure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from selfie3d.types import LeftOut
from tests.unit.vrn.avatar.portraits import blurred, mottled, portrait
from vrn.avatar.agreement import STRANGE_MM, exposure_gains, identity_mm, left_out
from vrn.avatar.fusion import UNSEEN, fuse, registered, weights_of
from vrn.avatar.model import load_model
from vrn.avatar.photo_head import PhotoHead, face_vertices

pytestmark = pytest.mark.slow  # each test makes whole heads

Floats = NDArray[np.float64]

SIDES = (0.0, -40.0, 40.0)
PERSON = np.array([0.8, -1.1, 0.6, 0.9, -0.5])
SMILE, JAW = np.eye(45)[20] * 0.6, np.eye(45)[5] * 0.5


def sides(identity: Floats = PERSON) -> list[PhotoHead]:
    """Three photos of one person, each with an expression of its own."""
    faces = [portrait(yaw, identity, face) for yaw, face in zip(SIDES, (0 * SMILE, SMILE, JAW), strict=True)]
    return [face.snapshot(index) for index, face in enumerate(faces)]


def test_photos_of_one_head_give_that_head_with_the_expression_of_the_frontal_one() -> None:
    frontal, *_ = snapshots = sides()
    fused = fuse(snapshots)
    assert fused.reference is frontal
    np.testing.assert_allclose(fused.whole.vertices, frontal.whole.vertices, atol=0.02)
    np.testing.assert_allclose(fused.whole.plane, frontal.whole.plane, atol=1e-3)


def test_a_photo_alone_is_its_own_head_to_the_bit() -> None:
    (only,) = [portrait(20.0, PERSON, SMILE).snapshot()]
    fused = fuse([only])
    assert fused.whole is only.whole
    assert fused.shares.tolist() == [1.0]


def test_independent_errors_of_equal_photos_shrink_as_a_mean_does() -> None:
    model, rng = load_model(), np.random.default_rng(0)
    count = 4
    errors = rng.normal(0, 0.1, (count, len(model.neutral), 3))  # cm
    snapshots = [portrait(0.0, PERSON, noise_cm=error).snapshot(n) for n, error in enumerate(errors)]
    snapshots = [replace(each, seen=np.ones_like(each.seen), sharpness=0.3) for each in snapshots]
    truth = portrait(0.0, PERSON).whole.vertices / 6.4  # cm
    skin = face_vertices(model)

    def error(vertices: Floats) -> float:
        off = registered(vertices / 6.4, truth, skin) - truth
        return float(np.sqrt((off[skin] ** 2).mean()))

    alone = [error(each.whole.vertices) for each in snapshots]
    assert error(fuse(snapshots).whole.vertices) == pytest.approx(np.mean(alone) / np.sqrt(count), rel=0.03)


def test_a_vertex_listens_most_to_the_photo_that_shows_it() -> None:
    left, right = (replace(portrait(yaw, PERSON).snapshot(), sharpness=0.3) for yaw in (-40.0, 40.0))
    weights = weights_of([left, right])
    np.testing.assert_allclose(weights.sum(0), 1)
    neutral = load_model().neutral
    for side in (-1.0, 1.0):
        cheek = int(np.argmin(np.linalg.norm(neutral - np.array([side * 6.3, -3.0, 5.0]), axis=1)))
        seen = np.array([left.seen[cheek], right.seen[cheek]])
        best = int(np.argmax(seen))
        assert seen[best] > 0.9
        assert seen[1 - best] == 0
        assert weights[best, cheek] == pytest.approx((1 + UNSEEN) / (1 + 2 * UNSEEN), abs=0.05)


def test_an_oblique_photo_has_less_to_say_than_a_frontal_one() -> None:
    frontal, oblique, profile = (portrait(yaw, PERSON).snapshot() for yaw in (0.0, 40.0, 80.0))
    shares = fuse([profile, oblique, frontal]).shares
    assert shares[2] > 4 * shares[1] > 16 * shares[0]


def test_photos_that_agree_are_all_used() -> None:
    assert left_out(sides()) == {}


def test_a_photo_out_of_focus_is_left_out_and_a_slightly_soft_one_is_not() -> None:
    sharp = portrait(0.0, PERSON)
    snapshots = [sharp.snapshot(0), blurred(sharp, 1).snapshot(1), blurred(sharp, 30).snapshot(2)]
    assert left_out(snapshots) == {2: LeftOut.BLURRED}


def test_surely_another_person_is_left_out_wherever_the_photo_stands() -> None:
    for place in range(3):
        snapshots = sides()
        snapshots[place] = portrait(SIDES[place], -2.5 * np.sign(PERSON)).snapshot(place)
        assert left_out(snapshots) == {place: LeftOut.DIFFERENT_PERSON}


def test_of_two_people_the_frontal_photo_stays() -> None:
    one, other = portrait(40.0, PERSON).snapshot(0), portrait(0.0, -2.5 * np.sign(PERSON)).snapshot(1)
    assert left_out([one, other]) == {0: LeftOut.DIFFERENT_PERSON}


def test_somebody_who_looks_alike_is_not_accused() -> None:
    one, other = portrait(0.0, PERSON).snapshot(0), portrait(0.0, PERSON + 0.3).snapshot(1)
    assert 0 < identity_mm(one, [other]) < STRANGE_MM
    assert left_out([one, other]) == {}


def test_the_distance_between_people_is_that_of_their_faces() -> None:
    one, other = (portrait(0.0, identity).snapshot() for identity in (PERSON, -PERSON))
    model, skin = load_model(), face_vertices(load_model())
    heads = [model.vertices(each.fitted.coefficients[0]).astype(np.float64) for each in (one, other)]
    centred = [head[skin] - head[skin].mean(0) for head in heads]
    most = 10 * np.sqrt(((centred[0] - centred[1]) ** 2).sum(1).mean())
    least = 10 * np.sqrt(((registered(heads[0], heads[1], skin) - heads[1])[skin] ** 2).sum(1).mean())
    assert 0.9 * least < identity_mm(one, [other]) < most


def covered(index: int) -> PhotoHead:
    """The person with a blue mask over mouth and nose."""
    model, colours = load_model(), mottled()
    colours[(model.neutral[:, 1] < 0.0) & (model.neutral[:, 2] > 4)] = (40, 60, 200)
    return portrait(SIDES[index], PERSON, colours=colours).snapshot(index)


def test_a_mask_that_the_other_photos_do_not_show_is_seen() -> None:
    snapshots = sides()
    snapshots[1] = covered(1)
    assert left_out(snapshots) == {1: LeftOut.COVERED}


def test_two_photos_cannot_tell_which_of_them_is_covered() -> None:
    assert left_out([sides()[0], covered(1)]) == {}


def test_a_mask_in_every_photo_is_nobodys_fault() -> None:
    assert left_out([covered(index) for index in range(3)]) == {}


def test_one_photo_always_stays() -> None:
    people = [
        portrait(0.0, 2.5 * np.eye(5)[n] * sign).snapshot(2 * n + (sign > 0)) for n in range(3) for sign in (-1, 1)
    ]
    assert len(left_out(people)) < len(people)


def test_the_exposures_are_found_from_the_overlaps() -> None:
    gains = np.array([[1.0, 1.0, 1.0], [0.7, 0.75, 0.8], [1.1, 1.15, 1.2]])
    colours = np.clip(mottled(), 0, 190)
    faces = [portrait(yaw, PERSON, colours=colours, gain=gain) for yaw, gain in zip(SIDES, gains, strict=True)]
    found = exposure_gains([face.snapshot(n) for n, face in enumerate(faces)])
    np.testing.assert_allclose(found * gains, 1, atol=0.03)


def test_photos_without_an_overlap_keep_their_exposure() -> None:
    left, right = portrait(-90.0, gain=0.5).snapshot(0), portrait(90.0).snapshot(1)
    nothing = np.zeros_like(left.seen)
    np.testing.assert_allclose(exposure_gains([replace(left, seen=nothing), right]), 1, atol=1e-4)
