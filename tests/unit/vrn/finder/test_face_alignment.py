"""The face-alignment finder, with the package's own networks and seeded random weights in the package's format."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from selfie3d_worker import config
from vrn.errors import BackendMissingError, WeightsError
from vrn.finder import load_finder
from vrn.finder.face import Detection
from vrn.finder.face_alignment import DETECTORS, DetectedBox, FaceAlignmentFinder, required_files

pytestmark = [
    pytest.mark.slow,  # the networks of the package take seconds a photo
    pytest.mark.timeout(900),  # importing the package compiles functions with Numba, for minutes on a busy machine
]

FAN_2D, FAN_3D = "2DFAN4-11f355bf06.pth.tar", "3DFAN4-7835d9f11d.pth.tar"
DEPTH, S3FD = "depth-2a464da4ea.pth.tar", "s3fd-619a316812.pth"
NO_FACE, FACES = 30.0, 4  # bias that silences a detection layer; positions of the picture that pass the threshold


def test_a_worker_can_be_given_every_detector_that_there_is() -> None:
    assert config.DETECTORS == DETECTORS


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """A seeded picture of 160 x 128 px with coarse structure."""
    coarse = np.random.default_rng(5).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 16, 0), 16, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, picture: NDArray[np.uint8]) -> Iterator[Path]:
    """A folder as `selfie3d weights fetch` fills it."""
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN, ResNetDepth

    path = tmp_path_factory.mktemp("weights")
    torch.manual_seed(1)
    with torch.no_grad():
        torch.save(FAN(4).state_dict(), path / FAN_3D)
        (path / FAN_2D).hardlink_to(path / FAN_3D)  # the same classes
        depth = {f"module.{name}": tensor for name, tensor in ResNetDepth().state_dict().items()}
        torch.save({"state_dict": depth, "epoch": 3, "best": np.float64(0.5)}, path / DEPTH)
        torch.save(_sure_of_some_places(s3fd(), picture).state_dict(), path / S3FD)
    yield path
    for file in path.iterdir():
        file.unlink()


def _sure_of_some_places(network: Any, picture: NDArray[np.uint8]) -> Any:
    """An S3FD that says face at `FACES` places of `picture`, at its layer of 32 px boxes, and nowhere else."""
    for name, layer in network.named_modules():
        if name.endswith("_mbox_conf"):
            layer.weight.mul_(30)  # a random layer is not sure of anything
            layer.bias[:-1] += NO_FACE * 30
    conf = network.conv4_3_norm_mbox_conf
    conf.bias.zero_()
    shifted = torch.from_numpy(picture[..., ::-1].copy()).float() - torch.tensor([104.0, 117.0, 123.0])
    background, face = network(shifted.permute(2, 0, 1)[None])[2][0]
    conf.bias[0] += torch.topk((face - background).flatten(), FACES + 1).values[-2:].mean()
    return network.eval()


@pytest.fixture(scope="module")
def finder(folder: Path) -> FaceAlignmentFinder:
    found = load_finder("face-alignment", weights=folder, landmarks="2d", detector="sfd", batch=2)
    assert isinstance(found, FaceAlignmentFinder)
    return found


@pytest.fixture(scope="module")
def boxes(finder: FaceAlignmentFinder, picture: NDArray[np.uint8]) -> list[Detection]:
    return finder.detect(picture)


def test_several_faces_are_found_in_descending_size(
    finder: FaceAlignmentFinder, picture: NDArray[np.uint8], boxes: list[Detection]
) -> None:
    faces = finder.find(picture)
    assert 2 <= len(boxes) <= FACES
    assert [box.size_px for box in boxes] == sorted((box.size_px for box in boxes), reverse=True)
    assert len(faces) == len(boxes)
    areas = [face.box_px[2] * face.box_px[3] for face in faces]
    assert areas == sorted(areas, reverse=True)
    for face in faces:
        assert face.landmarks_px.shape == (68, 3)
        assert face.landmarks_px.dtype == np.float64
        assert (face.landmarks_px[:, 2] == 0).all()  # the 2D network knows no depth
        assert 0.5 < face.score <= 1


def test_boxes_are_those_of_the_package(
    finder: FaceAlignmentFinder, picture: NDArray[np.uint8], boxes: list[Detection]
) -> None:
    corners = finder._alignment.face_detector.detect_from_image(picture.copy())
    assert {tuple(np.round(box.corners_px, 3)) for box in boxes if isinstance(box, DetectedBox)} == {
        tuple(np.round(np.asarray(each[:4], float), 3)) for each in corners
    }


def test_3d_landmarks_are_those_of_the_package(
    folder: Path, picture: NDArray[np.uint8], boxes: list[DetectedBox]
) -> None:
    finder = FaceAlignmentFinder(folder, landmarks="3d")
    (face,) = finder.align(picture, boxes[:1])
    expected = finder._alignment.get_landmarks_from_image(
        picture.copy(), detected_faces=[np.asarray(boxes[0].corners_px)]
    )
    np.testing.assert_allclose(face.landmarks_px, np.asarray(expected[0], float), atol=1e-2)
    assert np.ptp(face.landmarks_px[:, 2]) > 0
    assert face.score == boxes[0].score


def test_a_picture_without_faces_gives_an_empty_list(finder: FaceAlignmentFinder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grey = np.full((96, 128, 3), 128, np.uint8)
        assert finder.detect(grey) == []
        assert finder.find(grey) == []


def test_the_batch_does_not_change_a_face(
    finder: FaceAlignmentFinder, picture: NDArray[np.uint8], boxes: list[Detection]
) -> None:
    together = finder.align(picture, boxes[:2])
    alone = [finder.align(picture, [box])[0].landmarks_px for box in boxes[:2]]
    for face in together:
        assert any(np.allclose(face.landmarks_px, other, atol=1e-2) for other in alone)


def test_boxes_of_a_large_photo_are_in_its_own_pixels(
    folder: Path, picture: NDArray[np.uint8], boxes: list[Detection]
) -> None:
    large = np.repeat(np.repeat(picture, 3, 0), 3, 1)
    finder = FaceAlignmentFinder(folder, landmarks="2d", longest_px=160)
    assert len(boxes) >= 2
    for box, other in zip(finder.detect(large), boxes, strict=True):
        np.testing.assert_allclose(np.divide(box.centre_px, 3), other.centre_px, atol=0.01)
        assert box.size_px == pytest.approx(3 * other.size_px, rel=1e-3)


def test_boxes_of_other_finders_are_taken(finder: FaceAlignmentFinder, picture: NDArray[np.uint8]) -> None:
    faces = finder.align(picture, [Detection((80.0, 64.0), 50.0, 0.9), Detection((40.0, 40.0), 30.0, 0.4)])
    assert sorted(face.score for face in faces) == [0.4, 0.9]
    for face in faces:
        low, high = face.landmarks_px.min(0), face.landmarks_px.max(0)
        assert low[0] > -60
        assert high[0] < 220


def test_nothing_is_flipped_unless_asked(folder: Path, picture: NDArray[np.uint8]) -> None:
    box = [Detection((80.0, 64.0), 60.0, 1.0)]
    plain, flipped = (FaceAlignmentFinder(folder, landmarks="2d", flip=flip) for flip in (False, True))
    runs = {"plain": 0, "flipped": 0}
    for name, finder in (("plain", plain), ("flipped", flipped)):
        finder._alignment.face_alignment_net.register_forward_hook(
            lambda *_, name=name: runs.update({name: runs[name] + 1})
        )
        finder.align(picture, box)
    assert runs == {"plain": 1, "flipped": 2}


def test_missing_weights_name_files_folder_and_command(tmp_path: Path) -> None:
    (tmp_path / S3FD).write_bytes(b"")
    with pytest.raises(WeightsError) as caught:
        FaceAlignmentFinder(tmp_path)
    for part in (FAN_3D, DEPTH, str(tmp_path), "selfie3d weights fetch"):
        assert part in str(caught.value)
    assert S3FD not in str(caught.value)


def test_a_file_that_differs_from_its_checksum_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in (FAN_2D, S3FD):
        (tmp_path / name).hardlink_to(folder / name)
    wrong = hashlib.sha256(b"other").hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{wrong}  {FAN_2D}\n")
    with pytest.raises(WeightsError, match="damaged: expected SHA-256"):
        FaceAlignmentFinder(tmp_path, landmarks="2d")


class _Trap:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_carries_code_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    for name in (FAN_3D, S3FD):
        (tmp_path / name).hardlink_to(folder / name)
    torch.save({"state_dict": {}, "trap": _Trap(tmp_path / "sprung")}, tmp_path / DEPTH)
    with pytest.raises(WeightsError, match="cannot be used"):
        FaceAlignmentFinder(tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 no zip either"])
def test_a_damaged_checkpoint_is_a_weights_error(folder: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FAN_2D).hardlink_to(folder / FAN_2D)
    (tmp_path / S3FD).write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be used"):
        FaceAlignmentFinder(tmp_path, landmarks="2d")


def test_the_weights_of_another_network_are_a_weights_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / S3FD).hardlink_to(folder / FAN_2D)
    (tmp_path / FAN_2D).hardlink_to(folder / FAN_2D)
    with pytest.raises(WeightsError, match="cannot be used"):
        FaceAlignmentFinder(tmp_path, landmarks="2d")


def test_blazeface_finds_faces_in_square_pictures_of_every_size(folder: Path, tmp_path: Path) -> None:
    from face_alignment.detection.blazeface.net_blazeface import BlazeFace

    torch.manual_seed(2)
    network = BlazeFace()
    with torch.no_grad():
        for classifier in (network.classifier_8, network.classifier_16):
            classifier.weight.zero_()
            classifier.bias.fill_(-20.0)
        network.classifier_8.bias[0] = 3.0
        for regressor in (network.regressor_8, network.regressor_16):
            regressor.weight.zero_()
            regressor.bias.zero_()
            regressor.bias[2:4] = 128.0  # as large as the anchor
    torch.save(network.state_dict(), tmp_path / "blazeface.pth")
    anchors = np.column_stack([np.linspace(0.2, 0.8, 896) > 0.5, np.full(896, 0.5), np.full((896, 2), 0.3)])
    np.save(tmp_path / "anchors.npy", anchors.astype(np.float32))
    (tmp_path / FAN_2D).hardlink_to(folder / FAN_2D)
    finder = FaceAlignmentFinder(tmp_path, landmarks="2d", detector="blazeface")
    for size in (98, 128, 161, 300):  # of 98 and 161 the package makes 127 px
        found = finder.detect(np.full((size, size, 3), 90, np.uint8))
        assert len(found) == 2
        assert all(0.5 < box.score <= 1 for box in found)


@pytest.mark.parametrize("detector", [name for name in DETECTORS if name != "retinaface"])
def test_every_detector_names_its_files_and_where_they_come_from(detector: str) -> None:
    files = required_files("3d", detector)
    assert {FAN_3D, DEPTH} < {file.name for file in files}
    assert all(file.url.startswith("https://") and "?" not in file.name for file in files)


def test_a_detector_that_needs_another_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if "retinaface" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(BackendMissingError, match="pip install 'torchvision'"):
        required_files("2d", "retinaface")


@pytest.mark.parametrize(("argument", "value"), [("landmarks", "4d"), ("detector", "dlib")])
def test_unknown_names_are_refused_with_the_known_ones(tmp_path: Path, argument: str, value: str) -> None:
    options: dict[str, Any] = {argument: value}
    with pytest.raises(ValueError, match=f"{argument}: expected .*, found '{value}'"):
        load_finder("face-alignment", weights=tmp_path, **options)


def test_without_the_package_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "face_alignment"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(BackendMissingError, match=r"pip install '\.\[face-alignment\]'"):
        load_finder("face-alignment", weights=tmp_path)


def test_the_default_path_imports_neither_the_package_nor_opencv_nor_numba() -> None:
    code = (
        "import sys, vrn.finder, vrn.network, vrn.finder.face_alignment, vrn.official.importer\n"
        "print(sorted({'face_alignment', 'cv2', 'numba', 'onnxruntime'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vrn.finder.face_alignment")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendMissingError, match=r"torch.*pip install '\.\[face-alignment\]'"):
        load_finder("face-alignment")
