"""Hair that is completed: its contrast is that of the seen hair, and a bald head has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from selfie3d.types import Detail, Options
from tests.unit.vrn.avatar.portraits import portrait
from tests.unit.vrn.avatar.scalps import ball_places
from vrn.avatar.hair import Hair, capped
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.model import load_model
from vrn.avatar.palette import LUMA, medians
from vrn.avatar.places import Places, scalp, under_fringe

Singles = NDArray[np.float32]

SKIN, HAIR = np.array([200, 150, 125], np.float32), np.array([120, 90, 60], np.float32)
POINTS = {"preview": 2_500, "standard": 17_000, "full": 67_000}
PLACES = {detail: ball_places(count) for detail, count in POINTS.items()}


def seen(places: Places, contrast: Singles, tone: Singles = HAIR, front_cm: float = 3.0) -> tuple[Singles, Singles]:
    """Colours and how far they are known of a head that is seen from `front_cm` forwards.

    contrast : (n,) or (n, 3) - sRGB, added to the hair's colour
    """
    contrast = contrast[:, None] if contrast.ndim == 1 else contrast
    colours = np.where(places.hair[:, None] > 0.5, tone + contrast, SKIN)
    return colours.astype(np.float32), (places.neutral[:, 2] > front_cm).astype(np.float32)


def noise(places: Places, size: float, seed: int = 0) -> Singles:
    return np.random.default_rng(seed).normal(0, size, len(places.hair)).astype(np.float32)


def completed(places: Places, colours: Singles, sure: Singles) -> tuple[Singles, Places]:
    """The contrast of the hair behind, and its places."""
    at = np.flatnonzero((sure == 0) & (places.hair == 1))
    fields = {name: value[at] for name, value in vars(places).items() if name != "near"}
    hair = Hair.of(places, colours, sure, medians(places, colours, sure))
    return hair.strands(places, at), replace(places, near=places.near.of_points(at), **fields)


@pytest.mark.parametrize("detail", POINTS)
@pytest.mark.parametrize("size", [6.0, 12.0])
def test_completed_hair_has_the_contrast_of_the_seen_hair(size: float, detail: str) -> None:
    places = PLACES[detail]
    hair, _ = completed(places, *seen(places, noise(places, size)))
    least = 0.65 if detail == "preview" else 0.8  # few points say what is a strand's and what a lock's
    assert least * size < np.std(hair @ LUMA) < 1.1 * size
    assert np.abs(hair.mean(0)).max() < 0.1 * size


def test_its_colours_go_from_dark_to_light_as_those_of_the_seen_hair() -> None:
    places = PLACES["standard"]
    way = np.array([1.5, 1.0, 0.2], np.float32)  # from brown to gold
    hair, _ = completed(places, *seen(places, noise(places, 8)[:, None] * way))
    along = hair @ way / (way @ way)
    assert along.std() == pytest.approx(8, rel=0.15)
    np.testing.assert_allclose(hair, along[:, None] * way, atol=0.2)


def test_a_few_light_strands_in_dark_hair_stay_few_and_light() -> None:
    places = PLACES["standard"]
    skewed = np.exp(noise(places, 0.6)) * 6
    hair, _ = completed(places, *seen(places, skewed))
    light = hair @ LUMA
    low, middle, high = np.quantile(light, [0.1, 0.5, 0.9])
    expected = np.quantile(skewed, [0.1, 0.5, 0.9])
    assert (high - middle) / (middle - low) == pytest.approx(
        (expected[2] - expected[1]) / (expected[1] - expected[0]), rel=0.3
    )
    assert (high - middle) / (middle - low) > 1.4


def test_a_hairline_among_the_seen_hair_does_not_count() -> None:
    places = PLACES["standard"]
    contrast = noise(places, 5)
    plain, _ = completed(places, *seen(places, contrast))
    contrast[places.neutral[:, 0] > 6] += 80
    with_skin, _ = completed(places, *seen(places, contrast))
    assert np.std(with_skin) == pytest.approx(np.std(plain), rel=0.15)


def test_the_same_place_has_the_same_strand_in_every_photo() -> None:
    places = PLACES["standard"]
    one, _ = completed(places, *seen(places, noise(places, 5)))
    other, _ = completed(places, *seen(places, noise(places, 9, 1), HAIR * np.float32(0.7)))
    again, _ = completed(places, *seen(places, noise(places, 5)))
    assert np.corrcoef(one @ LUMA, other @ LUMA)[0, 1] > 0.99
    assert again.tobytes() == one.tobytes()


def test_seen_locks_make_wider_strands_than_seen_single_hairs() -> None:
    places = PLACES["standard"]
    angle = np.arctan2(places.neutral[:, 0], places.neutral[:, 2])
    locks = 8 * np.sin(angle * 9.5 * 2 * np.pi / 4).astype(np.float32)  # 4 cm wide

    def roughness(contrast: Singles) -> float:
        hair, behind = completed(places, *seen(places, contrast))
        light = hair @ LUMA
        near = np.linalg.norm(behind.neutral[:, None] - behind.neutral[None, ::40], axis=2)
        near[near < 0.05] = 9
        first = near.argmin(0)
        return float(np.std(light[first] - light[::40]) / np.std(light))

    assert roughness(locks + noise(places, 2)) < 0.9 * roughness(noise(places, 8))


def in_side_light(places: Places) -> Singles:
    """(n, 1) - the light on a ball, from the left."""
    return np.asarray(1 + places.neutral[:, :1] / 24, np.float32)


def lit(tone: Singles, size: float, skin: Singles = SKIN) -> Hair:
    """The hair of a scalp of one colour in side light, with strands or noise of that size."""
    places = PLACES["standard"]
    colours, sure = seen(places, noise(places, size), tone)
    colours = np.where(places.hair[:, None] > 0.5, colours, skin) * in_side_light(places)
    return Hair.of(places, colours, sure, medians(places, colours, sure))


@pytest.mark.parametrize("lighter", [0.9, 1.0, 1.2])
def test_a_bald_head_stays_plain_in_shadow_and_in_light(lighter: float) -> None:
    assert lit(SKIN * np.float32(lighter), 2.0).hairy == 0


def test_a_highlight_is_not_the_colour_of_a_bald_head() -> None:
    places = PLACES["standard"]
    colours, sure = seen(places, noise(places, 1), SKIN)
    shine = np.exp(-((places.neutral[:, :1] / 4) ** 2)) * (places.hair[:, None] > 0.5)
    shiny = (colours + shine * (250 - colours)).astype(np.float32)
    light = places.neutral[:, 2] > 3.0
    off_before, off_after = (
        np.abs(tone - SKIN).max()
        for tone in (
            np.median(shiny[light & (places.hair > 0.5)], 0),
            Hair.of(places, shiny, sure, medians(places, shiny, sure)).tone,
        )
    )
    assert off_after < 0.5 * off_before


@pytest.mark.parametrize("tone", [(240, 245, 250), (60, 90, 160), (90, 130, 100)], ids=["white", "blue", "green"])
def test_a_cap_has_no_strands_and_keeps_its_colour(tone: tuple[float, ...]) -> None:
    places, cap = PLACES["standard"], np.array(tone, np.float32)
    colours, sure = seen(places, noise(places, 8), cap)
    hair = Hair.of(places, colours, sure, medians(places, colours, sure))
    assert hair.hairy == 0
    np.testing.assert_allclose(hair.tone, cap, atol=1)


TONES = {
    "brown": (90, 60, 45),
    "black": (20, 18, 15),
    "blond": (190, 160, 120),
    "fair as the skin": (192, 154, 122),
    "white": (205, 198, 186),
    "red": (150, 90, 40),
}


@pytest.mark.parametrize("tone", TONES.values(), ids=TONES.keys())
def test_hair_of_all_colours_is_hair(tone: tuple[float, ...]) -> None:
    hair = np.array(tone, np.float32)
    assert lit(hair, 0.05 * hair.mean()).hairy == 1
    assert capped(hair) == 0


def test_black_hair_on_dark_skin_is_hair_and_dark_skin_is_not() -> None:
    dark = np.array([75, 52, 42], np.float32)
    assert lit(np.array([25, 21, 19], np.float32), 2.0, dark).hairy == 1
    assert lit(dark * np.float32(1.15), 0.7, dark).hairy == 0


def test_skin_between_the_hair_is_not_in_its_colour_and_a_fringe_is() -> None:
    places = PLACES["standard"]
    colours, sure = seen(places, noise(places, 5))
    parted = (np.abs(places.neutral[:, 0]) < 2)[:, None] * (places.hair[:, None] > 0.5)
    colours = np.where(parted, SKIN, colours)
    fringe = under_fringe(places.neutral) & (places.hair <= 0.5)
    assert np.count_nonzero(fringe & (sure > 0)) > 50
    light = HAIR * np.float32(1.3)
    colours[fringe] = light
    tone = Hair.of(places, colours, sure, medians(places, colours, sure)).tone
    assert np.linalg.norm(tone - HAIR) < np.linalg.norm(light - HAIR) < np.linalg.norm(SKIN - tone)
    assert tone.sum() > HAIR.sum()


def test_where_no_hair_was_seen_there_is_no_contrast() -> None:
    places = PLACES["standard"]
    colours, _ = seen(places, noise(places, 9))
    assert not completed(places, colours, np.zeros(len(colours), np.float32))[0].any()
    little = ((places.hair == 1) & (places.neutral[:, 2] > 7.7)).astype(np.float32)
    assert 0 < np.count_nonzero(little) < 40
    assert not completed(places, colours, little)[0].any()


def test_skin_gets_no_strands() -> None:
    places = PLACES["standard"]
    colours, sure = seen(places, noise(places, 9))
    at = np.flatnonzero(places.hair == 0)
    assert not Hair.of(places, colours, sure, medians(places, colours, sure)).strands(places, at).any()


@pytest.mark.slow
@pytest.mark.parametrize("detail", list(Detail))
def test_the_back_of_a_head_has_strands_where_its_front_has_hair_and_none_where_it_is_bald(detail: Detail) -> None:
    neutral = load_model().neutral
    rough = np.random.default_rng(0).normal(0, 15, (len(neutral), 1))
    hair = HAIR + rough + (SKIN - HAIR - rough) * (1 - scalp(neutral)[:, None])

    def behind(colours: NDArray[np.floating]) -> Singles:
        known = portrait(colours=np.asarray(colours, np.float64))
        surface = HeadSurface.of_head(known.whole, known.face, Options(detail=detail))
        at = (surface.places.hair == 1) & (surface.places.neutral[:, 2] < -2)
        return np.asarray(surface.painted(known.photo).colours[at] @ LUMA)

    assert 3 < behind(hair).std() < 15
    assert behind(SKIN * (1 + neutral[:, :1] / 24)).std() < 2.5
