"""The finder of the face-alignment package: its detectors and its AlignedFace Alignment Network.

The package's networks and its pre- and post-processing are used as they are. What it would do behind our back is not:
nothing is fetched, nothing is compiled, and no file is unpickled beyond tensors (`weights_only`). The weights come
from a folder that ``selfie3d weights fetch`` fills.

The package is slow to import and wants OpenCV and numba, so it is imported when a finder is made and never before.

Source: face-alignment 1.5 (Bulat and Tzimiropoulos, ICCV 2017).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from numpy.typing import NDArray

from vrn.errors import BackendMissingError, WeightsError
from vrn.finder.face import AlignedFace, Detection
from vrn.weights.store import aligner_folder, verify

EXTRA = ".[face-alignment]"
DETECTOR_PACKAGES = ("torchvision", "onnxruntime")  # wanted by retinaface and scrfd, not by the package itself
LANDMARKS = ("2d", "3d")
LONGEST_PX = 1024  # longest side of the picture that the detector sees; S3FD on 12 MP would take gigabytes
MIN_SCORE = 0.5  # of a face, the package's default
BATCH = 4  # faces per run of the alignment network

# A detector's box reaches from the hairline to the chin, the box of the landmarks from the brows to the chin.
BROWS = 0.2  # of the detector's box lies above the landmarks' box

_FAN = {"2d": "2DFAN-4", "3d": "3DFAN-4"}


@dataclass(frozen=True)
class WeightsFile:
    """A file that the package publishes: its name in the folder and where it comes from."""

    name: str
    url: str


@dataclass(frozen=True)
class _Detector:
    """How the package takes a detector's files and threshold.

    Attributes
    ----------
    module : below face_alignment.detection
    files : argument of the detector to key of the module's `models_urls`
    threshold : argument that takes the smallest score
    saved_as : file name of a module with a single `model_url`, whose argument is path_to_detector
    """

    module: str
    threshold: str
    files: Mapping[str, str] = field(default_factory=dict)
    saved_as: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def weights(self) -> dict[str, WeightsFile]:
        """Argument of the detector to the file it takes."""
        package = _import(f"face_alignment.detection.{self.module}.{self.module}_detector")
        if self.saved_as:
            return {"path_to_detector": WeightsFile(self.saved_as, package.model_url)}
        return {argument: _file(package.models_urls[key]) for argument, key in self.files.items()}


_FRONT = {"path_to_detector": "blazeface_weights", "path_to_anchor": "blazeface_anchors"}
_BACK = {"path_to_detector": "blazeface_back_weights", "path_to_anchor": "blazeface_back_anchors"}
_DETECTORS = {
    "sfd": _Detector("sfd", "filter_threshold", {"path_to_detector": "s3fd"}),
    "blazeface": _Detector("blazeface", "min_score_thresh", _FRONT),
    "blazeface-back": _Detector("blazeface", "min_score_thresh", _BACK, options={"back_model": True}),
    "retinaface": _Detector("retinaface", "confidence_threshold", {"path_to_detector": "retinaface_mobilenet0.25"}),
    "yunet": _Detector("yunet", "score_threshold", saved_as="face_detection_yunet_2023mar.onnx"),
    "scrfd": _Detector("scrfd", "confidence_threshold", saved_as="scrfd_2.5g_bnkps.onnx"),
}
DETECTORS = tuple(_DETECTORS)


@dataclass(frozen=True)
class DetectedBox(Detection):
    """A box that remembers what the detector said: (x1, y1, x2, y2) in photo px."""

    corners_px: tuple[float, float, float, float]


class FaceAlignmentFinder:
    """Finds faces with the networks of the face-alignment package.

    weights : folder of the package's files; None is the folder that ``selfie3d weights fetch`` fills
    landmarks : `3d` (hidden side and depth included) or `2d` (visible contour, depth 0)
    detector : one of `DETECTORS`
    device : of torch
    batch : faces per run of the alignment network
    flip : also align the mirrored face and average, at twice the time
    min_score : 0..1, faces that score less are left out
    longest_px : longest side of the picture that the detector sees

    Raises BackendMissingError when a package is not installed, WeightsError when files are missing or damaged, and
    ValueError for an unknown name.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        landmarks: str = "3d",
        detector: str = "sfd",
        device: str = "cpu",
        batch: int = BATCH,
        flip: bool = False,
        min_score: float = MIN_SCORE,
        longest_px: int = LONGEST_PX,
    ) -> None:
        _check_names(landmarks, detector)
        self._longest_px = longest_px
        self._avoid_square = detector.startswith("blazeface")
        folder = Path(weights) if weights is not None else aligner_folder()
        _require(required_files(landmarks, detector), folder, landmarks, detector)
        known = _DETECTORS[detector]
        paths = {argument: str(folder / file.name) for argument, file in known.weights().items()}
        self._alignment = _open(
            folder,
            landmarks,
            device=device,
            flip_input=flip,
            face_detector=known.module,
            face_detector_kwargs={**paths, **known.options, known.threshold: min_score},
            compile=False,
            max_batch_size=batch,
        )

    def detect(self, image: NDArray[np.uint8], *, subject: bool = False) -> list[Detection]:  # noqa: ARG002
        """See `vrn.finder.face.Finder`; it always looks for every face."""
        shrunk, scale = _shrink(image, self._longest_px)
        if self._avoid_square and shrunk.shape[0] == shrunk.shape[1]:  # some sizes of square make the package fail
            shrunk = np.pad(shrunk, ((0, 0), (0, 1), (0, 0)), mode="edge")
        with torch.inference_mode():
            found = self._alignment.face_detector.detect_from_image(shrunk)
        boxes = [_box(np.asarray(each, np.float64), scale) for each in found]
        return sorted((box for box in boxes if box is not None), key=lambda box: -box.size_px)

    def align(self, image: NDArray[np.uint8], boxes: Sequence[Detection]) -> list[AlignedFace]:
        """See `vrn.finder.face.Finder`. Boxes of other finders are taken, too."""
        if not boxes:
            return []
        corners = [np.asarray(_corners(box)) for box in boxes]
        points = self._alignment.get_landmarks_from_image(image, detected_faces=corners)
        faces = [AlignedFace(_landmarks(each), box.score) for each, box in zip(points, boxes, strict=True)]
        return sorted(faces, key=lambda face: -face.box_px[2] * face.box_px[3])

    def search_again(self, image: NDArray[np.uint8]) -> list[AlignedFace]:  # noqa: ARG002
        """Nothing: the package has one way of searching."""
        return []

    def find(self, image: NDArray[np.uint8]) -> list[AlignedFace]:
        """See `vrn.finder.face.Finder`."""
        return self.align(image, self.detect(image))


