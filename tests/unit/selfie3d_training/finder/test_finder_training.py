"""What the finder is trained on and how, with drawn faces: no photo is needed."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from selfie3d_training.commands import main
from selfie3d_training.engine import CHECKPOINT, Trainer, learning_rate, read_checkpoint
from selfie3d_training.errors import CheckpointError
from selfie3d_training.finder.aligner import FIRST, SECOND, AlignerSamples, Jitter, bordered, cut_out
from selfie3d_training.finder.augment import degraded
from selfie3d_training.finder.detector import SCENE, DetectorSamples, DetectorTarget, placed, target_maps
from selfie3d_training.finder.evaluate import Tally, pictures_without_faces, scenes, table
from selfie3d_training.finder.faces import FacePicture, FaceSource, box_of, mirrored, resized
from selfie3d_training.finder.mine import HARD_EXTENT, HARD_SIDE, around, hard_nonfaces, read_hard
from selfie3d_training.finder.nonfaces import NonFaces, shipped_pictures
from selfie3d_training.finder.train import Batches, FinderTask, FinderTrainConfig
from selfie3d_training.photos import Photos
from selfie3d_training.views import TurnedView, TurnedViews, write_views
from vrn.finder import BundledFinder
from vrn.finder.config import LOOSENESS, AlignerConfig, DetectorConfig
from vrn.finder.detector import decoded
from vrn.finder.face import AlignedFace, Detection
from vrn.finder.mirror import LANDMARKS as MIRROR
from vrn.finder.networks import AlignerNetwork, DetectorNetwork
from vrn.weights import file as weights

pytestmark = pytest.mark.slow  # each test trains

SMALL_DETECTOR = DetectorConfig((4, 8, 8, 8))
SMALL_ALIGNER = AlignerConfig(32, (4, 8, 8, 8), 8)
PHOTOS = 8


def face_points(size: float, centre: tuple[float, float], roll: float = 0.0) -> np.ndarray:
    """68 points that are no face, but have its mirror symmetry, eyes and chin; (68, 3) px."""
    points = np.zeros((68, 3))
    left = np.random.default_rng(5).uniform([0.05, -0.4, -0.2], [0.5, 0.55, 0.2], (68, 3))
    for i, other in enumerate(MIRROR):
        points[i] = left[i] * [-1, 1, 1] if i < other else left[other]
        points[i, 0] *= i != other
    points[36:42, 1] = points[42:48, 1] = -0.2
    points[8], points[27] = [0, 0.6, 0], [0, -0.3, 0]
    points[:, :2] /= box_of(points)[1]
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    flat = points[:, :2] @ turn.T
    flat -= box_of(flat)[0]
    return np.c_[flat * size + centre, points[:, 2] * size]


def dotted(side: int = 160, size: float = 62.0, roll: float = 0.1) -> FacePicture:
    """A dark noisy picture with a bright dot on every landmark."""
    landmarks = face_points(size, (side / 2 + 3, side / 2 - 4), roll)
    image = np.random.default_rng(side).integers(0, 40, (side, side, 3), dtype=np.uint8)
    for x, y in landmarks[:, :2]:
        cv2.circle(image, (round(x * 16), round(y * 16)), 32, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return FacePicture(image, landmarks)


def brightness(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y = points[:, 0].astype(np.float32), points[:, 1].astype(np.float32)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR)[:, 0, 0].astype(float)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of training data with drawn photos: every other one is of the val split."""
    path = tmp_path_factory.mktemp("data")
    landmarks = []
    with tarfile.open(path / "faces-0.tar", "w") as tar:
        for i in range(PHOTOS):
            picture = dotted(side=170 + 4 * i, size=68, roll=0.05 * i)
            landmarks.append(picture.landmarks)
            jpeg = cv2.imencode(".jpg", picture.image)[1].tobytes()
            info = tarfile.TarInfo(f"{i:06d}.jpg")
            info.size = len(jpeg)
            tar.addfile(info, io.BytesIO(jpeg))
    zeros = np.zeros(PHOTOS, np.float32)
    np.savez(
        path / "labels.npz",
        landmarks68=np.array(landmarks, np.float32),
        scale=zeros,
        rotation=np.zeros((PHOTOS, 3, 3), np.float32),
        translation=np.zeros((PHOTOS, 3), np.float32),
        identity=np.zeros((PHOTOS, 2), np.float32),
        expression=np.zeros((PHOTOS, 2), np.float32),
        yaw_deg=np.array([0, 50] * (PHOTOS // 2), np.float32),
        disagreement=zeros,
    )
    with (path / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "split"], *([i, "val" if i % 2 else "train"] for i in range(PHOTOS))])
    return path


