"""The accuracy of a network on the validation photos and on turned views, by yaw, as tables and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from selfie3d.types.atomic_file import write_atomically
from selfie3d.types.frames import Grid, transform
from selfie3d_training import augment, pictures
from selfie3d_training.dataset import Material, SampleSource
from selfie3d_training.head import yaw_degrees
from selfie3d_training.metrics import Score, score, surface_of
from selfie3d_training.photos import Image
from vrn.finder.face import Finder
from vrn.meshing.field import Field

YAW_BINS = ((0, 30), (30, 60), (60, 93))  # degrees
WORST = 20
FIGURES = tuple(field.name for field in fields(Score))

Floats = NDArray[np.float64]
Row = dict[str, Any]


class Predictor(Protocol):
    """What is evaluated: vrn.network.Network, or a stand-in that knows the answer."""

    @property
    def grid(self) -> Grid:
        """The grid of every field."""
        ...

    def field(self, crop: Image) -> Field:
        """The field of a crop."""
        ...


@dataclass(frozen=True)
class Case:
    """One picture to predict: its name in the tables, the yaw of its head and the crop the network gets."""

    group: str
    name: str
    source: SampleSource
    to_crop: Floats | None  # None: the finder found no face

    @property
    def yaw(self) -> float:
        return abs(yaw_degrees(self.source.matrix))


@dataclass(frozen=True)
class SampleScore:
    """A case with its score; `missed` when no face was found."""

    case: Case
    score: Score | None

    @property
    def missed(self) -> bool:
        return self.score is None


def cases(material: Material, photos: Iterable[int], finder: Finder | None, group: str = "photos") -> Iterator[Case]:
    """Photos in the crop of their labels, or in the one that a finder delivers."""
    for photo in photos:
        source = material.of_photo(photo)
        to_crop = augment.plain_crop(source.landmarks) if finder is None else _found(finder, source)
        yield Case(group, f"{photo:06d}", source, to_crop)


def view_cases(material: Material, count: int, finder: Finder | None, group: str = "turned views") -> Iterator[Case]:
    """The first `count` turned views of the material."""
    for index in range(min(count, len(material.views))):
        source = material.of_view(index)
        to_crop = augment.plain_crop(source.landmarks) if finder is None else _found(finder, source)
        yield Case(group, f"view {index} of {source.photo:06d}", source, to_crop)


def evaluate(network: Predictor, material: Material, todo: Iterable[Case]) -> list[SampleScore]:
    """Predict and score every case."""
    return [SampleScore(case, _score(network, material, case)) for case in tqdm(todo, desc="evaluating", unit="face")]


def summary(outcomes: list[SampleScore]) -> list[Row]:
    """One row per group and bin of yaw, and one per group over all: count, missed and the mean of every figure."""
    rows = []
    for group in dict.fromkeys(outcome.case.group for outcome in outcomes):
        members = [outcome for outcome in outcomes if outcome.case.group == group]
        bins = [(f"{low}-{min(high, 90)}", [o for o in members if low <= o.case.yaw < high]) for low, high in YAW_BINS]
        rows += [_row(group, name, chosen) for name, chosen in [*bins, ("all", members)] if chosen]
    return rows


def table(rows: list[Row]) -> str:
    """The summary as markdown."""
    head = ("crop and set", "yaw", "faces", "missed", "IoU", "front depth, px", "normals, degrees", "surface error")
    digits = {"iou": 3, "front": 2, "normals": 1, "surface": 4}
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for row in rows:
        figures = [f"{row[name]:.{digits[name]}f}" for name in FIGURES]
        lines.append(
            f"| {' | '.join([str(row['group']), str(row['yaw']), str(row['faces']), str(row['missed']), *figures])} |"
        )
    return "\n".join(lines) + "\n"


def report(network: Predictor, outcomes: list[SampleScore], folder: Path) -> None:
    """Write metrics.json, metrics.md and worst.png, a sheet of the cases with the largest surface error."""
    rows = summary(outcomes)
    write_atomically(folder / "metrics.json", (json.dumps(rows, indent=1) + "\n").encode())
    write_atomically(folder / "metrics.md", table(rows).encode())
    scored = [outcome for outcome in outcomes if outcome.score is not None and not math.isnan(outcome.score.surface)]
    worst = sorted(scored, key=lambda outcome: -(outcome.score.surface if outcome.score else 0))[:WORST]
    if worst:
        pictures.save(folder / "worst.png", contact_sheet(network, worst))


def contact_sheet(network: Predictor, outcomes: list[SampleScore]) -> Image:
    """Photo, overlay, front and sides of each outcome, with its name and surface error."""
    rows, captions = [], []
    for outcome in outcomes:
        if outcome.case.to_crop is None or outcome.score is None:
            continue
        crop = augment.warp(outcome.case.source.image, outcome.case.to_crop)
        rows.append(pictures.row(crop, surface_of(network.field(crop))))
        captions.append(f"{outcome.case.group} {outcome.case.name}: {outcome.score.surface:.3f}")
    return pictures.sheet(rows, captions)


def _score(network: Predictor, material: Material, case: Case) -> Score | None:
    if case.to_crop is None:
        return None
    crop = augment.warp(case.source.image, case.to_crop)
    vertices = material.vertices([case.source.photo])[0]
    target = material.target(case.source, vertices, case.to_crop, network.grid)
    return score(network.field(crop), target, transform(case.to_crop, case.source.landmarks))


def _found(finder: Finder, source: SampleSource) -> Floats | None:
    """The crop of the face nearest to the middle of the picture, as the photos are centred on theirs."""
    faces = finder.find(source.image)
    if not faces:
        return None
    middle = source.landmarks[:, :2].mean(0)
    nearest = min(faces, key=lambda face: float(np.linalg.norm(face.landmarks_px[:, :2].mean(0) - middle)))
    return nearest.crop.to_crop()


def _row(group: str, yaw: str, outcomes: list[SampleScore]) -> Row:
    figures = np.array([[asdict(o.score)[name] for name in FIGURES] for o in outcomes if o.score is not None])
    missed = sum(outcome.missed for outcome in outcomes)
    means = np.nanmean(figures, 0) if len(figures) else np.full(len(FIGURES), math.nan)
    return {"group": group, "yaw": yaw, "faces": len(outcomes), "missed": missed} | dict(
        zip(FIGURES, means.tolist(), strict=True)
    )