def required_files(landmarks: str = "3d", detector: str = "sfd") -> list[WeightsFile]:
    """The files that a finder needs, with the addresses that the package publishes them at.

    Raises BackendMissingError when the package is not installed and ValueError for an unknown name.
    """
    _check_names(landmarks, detector)
    urls = _import("face_alignment.api").models_urls
    networks = [_FAN[landmarks]] + (["depth"] if landmarks == "3d" else [])
    return [*_DETECTORS[detector].weights().values(), *(_file(urls[name]) for name in networks)]


def _check_names(landmarks: str, detector: str) -> None:
    if landmarks not in LANDMARKS:
        raise ValueError(f"landmarks: expected {' or '.join(LANDMARKS)}, found {landmarks!r}")
    if detector not in DETECTORS:
        raise ValueError(f"detector: expected {', '.join(DETECTORS)}, found {detector!r}")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(error) from error


def _missing(error: ImportError) -> BackendMissingError:
    """What to install: the extra, or what one of the detectors wants beside it."""
    package = (error.name or "face_alignment").split(".")[0]
    wanted = package if package in DETECTOR_PACKAGES else EXTRA
    return BackendMissingError(
        f"the face-alignment finder needs a package that cannot be imported ({error}): "
        f"run `pip install '{wanted}'`, or use the bundled finder"
    )


def _file(url: str) -> WeightsFile:
    return WeightsFile(Path(urlparse(url).path).name, url)


