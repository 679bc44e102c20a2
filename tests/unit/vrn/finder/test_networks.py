"""The finder's parts: networks, views, boxes; with weights that are not trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vrn.engine.torch_graph import ready
from vrn.errors import WeightsError
from vrn.finder import load_finder
from vrn.finder.bundled import BundledFinder
from vrn.finder.config import LOOSENESS, AlignerConfig, DetectorConfig
from vrn.finder.detector import Detector, decoded, strongest
from vrn.finder.face import AlignedFace, Detection
from vrn.finder.looks import AlignerView, upright_view
from vrn.finder.networks import AlignerNetwork, DetectorNetwork, normalised
from vrn.finder.open import open_bundled
from vrn.weights import file as weights

SMALL_DETECTOR = DetectorConfig((4, 8, 8, 8))
SMALL_ALIGNER = AlignerConfig(32, (4, 8, 8, 8), 8)


def drawn_landmarks() -> np.ndarray:
    """68 points in the Multi-PIE order on a schematic frontal face about 1 wide and 1 high, (68, 3), y down."""
    turn = np.linspace(0, np.pi, 17)
    jaw = np.c_[-0.5 * np.cos(turn), 0.6 * np.sin(turn), -0.3 * np.abs(np.cos(turn))]
    brow = np.c_[np.linspace(-0.38, -0.12, 5), [-0.3, -0.36, -0.38, -0.37, -0.34], np.zeros(5)]
    nose = np.r_[
        np.c_[np.zeros(4), np.linspace(-0.2, 0.06, 4), np.linspace(0.05, 0.25, 4)],
        np.c_[np.linspace(-0.08, 0.08, 5), np.full(5, 0.12), np.full(5, 0.1)],
    ]
    around = np.linspace(np.pi, 3 * np.pi, 7)[:-1]
    eye = np.c_[-0.22 + 0.09 * np.cos(around), -0.2 + 0.04 * np.sin(around), np.zeros(6)]
    lips = [
        np.c_[wide * np.cos(a), 0.33 + high * np.sin(a), np.full(len(a), 0.1)]
        for wide, high, a in (
            (0.18, 0.08, np.linspace(np.pi, 3 * np.pi, 13)[:-1]),
            (0.13, 0.03, np.linspace(np.pi, 3 * np.pi, 9)[:-1]),
        )
    ]
    flip = np.array([-1, 1, 1])
    other_eye = eye[[3, 2, 1, 0, 5, 4]] * flip
    return np.r_[jaw, brow, brow[::-1] * flip, nose, eye, other_eye, *lips]


class Scripted:
    """The graph of a detector that finds one blob: the score is how red a cell is, the size always 32 px."""

    engine, sha256 = "none", ""

    def __init__(self) -> None:
        self.config, self.metrics = DetectorConfig().to_dict(), dict[str, Any]()

    def run(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        (pictures,) = inputs
        red = (pictures[:, 0] - pictures[:, 1]) / 64
        count, height, width = red.shape
        red = red.reshape(count, height // 4, 4, width // 4, 4).mean((2, 4))
        nought = np.zeros_like(red)
        return (np.stack([20 * (red - 0.5), nought, nought, nought + np.log(32 / 28)], 1).astype(np.float32),)


@pytest.mark.parametrize(
    ("shape", "spot"), [((480, 640), (100, 300)), ((300, 200), (20, 280)), ((2000, 3001), (1500, 700))]
)
def test_a_box_lies_where_the_network_saw_it_whatever_the_size_of_the_photo(
    shape: tuple[int, int], spot: tuple[int, int]
) -> None:
    photo = np.full((*shape, 3), 128, np.uint8)
    radius = max(shape) // 40
    y, x = np.ogrid[: shape[0], : shape[1]]
    photo[np.hypot(x - spot[0], y - spot[1]) <= radius, 0] = 255
    boxes = Detector(Scripted(), threshold=0.5).detect(photo)
    best = max(boxes, key=lambda box: box.score)
    assert np.hypot(best.centre_px[0] - spot[0], best.centre_px[1] - spot[1]) < 1.5 * radius


def test_nothing_is_found_on_an_empty_photo_of_one_pixel_or_one_row() -> None:
    for shape in ((1, 1), (1, 500), (700, 1), (3, 2000)):
        assert Detector(Scripted()).detect(np.full((*shape, 3), 90, np.uint8)) == []


def test_of_overlapping_boxes_the_surest_stays() -> None:
    rows = np.array(
        [[0.6, 100.0, 100.0, 50.0], [0.9, 104.0, 98.0, 55.0], [0.8, 300.0, 100.0, 50.0], [0.7, 110.0, 110.0, 20.0]],
        np.float32,
    )
    assert strongest(rows).tolist() == [rows[1].tolist(), rows[2].tolist()]


def test_the_detectors_maps_decode_to_pixels_from_the_corner() -> None:
    maps = np.zeros((4, 3, 5), np.float32)
    maps[:, 1, 2] = [0.0, 0.25, -0.5, np.log(2.0)]
    score, x, y, size = decoded(maps)[:, 1, 2].tolist()
    assert (score, x, y) == (0.5, (2.5 + 0.25) * 4, (1.5 - 0.5) * 4)
    assert size == pytest.approx(56.0)


def test_a_view_shows_the_points_where_it_says_they_are() -> None:
    patch = torch.zeros(1, 3, 200, 200)
    patch[0, :, 60, 130] = 1.0  # x 130, y 60: pixel centres are integers
    point = torch.tensor([[[(130 + 0.5) / 100 - 1, (60 + 0.5) / 100 - 1, 0.0]]])
    turn = torch.tensor([[np.cos(0.6), np.sin(0.6)]], dtype=torch.float32)
    view = AlignerView(torch.tensor([[0.2, -0.3]]), torch.tensor([0.5]), turn)
    cut = view.cut(patch, 100)[0, 0]
    y, x = (int(v) for v in np.unravel_index(int(cut.argmax()), cut.shape))
    seen = torch.tensor([[[(x + 0.5) / 50 - 1, (y + 0.5) / 50 - 1, 0.0]]])
    assert torch.allclose(view.to_patch(seen), point, atol=0.015)


@pytest.mark.parametrize("degrees", [-170, -60, 0, 33, 90])
def test_the_second_look_is_upright_centred_and_of_the_usual_size(degrees: float) -> None:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    upright = drawn_landmarks() * 0.4
    turned = np.c_[upright[:, :2] @ turn.T + [0.1, -0.2], upright[:, 2]]
    view = upright_view(torch.from_numpy(turned)[None])
    assert view.turn.numpy() == pytest.approx(np.array([[np.cos(angle), np.sin(angle)]]), abs=1e-6)
    away = turned[:, :2] - view.centre.numpy()
    seen = away @ turn / float(view.half)
    low, high = seen.min(0), seen.max(0)
    assert np.abs(low + high).max() < 1e-6
    assert np.sqrt(np.prod(high - low)) == pytest.approx(2 / LOOSENESS)


def test_folding_batch_norms_changes_no_answer() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(2, 3, 32, 32) * 255
    for network in (DetectorNetwork(SMALL_DETECTOR), AlignerNetwork(SMALL_ALIGNER)):
        for _ in range(3):
            network(pictures)  # gives the batch norms something to fold
        network.eval()
        with torch.no_grad():
            before = network(pictures)
            ready(network)
            after = network(pictures)
        for old, new in zip(*(out if isinstance(out, tuple) else (out,) for out in (before, after)), strict=True):
            assert torch.allclose(old, new, atol=1e-4)
        assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())


def test_mid_grey_is_zero_so_that_padding_is_grey() -> None:
    assert float(normalised(torch.full((1, 3, 4, 4), 127.5)).abs().max()) == 0.0


class Blinkered:
    """An aligner whose verdict depends on the box alone."""

    def align(self, image: np.ndarray, boxes: list[Detection]) -> list[AlignedFace]:  # noqa: ARG002
        return [
            AlignedFace(drawn_landmarks() * box.size_px + [*box.centre_px, 0.0], 0.9 if box.size_px < 500 else 0.01)
            for box in boxes
        ]


def test_two_boxes_that_lead_to_one_face_give_one_and_non_faces_are_left_out() -> None:
    finder = BundledFinder(Detector(Scripted()), Blinkered(), min_score=0.2)  # type: ignore[arg-type]
    boxes = [
        Detection((100, 100), 50, 0.5),
        Detection((104, 98), 60, 0.8),
        Detection((400, 100), 90, 0.7),
        Detection((300, 300), 600, 0.9),
    ]
    faces = finder.align(np.zeros((600, 600, 3), np.uint8), boxes)
    assert [round(face.crop.scale, 3) for face in faces] == sorted(round(face.crop.scale, 3) for face in faces)
    assert [face.score for face in faces] == pytest.approx([0.7 * 0.9**8, 0.8 * 0.9**8])


def test_an_unknown_finder_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="bundled or face-alignment"):
        load_finder("haar")


def test_weights_of_another_network_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    detector, aligner = DetectorNetwork(SMALL_DETECTOR), AlignerNetwork(SMALL_ALIGNER)
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    weights.write(one, SMALL_DETECTOR.to_dict(), detector.state_dict())
    weights.write(two, SMALL_ALIGNER.to_dict(), aligner.state_dict())
    assert open_bundled(detector=one, aligner=two).detect(np.zeros((50, 50, 3), np.uint8)) == []
    with pytest.raises(WeightsError, match="face-detector"):
        open_bundled(detector=two, aligner=two)
    weights.write(one, SMALL_DETECTOR.to_dict() | {"channels": [4, 8, 8]}, detector.state_dict())
    with pytest.raises(WeightsError, match="four stages"):
        open_bundled(detector=one, aligner=two)
    weights.write(one, SMALL_DETECTOR.to_dict() | {"depth": 3}, detector.state_dict())
    with pytest.raises(WeightsError, match="fields"):
        open_bundled(detector=one, aligner=two)
