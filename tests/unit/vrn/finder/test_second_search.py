"""The second search: how pictures of the photo lead back to it, and when several weak answers are one sure face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vrn.finder.face import AlignedFace, Detection
from vrn.finder.mirror import LANDMARKS as MIRROR
from vrn.finder.second_search import LEAST_SCORE, SIDE, SecondSearch, variants

PHOTO = np.zeros((60, 90, 3), np.uint8)


@pytest.mark.parametrize("side", [(480, 640), (901, 300)])
def test_every_variant_leads_back_to_the_photo(side: tuple[int, int]) -> None:
    x, y, half = 103, 211, 6
    photo = np.zeros((*side, 3), np.uint8)
    photo[y - half : y + half + 1, x - half : x + half + 1] = 255
    for variant in variants(photo):
        rows, columns = np.nonzero(variant.image[..., 0] > 127)
        spot = np.array([columns.mean(), rows.mean(), 12.0])
        there = variant.to_photo(np.tile(spot, (68, 1)))
        assert np.abs(there[:, :2] - [x, y]).max() < 1.0
        assert np.allclose(there[:, 2], 12 / variant.scale)


def test_in_the_mirror_the_landmarks_change_sides() -> None:
    mirrored = next(variant for variant in variants(PHOTO) if variant.mirrored)
    found = np.random.default_rng(0).uniform(0, 60, (68, 3))
    back = mirrored.to_photo(found)
    assert np.allclose(back[:, 1:], found[MIRROR, 1:])
    assert np.allclose(back[:, 0], 89 - found[MIRROR, 0])


def test_the_photo_is_looked_at_in_seven_ways_none_larger_than_the_first_search() -> None:
    photo = np.zeros((3000, 4000, 3), np.uint8)
    seen = list(variants(photo))
    assert len({(round(variant.scale, 6), variant.mirrored, variant.quarters) for variant in seen}) == len(seen) == 7
    assert max(max(variant.image.shape) for variant in seen) == SIDE


class Answers:
    """A detector and an aligner: what they say of the variants, one after the other. (score, verdict, landmarks)"""

    def __init__(self, answers: Sequence[tuple[float, float, np.ndarray] | None]) -> None:
        self._answers, self._variant = answers, -1

    def detect(self, image: np.ndarray) -> list[Detection]:  # noqa: ARG002
        self._variant += 1
        answer = self._answers[self._variant]
        return [Detection((30, 30), 20, answer[0])] if answer else []

    def align(self, image: np.ndarray, boxes: Sequence[Detection]) -> list[AlignedFace]:  # noqa: ARG002
        answer = self._answers[self._variant]
        return [AlignedFace(answer[2], answer[1]) for _ in boxes] if answer else []


FACE = np.random.default_rng(4).uniform([20, 20, -10], [40, 40, 10], (68, 3))  # any 68 points
FACE[:, 2] -= FACE[:, 2].mean()


def search(answers: dict[int, tuple[float, float, np.ndarray]]) -> list[AlignedFace]:
    """Variants are numbered as `variants` gives them: 0 the photo, 1 its mirror image, 2 the smaller photo, ..."""
    script = Answers([answers.get(number) for number in range(7)])
    return SecondSearch(script, script).find(PHOTO)  # type: ignore[arg-type]


def in_variant(number: int, landmarks: np.ndarray) -> np.ndarray:
    """Landmarks of the photo in a variant that is mirrored or smaller."""
    variant = list(variants(PHOTO))[number]
    there = landmarks.copy()
    there[:, :2] = (there[:, :2] + 0.5) * variant.scale - 0.5
    there[:, 2] *= variant.scale
    if variant.mirrored:
        there = there[MIRROR] * [-1, 1, 1] + [variant.image.shape[1] - 1, 0, 0]
    return np.asarray(there)


def test_weak_answers_that_agree_add_up_and_a_lone_one_does_not_count() -> None:
    assert search({0: (0.3, 0.999, FACE)}) == []
    found = search({0: (0.3, 0.999, FACE), 1: (0.3, 0.999, in_variant(1, FACE)), 2: (0.2, 0.999, in_variant(2, FACE))})
    assert len(found) == 1
    assert LEAST_SCORE < found[0].score == pytest.approx(0.8 * 0.999**8)
    assert np.abs(found[0].landmarks_px[:, :2] - FACE[:, :2]).max() < 1e-6


def test_answers_at_different_places_do_not_add_up() -> None:
    elsewhere = FACE + np.array([25, 0, 0])
    assert search({0: (0.3, 0.999, FACE), 1: (0.3, 0.999, in_variant(1, elsewhere))}) == []


def test_an_aligner_that_doubts_takes_the_weight_from_an_answer() -> None:
    doubt = {0: (0.4, 0.8, FACE), 1: (0.4, 0.8, in_variant(1, FACE)), 2: (0.4, 0.8, in_variant(2, FACE))}
    assert search(doubt) == []


def test_where_variants_disagree_the_surest_verdict_decides_not_the_number() -> None:
    hanging = FACE.copy()
    hanging[:, 1] = 60 - hanging[:, 1]  # the same head, taken for an upright one
    answers = {number: (0.7, 0.99, in_variant(number, hanging)) for number in (0, 1, 2, 3)}
    upside_down = list(variants(PHOTO))[5]
    assert upside_down.quarters == 2
    there = FACE * [-1, -1, 1] + [89, 59, 0]
    found = search(answers | {5: (0.6, 0.9999, there)})
    assert len(found) == 1
    assert np.abs(found[0].landmarks_px[:, :2] - FACE[:, :2]).max() < 1e-6
