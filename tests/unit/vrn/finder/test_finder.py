"""The bundled finder with its bundled weights, on pictures that scikit-image ships."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import skimage.transform
import torch
from numpy.typing import NDArray

from vrn.finder import BundledFinder, load_finder
from vrn.finder.detector import Detector
from vrn.finder.face import AlignedFace, Finder
from vrn.finder.open import ALIGNER_WEIGHTS, DETECTOR_WEIGHTS
from vrn.weights import file as weights

pytestmark = pytest.mark.slow  # each test runs whole networks

Image = NDArray[np.uint8]
PUPILS = np.array([[203.0, 101.5], [246.5, 103.5]])  # read off the picture: subject's right and left
MOUTH_CORNERS = np.array([[203.0, 140.0], [244.0, 140.0]])
CHIN = np.array([222.0, 178.0])
FACE_SIZE = 88.0  # px, sqrt of the area of the box from the brows to the chin and from cheek to cheek
FACE_CENTRE = np.array([224.0, 133.0])


@pytest.fixture(scope="module")
def finder() -> BundledFinder:
    torch.manual_seed(0)
    opened = load_finder()
    assert isinstance(opened, BundledFinder)
    return opened


@pytest.fixture
def astronaut() -> Image:
    return np.asarray(skimage.data.astronaut())


def resized(image: Image, scale: float) -> Image:
    shape = [round(side * scale) for side in image.shape[:2]]
    small = skimage.transform.resize(image, shape, anti_aliasing=scale < 1, preserve_range=True)
    return np.asarray(np.rint(small), np.uint8)


def eyes_mouth_chin(face: AlignedFace) -> NDArray[np.float64]:
    """(5, 2): middles of the eyes, corners of the mouth, chin."""
    flat = face.landmarks_px[:, :2]
    return np.stack([flat[36:42].mean(0), flat[42:48].mean(0), flat[48], flat[54], flat[8]])


TRUTH = np.vstack([PUPILS, MOUTH_CORNERS, CHIN])


def only(faces: list[AlignedFace]) -> AlignedFace:
    assert len(faces) == 1
    return faces[0]


def test_the_astronauts_eyes_mouth_and_chin_are_where_they_are(finder: BundledFinder, astronaut: Image) -> None:
    face = only(finder.find(astronaut))
    away = np.linalg.norm(eyes_mouth_chin(face) - TRUTH, axis=1)
    assert away.max() < 0.09 * FACE_SIZE
    assert away.mean() < 0.05 * FACE_SIZE
    assert face.score > 0.6


def test_the_nose_is_nearest_to_the_viewer_and_the_jaws_ends_lie_far_behind_eyes_and_mouth(
    finder: BundledFinder, astronaut: Image
) -> None:
    depth = only(finder.find(astronaut)).landmarks_px[:, 2]
    assert depth.argmax() in (29, 30, 33)
    assert depth[[0, 16]].max() < depth[36:68].min() - 0.2 * FACE_SIZE
    assert 0.5 < np.ptp(depth) / FACE_SIZE < 1.3


@pytest.mark.parametrize("degrees", [-135, -90, -45, -25, 20, 45, 70, 90, 110, 135, 180])
def test_a_tilted_head_has_the_same_landmarks_tilted(finder: BundledFinder, astronaut: Image, degrees: float) -> None:
    turn = skimage.transform.SimilarityTransform(rotation=np.deg2rad(degrees))
    there = (
        skimage.transform.SimilarityTransform(translation=-FACE_CENTRE)
        + turn
        + skimage.transform.SimilarityTransform(translation=FACE_CENTRE)
    )
    tilted = skimage.transform.warp(astronaut, there.inverse, preserve_range=True, mode="edge").astype(np.uint8)
    face = max(finder.find(tilted), key=lambda found: found.score)
    away = np.linalg.norm(eyes_mouth_chin(face) - there(TRUTH), axis=1)
    assert away.max() < 0.10 * FACE_SIZE


@pytest.mark.parametrize("scale", [0.46, 1.7])
def test_a_face_of_40_pixels_and_a_large_one_are_found(finder: BundledFinder, astronaut: Image, scale: float) -> None:
    picture = resized(astronaut, scale)
    face = only(finder.find(picture))
    away = np.linalg.norm((eyes_mouth_chin(face) + 0.5) / scale - 0.5 - TRUTH, axis=1)
    assert away.max() < 0.10 * FACE_SIZE


def test_a_face_of_40_pixels_is_found_in_a_photo_of_12_megapixels(finder: BundledFinder, astronaut: Image) -> None:
    photo = np.full((3000, 4000, 3), 128, np.uint8)
    head = resized(astronaut[20:210, 120:330], 0.46)
    photo[2000 : 2000 + head.shape[0], 3100 : 3100 + head.shape[1]] = head
    face = only(finder.find(photo))
    away = np.linalg.norm(eyes_mouth_chin(face) - ((TRUTH - [120, 20]) * 0.46 + [3100, 2000]), axis=1)
    assert away.max() < 0.12 * 0.46 * FACE_SIZE


@pytest.mark.parametrize("scale", [3.7, 4, 6.3])  # from 1920 px on whole pixels are averaged first
def test_a_face_is_where_it_is_in_an_enlarged_photo(finder: BundledFinder, astronaut: Image, scale: float) -> None:
    small, large = (max(finder.detect(resized(astronaut, by)), key=lambda box: box.score) for by in (1.25, scale))
    shift = np.subtract(large.centre_px, small.centre_px * np.array(scale / 1.25))
    assert np.abs(shift).max() < 0.01 * large.size_px
    assert large.size_px * 1.25 / scale == pytest.approx(small.size_px, rel=0.01)
    assert large.score == pytest.approx(small.score, abs=0.02)


@pytest.mark.parametrize("box", [(60, 195, 160, 285), (75, 190, 178, 262), (40, 200, 150, 300)])
def test_a_face_that_fills_or_exceeds_the_photo_is_found(
    finder: BundledFinder, astronaut: Image, box: tuple[int, int, int, int]
) -> None:
    top, bottom, left, right = box
    face = only(finder.find(astronaut[top:bottom, left:right]))
    away = np.linalg.norm(eyes_mouth_chin(face) - (TRUTH - [left, top]), axis=1)
    assert away.max() < 0.12 * FACE_SIZE


@pytest.mark.parametrize("cut", [np.s_[85:, :], np.s_[:168, :], np.s_[:, 200:], np.s_[:, :250]])
def test_a_face_cut_off_by_the_photos_border_is_found(
    finder: BundledFinder, astronaut: Image, cut: tuple[slice, slice]
) -> None:
    faces = finder.find(astronaut[cut])
    corner = [cut[1].start or 0, cut[0].start or 0]
    face = max(faces, key=lambda found: found.score)
    away = np.linalg.norm(eyes_mouth_chin(face) - (TRUTH - corner), axis=1)
    assert np.median(away) < 0.10 * FACE_SIZE


@pytest.mark.parametrize("change", ["grey", "dark", "bright", "noisy"])
def test_light_and_colour_move_nothing(finder: BundledFinder, astronaut: Image, change: str) -> None:
    light = astronaut.astype(np.float64)
    changed = {
        "grey": np.repeat((light @ [0.299, 0.587, 0.114])[..., None], 3, 2),
        "dark": light * 0.35,
        "bright": 90 + 0.65 * light,
        "noisy": light + np.random.default_rng(0).normal(0, 12, light.shape),
    }[change]
    face = only(finder.find(changed.clip(0, 255).astype(np.uint8)))
    assert np.linalg.norm(eyes_mouth_chin(face) - TRUTH, axis=1).max() < 0.09 * FACE_SIZE


def test_several_faces_come_largest_first(finder: BundledFinder, astronaut: Image) -> None:
    head = astronaut[:230, 100:350]
    photo = np.full((500, 900, 3), 150, np.uint8)
    spots = [(20, 30, 0.8), (100, 260, 1.6), (250, 700, 0.6)]
    for top, left, scale in spots:
        copy = resized(head, scale)
        photo[top : top + copy.shape[0], left : left + copy.shape[1]] = copy
    faces = finder.find(photo)
    assert len(faces) == 3
    for face, (top, left, scale) in zip(faces, sorted(spots, key=lambda spot: -spot[2]), strict=True):
        expected = (TRUTH - [100, 0]) * scale + [left, top]
        assert np.linalg.norm(eyes_mouth_chin(face) - expected, axis=1).max() < 0.12 * scale * FACE_SIZE


def test_a_large_face_spares_the_search_for_small_ones_and_a_small_one_does_not(
    finder: BundledFinder, astronaut: Image
) -> None:
    calls: list[tuple[int, ...]] = []
    graph = finder.detector._graph

    class Counting:
        engine, config, metrics, sha256 = graph.engine, graph.config, graph.metrics, graph.sha256

        def run(self, *inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
            calls.append(inputs[0].shape[2:])
            return graph.run(*inputs)

    detector = Detector(Counting(), finder.min_score)
    every = detector.detect(astronaut)
    assert max(calls) == (544, 544)
    calls.clear()
    large = detector.detect(astronaut, subject=True)
    assert max(calls) == (288, 288)
    best = max(every, key=lambda box: box.score)
    assert best in large
    small = np.full((640, 640, 3), 128, np.uint8)
    small[100:276, 200:376] = resized(astronaut, 176 / 512)
    assert detector.detect(small, subject=True) == detector.detect(small)


@pytest.mark.parametrize("share", [0.08, 0.1, 0.13, 0.2, 0.35, 0.6])
def test_the_subject_is_the_same_whether_or_not_small_faces_are_looked_for(
    finder: BundledFinder, astronaut: Image, share: float
) -> None:
    photo = np.full((900, 1200, 3), 150, np.uint8)
    spot = resized(astronaut[:230, 100:350], share * 1200 / FACE_SIZE)[:900, :900]
    photo[: len(spot), : spot.shape[1]] = spot
    extra = resized(astronaut[:230, 100:350], 60 / FACE_SIZE)
    photo[-len(extra) :, -extra.shape[1] :] = extra
    both = [finder.align(photo, finder.detect(photo, subject=subject))[0] for subject in (True, False)]
    np.testing.assert_array_equal(both[0].landmarks_px, both[1].landmarks_px)


def test_mirroring_the_photo_mirrors_the_landmarks(finder: BundledFinder, astronaut: Image) -> None:
    face, mirrored = only(finder.find(astronaut)), only(finder.find(astronaut[:, ::-1]))
    back = eyes_mouth_chin(mirrored)[[1, 0, 3, 2, 4]]
    back[:, 0] = astronaut.shape[1] - 1 - back[:, 0]
    assert np.linalg.norm(back - eyes_mouth_chin(face), axis=1).max() < 0.06 * FACE_SIZE


@pytest.mark.parametrize(
    "name", ["chelsea", "coffee", "rocket", "moon", "grass", "page", "hubble_deep_field", "retina"]
)
def test_no_face_is_found_where_there_is_none(finder: BundledFinder, name: str) -> None:
    image = getattr(skimage.data, name)()
    assert finder.find(image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)) == []


def test_no_face_is_found_on_empty_photos_and_noise(finder: BundledFinder) -> None:
    rng = np.random.default_rng(0)
    for picture in (
        np.zeros((480, 640, 3), np.uint8),
        np.full((7, 5, 3), 255, np.uint8),
        rng.integers(0, 256, (400, 300, 3), dtype=np.uint8),
        np.repeat(np.linspace(0, 255, 600).astype(np.uint8)[None, :, None], 400, 0).repeat(3, 2),
    ):
        assert finder.find(picture) == []


def test_detecting_and_aligning_apart_is_finding_and_leaves_the_photo_alone(
    finder: BundledFinder, astronaut: Image
) -> None:
    photo = astronaut.copy()
    photo.setflags(write=False)
    boxes = finder.detect(photo)
    assert [box.size_px for box in boxes] == sorted((box.size_px for box in boxes), reverse=True)
    found, aligned = only(finder.find(photo)), only(finder.align(photo, boxes))
    assert np.array_equal(found.landmarks_px, aligned.landmarks_px)
    assert found.score == aligned.score
    assert np.array_equal(photo, astronaut)
    assert finder.align(photo, []) == []


def test_the_crop_does_not_depend_on_how_exactly_the_face_was_detected(finder: BundledFinder, astronaut: Image) -> None:
    box = max(finder.detect(astronaut), key=lambda found: found.score)
    exact = only(finder.align(astronaut, [box])).crop
    for dx, dy, scale in [(8, 0, 1.0), (-6, 6, 1.12), (0, -8, 0.88)]:
        moved = type(box)((box.centre_px[0] + dx, box.centre_px[1] + dy), box.size_px * scale, box.score)
        crop = only(finder.align(astronaut, [moved])).crop
        assert crop.scale / exact.scale == pytest.approx(1.0, abs=0.04)
        assert np.subtract(crop.offset, exact.offset) == pytest.approx([0, 0], abs=0.05 * 192)


def test_the_finder_is_a_finder_and_its_weights_are_small_and_unharmed() -> None:
    finder: Finder = load_finder("bundled", min_score=0.99999)
    assert finder.find(np.asarray(skimage.data.astronaut())) == []
    paths = [weights.bundled(name) for name in (DETECTOR_WEIGHTS, ALIGNER_WEIGHTS)]
    assert sum(path.stat().st_size for path in paths) <= 5_000_000
    assert all(weights.verify(path) for path in paths)