@pytest.fixture(scope="module")
def source(folder: Path) -> FaceSource:
    photos = Photos(folder)
    return FaceSource(photos, photos.ids("train"), TurnedViews(folder / "none"), 128)


def test_mirroring_twice_changes_nothing_and_once_moves_the_dots_along() -> None:
    picture = dotted()
    assert np.array_equal(MIRROR[MIRROR], np.arange(68))
    twice = mirrored(mirrored(picture))
    assert np.array_equal(twice.image, picture.image)
    assert np.allclose(twice.landmarks, picture.landmarks)
    once = mirrored(picture)
    assert brightness(once.image, once.landmarks).min() > 200
    assert once.landmarks[36, 0] < once.landmarks[45, 0]
    assert AlignedFace(once.landmarks, 1.0).roll == pytest.approx(-AlignedFace(picture.landmarks, 1.0).roll)


@pytest.mark.parametrize("side", [96, 240])
def test_resizing_keeps_the_landmarks_on_their_dots(side: int) -> None:
    picture = resized(dotted(), side)
    assert picture.image.shape == (side, side, 3)
    assert brightness(picture.image, picture.landmarks).min() > 150


@pytest.mark.parametrize("jitter", [FIRST, SECOND])
def test_a_cut_shows_the_landmarks_where_it_says_they_are(jitter: Jitter) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        image, landmarks = cut_out(dotted(), jitter, rng, 128)
        pixels = (landmarks[:, :2] + 1) * 64 - 0.5
        seen = np.all((pixels > 1) & (pixels < 126), 1)
        assert seen.sum() > 55
        assert brightness(image, pixels[seen]).min() > 130
        assert landmarks[:, 2].mean() == pytest.approx(0, abs=1e-9)


def test_without_jitter_a_second_look_is_upright_centred_and_of_the_usual_size() -> None:
    _, landmarks = cut_out(dotted(roll=0.7), Jitter(0, 0, 0), np.random.default_rng(0), 96)
    centre, size = box_of(landmarks)
    assert AlignedFace(landmarks, 1.0).roll == pytest.approx(0, abs=1e-6)
    assert np.abs(centre).max() < 1e-6
    assert size == pytest.approx(2 / LOOSENESS)


def test_a_photo_that_ends_in_the_face_ends_on_every_side_and_mirrors_what_is_inside() -> None:
    rng, sides = np.random.default_rng(3), set()
    y, x = np.mgrid[:160, :160]
    gradient = np.repeat((x + y)[..., None] / 2, 3, 2).astype(np.uint8)
    picture = FacePicture(gradient, face_points(60, (90, 70)))
    for _ in range(40):
        changed = np.argwhere(np.abs(bordered(picture, rng).image.astype(int) - gradient).max(2) > 3)
        if not len(changed):
            continue
        low, high = changed.min(0), changed.max(0)
        whole = (low == 0) & (high == 159)
        assert whole.any()
        axis = int(np.flatnonzero(~whole)[0])
        far = low[axis] if high[axis] == 159 else high[axis]
        away = abs(far - (70, 90)[axis]) / 60
        assert 0.15 < away < 0.85
        sides.add((axis, bool(high[axis] == 159)))
    assert len(sides) == 4


def test_a_face_is_placed_with_its_box_where_it_was_asked_for() -> None:
    picture = dotted()
    target, matrix = placed(picture, np.array([50.0, 40.0]), 30.0, 0.8)
    flat = picture.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    centre, size = box_of(flat)
    assert np.allclose(centre, target.centre)
    assert size == pytest.approx(30.0)
    shown = cv2.warpAffine(picture.image, matrix, (96, 96), flags=cv2.INTER_AREA)
    assert brightness(shown, flat).mean() > 110


