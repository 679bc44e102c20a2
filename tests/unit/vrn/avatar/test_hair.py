"""Hair that is completed: its contrast is that of the seen hair, and a bald head has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from selfie3d.types import Detail, Options
from tests.unit.vrn.avatar.portraits import portrait
from tests.unit.vrn.avatar.scalps import ball_places
from vrn.avatar.hair import grown, hairiness
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.model import load_model
from vrn.avatar.palette import Tones, medians
from vrn.avatar.places import Places, scalp
from vrn.meshing.delight import LUMINANCE

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
    return grown(places, colours, sure, medians(places, colours, sure), at), replace(
        places, near=places.near.of_points(at), **fields
    )


@pytest.mark.parametrize("detail", POINTS)
@pytest.mark.parametrize("size", [6.0, 12.0])
def test_completed_hair_has_the_contrast_of_the_seen_hair(size: float, detail: str) -> None:
    places = PLACES[detail]
    hair, _ = completed(places, *seen(places, noise(places, size)))
    least = 0.65 if detail == "preview" else 0.8  # few points say what is a strand's and what a lock's
    assert least * size < np.std(hair @ LUMINANCE) < 1.1 * size
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
    light = hair @ LUMINANCE
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
    assert np.corrcoef(one @ LUMINANCE, other @ LUMINANCE)[0, 1] > 0.99
    assert again.tobytes() == one.tobytes()


def test_seen_locks_make_wider_strands_than_seen_single_hairs() -> None:
    places = PLACES["standard"]
    angle = np.arctan2(places.neutral[:, 0], places.neutral[:, 2])
    locks = 8 * np.sin(angle * 9.5 * 2 * np.pi / 4).astype(np.float32)  # 4 cm wide

    def roughness(contrast: Singles) -> float:
        hair, behind = completed(places, *seen(places, contrast))
        light = hair @ LUMINANCE
        near = np.linalg.norm(behind.neutral[:, None] - behind.neutral[None, ::40], axis=2)
        near[near < 0.05] = 9
        first = near.argmin(0)
        return float(np.std(light[first] - light[::40]) / np.std(light))

    assert roughness(locks + noise(places, 2)) < 0.9 * roughness(noise(places, 8))


def bald(lighter: float, size: float) -> Singles:
    places = PLACES["standard"]
    colours, sure = seen(places, noise(places, size), SKIN * np.float32(lighter))
    return completed(places, colours, sure)[0]


@pytest.mark.parametrize("lighter", [0.9, 1.0, 1.2])
def test_a_bald_head_stays_plain_in_shadow_and_in_light(lighter: float) -> None:
    assert not bald(lighter, 6.0).any()


def test_a_cap_and_an_overexposed_head_stay_plain() -> None:
    places = PLACES["standard"]
    cap = np.array([240, 245, 250], np.float32)
    assert not completed(places, *seen(places, noise(places, 2), cap))[0].any()
    assert completed(places, *seen(places, noise(places, 10), cap))[0].any()


@pytest.mark.parametrize(
    ("hair", "least"),
    [((90, 60, 45), 1.0), ((20, 18, 15), 1.0), ((190, 160, 120), 0.9), ((190, 183, 172), 1.0), ((150, 90, 40), 1.0)],
    ids=["brown", "black", "blond", "white", "red"],
)
def test_hair_of_all_colours_is_hair(hair: tuple[float, ...], least: float) -> None:
    assert hairiness(Tones(SKIN, np.array(hair, np.float32))) >= least


def test_black_hair_on_dark_skin_is_hair_and_dark_skin_is_not() -> None:
    dark = np.array([75, 52, 42], np.float32)
    assert hairiness(Tones(dark, np.array([25, 21, 19], np.float32))) == 1
    assert hairiness(Tones(dark, dark * np.float32(1.15))) == 0


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
    assert not grown(places, colours, sure, medians(places, colours, sure), at).any()


@pytest.mark.slow
@pytest.mark.parametrize("detail", list(Detail))
def test_the_back_of_a_head_has_strands_where_its_front_has_hair_and_none_where_it_is_bald(detail: Detail) -> None:
    neutral = load_model().neutral
    rough = np.random.default_rng(0).normal(0, 15, (len(neutral), 1))
    hair = HAIR + (SKIN - HAIR) * (1 - scalp(neutral)[:, None])

    def behind(colours: NDArray[np.floating]) -> Singles:
        known = portrait(colours=np.asarray(colours + rough, np.float64))
        surface = HeadSurface.of_head(known.whole, known.face, Options(detail=detail))
        at = (surface.places.hair == 1) & (surface.places.neutral[:, 2] < -2)
        return np.asarray(surface.painted(known.photo).colours[at] @ LUMINANCE)

    assert 3 < behind(hair).std() < 15
    assert behind(np.broadcast_to(SKIN, neutral.shape)).std() < 0.5
