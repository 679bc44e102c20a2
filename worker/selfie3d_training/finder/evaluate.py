"""Measures the finder.

- *scenes*: photos of the val split at 40 to 400 px of face, turned up to 45 degrees, in larger scenes without faces
- *photos*: photos of the val split as they are, by yaw; *views*: the same turned to large poses
- *no faces*: 300 pictures without faces, a part of them never seen in training

Everything is drawn from a fixed seed. The result is a table in Markdown and JSON, and sheets of what went wrong.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from selfie3d.types.atomic_file import write_atomically
from selfie3d_training import pictures as picture_files
from selfie3d_training.finder.detector import DetectorTarget, pasted, placed
from selfie3d_training.finder.faces import FacePicture, FaceSource, box_of
from selfie3d_training.finder.nonfaces import NonFaces, cut, shipped_pictures
from selfie3d_training.photos import Image, Photos
from selfie3d_training.views import TurnedViews
from vrn.finder.face import AlignedFace, Finder

UNSEEN = ("chelsea", "coffee", "rocket")  # pictures of scikit-image that no training sees
CENTRE_LIMIT, SCALE_LIMIT = 0.08, 0.10  # share of the face's size
YAW_BINS = ((0, 30), (30, 60), (60, 91))
FACE_PX = (40.0, 400.0)
SCENES, VIEWS, NON_FACES = 500, 500, 300

Rng = np.random.Generator


@dataclass
class Tally:
    """What was measured of one set of faces.

    Attributes
    ----------
    centre, scale : of the faces found, share of the face's size
    error : mean distance of the landmarks in x and y / size; depth : the same of depth, mean removed
    shown, found : number of faces
    """

    shown: int = 0
    found: int = 0
    centre: list[float] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    depth: list[float] = field(default_factory=list)

    def add(self, faces: Sequence[AlignedFace], truth: NDArray[np.float64]) -> bool:
        """Compare with the landmarks (68, 3) in the same picture; whether centre and scale are within the limits."""
        self.shown += 1
        centre, size = box_of(truth)
        distances = [float(np.linalg.norm(box_of(face.landmarks_px)[0] - centre)) / size for face in faces]
        if not distances or min(distances) > 0.5:
            return False
        self.found += 1
        face = faces[int(np.argmin(distances))]
        self.centre.append(min(distances))
        self.scale.append(abs(box_of(face.landmarks_px)[1] / size - 1))
        self.error.append(float(np.linalg.norm((face.landmarks_px - truth)[:, :2], axis=1).mean()) / size)
        away = (face.landmarks_px - truth)[:, 2]
        self.depth.append(float(np.abs(away - away.mean()).mean()) / size)
        return self.centre[-1] <= CENTRE_LIMIT and self.scale[-1] <= SCALE_LIMIT

    def row(self) -> dict[str, float]:
        """Shares of the faces shown, and mean errors of those found, in percent."""
        good = np.sum((np.array(self.centre) <= CENTRE_LIMIT) & (np.array(self.scale) <= SCALE_LIMIT))
        shown = max(1, self.shown)
        return {
            "faces": self.shown,
            "found": 100 * self.found / shown,
            "within 8 % and 10 %": 100 * float(good) / shown,
            "centre": 100 * _mean(self.centre),
            "scale": 100 * _mean(self.scale),
            "landmarks": 100 * _mean(self.error),
            "depth": 100 * _mean(self.depth),
        }


def scenes(photos: Photos, nonfaces: NonFaces, count: int, seed: int = 17) -> Iterator[tuple[Image, FacePicture]]:
    """Larger scenes, each with one val photo: the scene, and the face with its landmarks in the scene."""
    rng = np.random.default_rng(seed)
    ids = photos.ids("val")
    for number in range(count):
        height, width = (int(v) for v in rng.integers(480, 1300, 2))
        scene = background(nonfaces, rng, height, width)
        photo_id = int(ids[number % len(ids)])
        picture = FacePicture(photos.image(photo_id), photos.labels.landmarks[photo_id].astype(np.float64))
        size = float(np.exp(rng.uniform(*np.log([FACE_PX[0], min(FACE_PX[1], 0.6 * min(height, width))]))))
        centre = rng.uniform(0.7 * size, [width - 0.7 * size, height - 0.7 * size])
        roll = np.deg2rad(rng.uniform(-45, 45) if rng.random() < 0.5 else rng.normal(0, 8))
        target, matrix = placed(picture, centre, size, roll)
        face, mask = _layer(picture, matrix, target, (width, height))
        flat = picture.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        depth = picture.landmarks[:, 2:] * np.sqrt(np.linalg.det(matrix[:, :2]))
        yield pasted(scene, face, mask), FacePicture(picture.image, np.c_[flat, depth])


def background(nonfaces: NonFaces, rng: Rng, height: int, width: int) -> Image:
    """A scene without faces: a shipped picture, seen in training or not, or four pieces side by side."""
    if rng.random() < 0.6:
        pictures = shipped_pictures(UNSEEN) if rng.random() < 0.5 else shipped_pictures()
        chosen = pictures[int(rng.integers(len(pictures)))]
        return np.asarray(cv2.resize(chosen, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    pieces = [nonfaces.draw(rng) for _ in range(4)]
    whole = np.vstack([np.hstack(pieces[:2]), np.hstack(pieces[2:])])
    return np.asarray(cv2.resize(whole, (width, height)), np.uint8)


def pictures_without_faces(nonfaces: NonFaces, count: int, seed: int = 21) -> Iterator[tuple[str, Image]]:
    """Name of the kind and picture: a third from pictures never seen in training, the rest in equal parts."""
    rng = np.random.default_rng(seed)
    yield from zip(UNSEEN, shipped_pictures(UNSEEN), strict=False)
    kinds: list[tuple[str, Callable[[Rng], Image]]] = [
        ("unseen", _unseen_piece),
        ("unseen", _unseen_piece),
        ("shipped", nonfaces.shipped),
        ("surroundings", nonfaces.surroundings),
        ("headless", nonfaces.headless),
        ("noise and shapes", nonfaces.made),
    ]
    for number in range(count - len(UNSEEN)):
        name, draw = kinds[number % len(kinds)]
        picture = draw(rng)
        scale = float(np.exp(rng.uniform(0, np.log(4))))
        yield name, np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)


def measure(finder: Finder, photos: Photos, views: TurnedViews, out: Path) -> dict[str, Any]:
    """Everything the table holds, written to finder.json in `out` beside sheets of failures."""
    out.mkdir(parents=True, exist_ok=True)
    val = FaceSource(photos, photos.ids("val"), views, 192, turned=0.0)
    nonfaces = NonFaces(val, 192)
    result: dict[str, Any] = {"scenes": _measure_scenes(finder, scenes(photos, nonfaces, SCENES), out)}
    for low, high in YAW_BINS:
        ids = [i for i in photos.ids("val") if low <= abs(photos.labels.yaw[i]) < high]
        faces = (FacePicture(photos.image(i), photos.labels.landmarks[i].astype(np.float64)) for i in ids)
        result[f"photos, yaw {low}-{min(high, 90)}"] = _measure_faces(finder, faces)
    if len(views):
        chosen = np.random.default_rng(3).permutation(len(views))[:VIEWS]
        turned = (FacePicture(views[int(i)].image, views[int(i)].landmarks) for i in chosen)
        result["turned views"] = _measure_faces(finder, turned)
    result["no faces"] = _measure_false_finds(finder, pictures_without_faces(nonfaces, NON_FACES), out)
    result["milliseconds"] = milliseconds(finder)
    write_atomically(out / "finder.json", json.dumps(result, indent=1).encode())
    return result


def milliseconds(finder: Finder, repeats: int = 20) -> dict[str, float]:
    """Median time for a photo of 1155 x 866 px with one face of 200 px, after a warm-up."""
    import skimage.data

    photo = np.asarray(cv2.copyMakeBorder(skimage.data.astronaut(), 177, 177, 321, 322, cv2.BORDER_REPLICATE), np.uint8)
    boxes = finder.detect(photo)
    finder.align(photo, boxes)
    detect, align = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        boxes = finder.detect(photo)
        middle = time.perf_counter()
        finder.align(photo, boxes)
        detect.append(middle - start)
        align.append(time.perf_counter() - middle)
    return {"detect": 1000 * float(np.median(detect)), "align": 1000 * float(np.median(align)), "boxes": len(boxes)}


def table(result: dict[str, Any]) -> str:
    """The rows of faces as Markdown."""
    columns = list(result["scenes"])
    lines = ["| set | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in result.items():
        if "found" in row:
            lines.append(f"| {name} | " + " | ".join(f"{row[column]:.4g}" for column in columns) + " |")
    return "\n".join(lines)


def _measure_scenes(finder: Finder, shown: Iterator[tuple[Image, FacePicture]], out: Path) -> dict[str, float]:
    tally, extra, failures = Tally(), 0, []
    for scene, face in shown:
        faces = finder.find(scene)
        if not tally.add(faces, face.landmarks):
            failures.append(_failure(scene, faces, face.landmarks))
        centre, size = box_of(face.landmarks)
        extra += sum(float(np.linalg.norm(box_of(f.landmarks_px)[0] - centre)) > 0.5 * size for f in faces)
    _write_sheet(out / "scenes.png", failures)
    return tally.row() | {"extra finds": 100 * extra / max(1, tally.shown)}


def _measure_faces(finder: Finder, faces: Iterator[FacePicture]) -> dict[str, float]:
    tally, extra = Tally(), 0
    for face in faces:
        found = finder.find(face.image)
        tally.add(found, face.landmarks)
        extra += max(0, len(found) - 1)
    return tally.row() | {"extra finds": 100 * extra / max(1, tally.shown)}


def _measure_false_finds(finder: Finder, pictures: Iterator[tuple[str, Image]], out: Path) -> dict[str, float]:
    found: dict[str, int] = {}
    failures = []
    for name, picture in pictures:
        faces = finder.find(picture)
        found[name] = found.get(name, 0) + bool(faces)
        if faces:
            failures.append(_failure(picture, faces, None))
    _write_sheet(out / "no-faces.png", failures)
    return {"false finds": 100 * sum(found.values()) / NON_FACES} | {k: float(v) for k, v in found.items()}


def _layer(
    picture: FacePicture, matrix: NDArray[np.float64], target: DetectorTarget, size: tuple[int, int]
) -> tuple[Image, NDArray[np.float32]]:
    """The photo where it comes to lie in a scene of `size` (width, height), and its mask with a soft rim."""
    rim = round(0.06 * len(picture.image))
    inner = np.zeros(picture.image.shape[:2], np.float32)
    inner[rim:-rim, rim:-rim] = 1
    inner = np.asarray(cv2.GaussianBlur(inner, (0, 0), rim / 2), np.float32)
    source = picture.image
    shrunk = target.size / box_of(picture.landmarks)[1]
    if shrunk < 0.7:
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.4 / shrunk), np.uint8)
    face = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(face, np.uint8), np.asarray(cv2.warpAffine(inner, matrix, size), np.float32)


def _unseen_piece(rng: Rng) -> Image:
    pictures = shipped_pictures(UNSEEN)
    return cut(pictures[int(rng.integers(len(pictures)))], rng, 192, 0.5, 1.5, 30)


def _failure(picture: Image, faces: Sequence[AlignedFace], truth: NDArray[np.float64] | None) -> Image:
    """A tile of a sheet: the truth green, answers red."""
    tile = picture.copy()
    width = max(1, max(tile.shape[:2]) // 300)
    for landmarks, colour in [(f.landmarks_px, (255, 0, 0)) for f in faces] + (
        [] if truth is None else [(truth, (0, 255, 0))]
    ):
        for x, y in np.rint(landmarks[:, :2]).astype(int):
            cv2.circle(tile, (int(x), int(y)), width, colour, -1)
    scale = 320 / max(tile.shape[:2])
    small = cv2.resize(tile, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    padded = np.zeros((320, 320, 3), np.uint8)
    padded[: small.shape[0], : small.shape[1]] = small[:320, :320]
    return padded


def _write_sheet(path: Path, tiles: list[Image], columns: int = 5, most: int = 20) -> None:
    path.unlink(missing_ok=True)
    if not tiles:
        return
    tiles = tiles[:most]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    picture_files.save(path, np.vstack(rows))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