def _require(files: Sequence[WeightsFile], folder: Path, landmarks: str, detector: str) -> None:
    """Every file is there and is the one that was fetched."""
    missing = [file.name for file in files if not (folder / file.name).is_file()]
    if missing:
        raise WeightsError(
            f"{', '.join(missing)} missing in {folder}: run "
            f"`selfie3d weights fetch --landmarks {landmarks} --detector {detector} --folder {folder}`"
        )
    for file in files:
        verify(folder / file.name)


def _open(folder: Path, landmarks: str, **options: Any) -> Any:
    """The package's FaceAlignment, with its loaders replaced by ours."""
    api = _import("face_alignment.api")

    class Alignment(api.FaceAlignment):  # type: ignore[misc, name-defined]
        def _load_native(self, network_name: str, network_size: int, device: str, dtype: torch.dtype) -> Any:
            state = _tensors(folder / _file(api.models_urls[network_name]).name)
            return _ready(api.FAN(network_size), state, device, dtype)

        def _load_native_depth(self, device: str, dtype: torch.dtype) -> Any:
            state = _tensors(folder / _file(api.models_urls["depth"]).name)["state_dict"]
            state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
            return _ready(api.ResNetDepth(), state, device, dtype)

    kind = api.LandmarksType.THREE_D if landmarks == "3d" else api.LandmarksType.TWO_D
    try:
        alignment = Alignment(kind, **options)
    except ImportError as error:  # of a detector that needs more than the package itself
        raise _missing(error.__cause__ if isinstance(error.__cause__, ImportError) else error) from error
    except WeightsError:
        raise
    except Exception as error:  # whatever pickle, torch, numpy or OpenCV say about a file that is not theirs
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"the weights in {folder} cannot be used ({detail}): fetch them again") from error
    api.get_preds_fromhm(np.zeros((1, 1, 64, 64), np.float32), np.zeros(2), 1.0)  # numba compiles now, not in a job
    return alignment


def _tensors(path: Path) -> dict[str, Any]:
    """A checkpoint of torch, of which only tensors, numbers and containers are rebuilt."""
    scalar = np.float64().__reduce__()[0]
    numbers: list[Any] = [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, type(np.dtype(np.float64))]
    with torch.serialization.safe_globals(numbers):
        found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise WeightsError(f"{path}: expected a dictionary of tensors, found {type(found).__name__}")
    return found


def _ready(network: torch.nn.Module, state: Mapping[str, Any], device: str, dtype: torch.dtype) -> torch.nn.Module:
    network.load_state_dict(state)
    return network.to(device, dtype=dtype).eval().requires_grad_(False)


def _shrink(image: NDArray[np.uint8], longest_px: int) -> tuple[NDArray[np.uint8], float]:
    """The picture with no side longer than `longest_px`, and photo px per px of it."""
    height, width = image.shape[:2]
    scale = max(height, width) / longest_px
    if scale <= 1:
        return image, 1.0
    size = (max(round(width / scale), 1), max(round(height / scale), 1))
    return _import("cv2").resize(image, size, interpolation=_import("cv2").INTER_AREA), scale


def _box(found: NDArray[np.float64], scale: float) -> DetectedBox | None:
    """x1, y1, x2, y2 and perhaps a score in px of the shrunk picture; None where that is no box."""
    x1, y1, x2, y2 = found[:4] * scale
    if not np.isfinite(found).all() or x2 <= x1 or y2 <= y1:
        return None
    height = (y2 - y1) * (1 - BROWS)
    score = float(np.clip(found[4], 0, 1)) if len(found) > 4 else 1.0
    centre = (float(x1 + x2) / 2, float(y2 - height / 2))
    return DetectedBox(centre, float(np.sqrt((x2 - x1) * height)), score, (float(x1), float(y1), float(x2), float(y2)))


def _corners(box: Detection) -> tuple[float, float, float, float]:
    if isinstance(box, DetectedBox):
        return box.corners_px
    (x, y), half = box.centre_px, box.size_px / 2
    return (x - half, y + half - 2 * half / (1 - BROWS), x + half, y + half)


def _landmarks(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """(68, 2 or 3) in photo px to (68, 3); the package's depth grows towards the viewer, as ours."""
    flat = np.asarray(points, np.float64)
    return flat if flat.shape[1] == 3 else np.column_stack([flat, np.zeros(len(flat))])