def test_the_maps_a_face_should_have_decode_to_the_face() -> None:
    targets = [DetectorTarget(np.array([20.3, 61.9]), 17.0), DetectorTarget(np.array([70.0, 30.0]), 44.0)]
    maps = target_maps(targets, SCENE // 4)
    assert (maps[0] == 1).sum() == 2
    answers = decoded(maps[:4])
    for target in targets:
        x, y = (int(v) for v in (target.centre + 0.5) // 4)
        assert maps[0, y, x] == 1
        assert np.allclose(answers[1:, y, x], [*(target.centre + 0.5), target.size], atol=1e-3)


def test_faces_too_large_or_small_to_be_learnt_weigh_nothing_and_those_beyond_are_no_faces() -> None:
    assert target_maps([DetectorTarget(np.array([48.0, 48.0]), 60.0)], 24)[4].min() == 0
    far_too_large = target_maps([DetectorTarget(np.array([48.0, 48.0]), 100.0)], 24)
    assert far_too_large[0].max() == 0
    assert far_too_large[4].min() == 1


def test_only_the_split_asked_for_is_drawn_and_turned_views_of_others_are_left_out(folder: Path) -> None:
    cache = folder / "views"
    image = np.zeros((308, 308, 3), np.uint8)
    landmarks = face_points(90, (153.5, 153.5))
    write_views(cache, [TurnedView(image + 10 * i, i, np.eye(4), landmarks) for i in range(6)])
    photos = Photos(folder)
    faces = FaceSource(photos, photos.ids("train"), TurnedViews(cache), 96, turned=0.5)
    rng = np.random.default_rng(0)
    drawn = [faces.draw(rng) for _ in range(200)]
    turned = {round(float(p.image.mean()) / 10) for p in drawn if np.ptp(p.image) <= 3}
    assert turned == {0, 2, 4}
    assert all(p.image.shape == (96, 96, 3) for p in drawn)
    untouched = next(p for p in drawn if np.ptp(p.image) <= 3)
    assert box_of(untouched.landmarks)[1] == pytest.approx(96 / 2.6, rel=0.01)


def test_non_faces_of_every_kind_have_the_right_size_and_differ(source: FaceSource) -> None:
    nonfaces, rng = NonFaces(source, 64), np.random.default_rng(0)
    for draw in (nonfaces.shipped, nonfaces.made, nonfaces.surroundings, nonfaces.headless, nonfaces.shuffled):
        first, second = draw(rng), draw(rng)
        assert first.shape == second.shape == (64, 64, 3)
        assert first.dtype == np.uint8
        assert not np.array_equal(first, second)


def test_a_blanked_head_shows_no_landmark(source: FaceSource) -> None:
    nonfaces, rng = NonFaces(source, 128), np.random.default_rng(1)
    dots = [float((nonfaces.headless(rng) > 240).all(2).mean()) for _ in range(20)]
    assert np.median(dots) < 0.2 * float((source.draw(rng).image > 240).all(2).mean())


def test_degrading_moves_nothing_and_depends_on_the_seed_alone() -> None:
    picture = dotted()
    first, second = (degraded(picture.image, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first, second)
    for seed in range(30):
        image = degraded(picture.image, np.random.default_rng(seed)).astype(float)
        dots = brightness(image.astype(np.uint8), picture.landmarks).mean()
        assert dots > np.median(image) + 5


def finder_tasks(source: FaceSource, **settings: Any) -> Iterator[FinderTask]:
    nonfaces, config = NonFaces(source, 64), FinderTrainConfig(bf16=False, **settings)
    yield FinderTask(replace(config, network=SMALL_ALIGNER), AlignerSamples(source, nonfaces, SMALL_ALIGNER))
    yield FinderTask(replace(config, network=SMALL_DETECTOR), DetectorSamples(source, nonfaces, SMALL_DETECTOR))


def test_a_few_steps_lower_the_loss_of_both_networks(source: FaceSource, tmp_path: Path) -> None:
    for task in finder_tasks(source, samples=320, batch=8, learning_rate=5e-3, warmup=40):
        held_out = Batches(task.samples, replace(task.config, batch=24), 0, 1)[99]
        trainer = Trainer(task, tmp_path / type(task.config.network).__name__)
        with torch.no_grad():
            before = float(task.terms(trainer.model, held_out)["loss"])
        trainer.run()
        with torch.no_grad():
            after = float(task.terms(trainer.model, held_out)["loss"])
        assert after < 0.6 * before


def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(source: FaceSource, tmp_path: Path) -> None:
    for task in finder_tasks(source, samples=24, batch=4, warmup=8):
        folder = tmp_path / type(task.config.network).__name__
        whole = Trainer(task, folder / "whole")
        whole.run()
        Trainer(task, folder / "parts").run(steps=3)
        parts = Trainer(task, folder / "parts")
        assert parts.step == 3
        parts.run()
        assert parts.step == whole.step == 6
        for expected, found in ((whole.model.state_dict(), parts.model.state_dict()), (whole.average, parts.average)):
            assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_a_checkpoint_of_another_network_is_refused(source: FaceSource, tmp_path: Path) -> None:
    task = next(finder_tasks(source, samples=2, batch=2))
    Trainer(task, tmp_path).run()
    assert (tmp_path / CHECKPOINT).is_file()
    other = AlignerConfig(32, (4, 8, 8, 16), 8)
    samples = AlignerSamples(source, NonFaces(source, 64), other)
    with pytest.raises(CheckpointError, match="another network"):
        Trainer(FinderTask(replace(task.config, network=other), samples), tmp_path)


def test_a_run_may_be_made_longer(source: FaceSource, tmp_path: Path) -> None:
    task = next(finder_tasks(source, samples=2, batch=2))
    Trainer(task, tmp_path).run()
    longer = Trainer(FinderTask(replace(task.config, samples=6), task.samples), tmp_path)
    longer.run()
    assert longer.step == 3


def test_a_checkpoint_of_another_version_is_refused(source: FaceSource, tmp_path: Path) -> None:
    torch.save({"config": {"family": "face-aligner"}, "step": 3}, tmp_path / CHECKPOINT)
    with pytest.raises(CheckpointError, match="another version"):
        Trainer(next(finder_tasks(source)), tmp_path)


def test_the_learning_rate_rises_then_falls_to_a_hundredth() -> None:
    config = FinderTrainConfig(samples=1000, batch=1, learning_rate=1.0, warmup=100)
    rates = [learning_rate(config, samples, samples / 1000) for samples in (0, 50, 99, 100, 550, 1000)]
    assert rates == pytest.approx([0.01, 0.51, 1.0, 1.0, 0.505, 0.01], abs=1e-3)


def test_the_loss_of_the_aligner_is_measured_in_face_sizes(source: FaceSource) -> None:
    class Shifted(AlignerNetwork):
        def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return known + torch.tensor([0.1 * size, 0.0, 0.0]), torch.full((len(pictures),), 20.0)

    points = face_points(40, (47.5, 47.5)) / 48 - [1, 1, 0]
    size = box_of(points)[1]
    known = torch.from_numpy(points - [0, 0, points[:, 2].mean()]).float()[None]
    task = AlignerSamples(source, NonFaces(source, 64), SMALL_ALIGNER)
    batch = {"picture": torch.zeros(1, 3, 32, 32), "landmarks": known, "face": torch.ones(1)}
    parts = task.terms(Shifted(SMALL_ALIGNER), batch)
    assert parts["error"] == pytest.approx(0.1, abs=1e-4)
    assert parts["depth"] == pytest.approx(0.0, abs=1e-6)
    assert parts["right"] == 1.0


def test_the_tally_knows_a_shifted_enlarged_answer_and_a_missed_face() -> None:
    truth = face_points(100, (200, 150))
    larger = (truth - [200, 150, 0]) * 1.05 + [203, 154, 0]
    tally = Tally()
    assert tally.add([AlignedFace(larger, 0.9), AlignedFace(np.add(truth, [300, 0, 0]), 0.8)], truth)
    assert not tally.add([AlignedFace(np.add(truth, [300, 0, 0]), 0.8)], truth)
    assert not tally.add([AlignedFace(np.add(truth, [9, 0, 7]), 0.8)], truth)
    row = tally.row()
    assert row["found"] == pytest.approx(200 / 3)
    assert row["within 8 % and 10 %"] == pytest.approx(100 / 3)
    assert tally.centre == pytest.approx([0.05, 0.09])
    assert tally.scale == pytest.approx([0.05, 0.0], abs=1e-9)
    assert tally.error[1] == pytest.approx(0.09)
    assert tally.depth[1] == pytest.approx(0.0, abs=1e-9)
    assert table({"scenes": row}).count("\n") == 2


def test_scenes_show_the_val_faces_where_they_say(folder: Path) -> None:
    photos = Photos(folder)
    nonfaces = NonFaces(FaceSource(photos, photos.ids("val"), TurnedViews(folder / "none"), 128), 128)
    for scene, face in scenes(photos, nonfaces, 6):
        height, width = scene.shape[:2]
        centre, size = box_of(face.landmarks)
        assert 39 < size < 401
        assert 0 < centre[0] < width
        assert 0 < centre[1] < height
        beside = np.add(face.landmarks, [0.09 * size, 0, 0])
        assert brightness(scene, face.landmarks).mean() > brightness(scene, beside).mean() + 20


def test_the_pictures_without_faces_begin_with_the_unseen_ones_and_are_as_many_as_asked(source: FaceSource) -> None:
    pictures = list(pictures_without_faces(NonFaces(source, 64), 20))
    assert len(pictures) == 20
    assert [name for name, _ in pictures[:3]] == ["chelsea", "coffee", "rocket"]
    assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for _, picture in pictures)


def test_what_a_detector_takes_for_faces_is_collected_unless_the_aligner_is_very_sure() -> None:
    class Eager:
        def detect(self, image: np.ndarray, *, subject: bool = False) -> list[Detection]:  # noqa: ARG002
            return [Detection((50.0 + 10 * i, 60.0), 20.0 + i, 0.3 + i / 100) for i in range(9)]

    class Sure:
        def align(self, image: np.ndarray, boxes: list[Detection]) -> list[AlignedFace]:  # noqa: ARG002
            return [AlignedFace(np.zeros((68, 3)), 0.99 if box.size_px > 27.5 else 0.5) for box in boxes]

    finder = BundledFinder(Eager(), Sure())  # type: ignore[arg-type]
    found = list(hard_nonfaces(finder, iter([np.zeros((100, 200, 3), np.uint8)] * 2)))
    assert len(found) == 2 * 5  # the six surest, less the one that the aligner thinks a face
    assert found[0].shape == (HARD_SIDE, HARD_SIDE, 3)
    assert around(Detection((50.0, 60.0), 20.0, 0.5)).scale == pytest.approx(192 / (20.0 * HARD_EXTENT))


def test_hard_non_faces_are_shown_as_non_faces(source: FaceSource) -> None:
    red = np.zeros((4, 64, 64, 3), np.uint8) + np.array([250, 0, 0], np.uint8)
    task = AlignerSamples(source, NonFaces(source, 64), SMALL_ALIGNER, red)
    rng = np.random.default_rng(0)
    shown = [task.nonface(rng) for _ in range(100)]
    assert all(image.shape == (32, 32, 3) for image in shown)
    assert 20 < sum(bool((image == [250, 0, 0]).all()) for image in shown) < 60


def test_the_command_line_trains_and_exports_weights_that_keep_their_numbers(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"network": {"channels": [4, 8, 8, 8]}, "samples": 2, "batch": 2}
    (tmp_path / "small.json").write_text(json.dumps(small))
    (tmp_path / "finder.json").write_text('{"milliseconds": {"detect": 12.5}}')
    builders: dict[str, Callable[[dict[str, Any]], torch.nn.Module]] = {
        "aligner": lambda config: AlignerNetwork(AlignerConfig.of(config)),
        "detector": lambda config: DetectorNetwork(DetectorConfig.of(config)),
    }
    for name, build in builders.items():
        run, out = tmp_path / name, tmp_path / f"{name}.safetensors"
        train = ["finder-train", name, "--data", str(folder), "--folder", str(run)]
        assert main([*train, "--config", str(tmp_path / "small.json")]) == 0
        assert (
            main(["export", "--folder", str(run), "--metrics", str(tmp_path / "finder.json"), "--out", str(out)]) == 0
        )
        loaded = weights.load(out)
        assert capsys.readouterr().out.strip() == loaded.sha256
        assert loaded.metrics == {"samples": 2, "validation": {"milliseconds": {"detect": 12.5}}}
        filled = build(loaded.config)
        weights.fill(filled, loaded.tensors)
        for key, tensor in read_checkpoint(run)["average"].items():
            if tensor.is_floating_point():
                assert torch.allclose(filled.state_dict()[key], tensor, rtol=1e-3, atol=1e-4)


def test_the_command_line_mines_what_the_detector_takes_for_faces(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Certain:
        def detect(self, image: np.ndarray, *, subject: bool = False) -> list[Detection]:  # noqa: ARG002
            return [Detection((50.0, 60.0), 20.0, 0.5)]

    class Unsure:
        def align(self, image: np.ndarray, boxes: list[Detection]) -> list[AlignedFace]:  # noqa: ARG002
            return [AlignedFace(np.zeros((68, 3)), 0.5) for _ in boxes]

    finder = BundledFinder(Certain(), Unsure())  # type: ignore[arg-type]
    monkeypatch.setattr("selfie3d_training.finder.commands.open_bundled", lambda **_: finder)
    assert main(["finder-mine", "--data", str(folder), "--out", str(tmp_path / "hard.npz"), "--count", "2"]) == 0
    found = read_hard(tmp_path / "hard.npz")
    assert len(found) == len(shipped_pictures()) + 2
    assert found.shape[1:] == (HARD_SIDE, HARD_SIDE, 3)
