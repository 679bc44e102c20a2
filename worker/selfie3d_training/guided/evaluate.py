"""How well whole heads fit: surfaces of any method against the fitted heads, on photos and turned views, by yaw.

Every surface is brought to the crop frame of the labels' landmarks, so that methods with crops of their own compare:

surface   mean distance of the 68 true landmarks to it, depth offset removed, over the outer-eye distance
normals   degrees, mean angle between its front's normals and the fitted head's inside the hull of the landmarks
front     px, mean absolute difference of the front's depth there, median removed
head      mm, mean distance from the fitted head, all of it above the neck's cut, to the surface, offset removed
cavity    mm, how far the surface between open lips lies behind them; only where the fitted lips are open by 10 % of
          the face and more
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from tqdm import tqdm

from selfie3d.types import Options
from selfie3d.types.frames import FACE_SIZE, OUTER_EYE_CORNERS, OUTER_EYE_MM, Crop, Grid, transform
from selfie3d_training.dataset import SampleSource, _hull
from selfie3d_training.evaluate import YAW_BINS, Predictor
from selfie3d_training.guided.pairs import HeadMaterial
from selfie3d_training.head import yaw_degrees
from selfie3d_training.metrics import Surface, distances, normal_angle, surface_error, surface_of
from selfie3d_training.raster import EMPTY, rasterise
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.model import HeadModel
from vrn.avatar.whole_head import WholeHead
from vrn.crop import resample
from vrn.finder.dense import DenseAligner
from vrn.finder.face import AlignedFace, Finder
from vrn.meshing.field import Field
from vrn.network.guided_load import GuidedNetwork

HEAD_COLUMNS = 128  # of the guided heads' volumes
POINTS = 400  # of the fitted head, evenly over its vertices' areas
COLUMNS = 96
INNER_LIPS = (62, 66)  # landmarks in the middle of the inner rims, upper and lower
OPEN_MOUTH = 0.10  # gap between them, share of the face's size

Floats = NDArray[np.float64]
Method = Callable[[SampleSource], Surface | None]  # the surface in the picture frame, or None where no face was found


@dataclass(frozen=True)
class HeadScore:
    """See the module's text."""

    surface: float
    normals: float
    front: float
    head: float
    cavity: float


class Truth:
    """The fitted head of a source in the crop frame of its landmarks."""

    def __init__(
        self, model: HeadModel, source: SampleSource, coefficients: NDArray[np.floating], areas: Floats
    ) -> None:
        self.to_crop = Crop.of_landmarks(source.landmarks).to_crop()
        self.landmarks = transform(self.to_crop, source.landmarks)
        matrix = self.to_crop @ source.matrix
        head = model.vertices(coefficients)
        self.triangles = model.triangles
        self.vertices = transform(matrix, head)
        self.grid = Grid.blocks(COLUMNS, 100)
        self.front = front_of(Surface(self.vertices, model.triangles), self.grid)
        self.lips = np.asarray(model.landmarks(self.vertices), np.float64)[list(INNER_LIPS)]
        self.open = float(np.linalg.norm(self.lips[1, :2] - self.lips[0, :2])) > OPEN_MOUTH * FACE_SIZE
        self.hull = _hull(np.asarray(model.landmarks(self.vertices), np.float64), self.grid).astype(bool)
        plane = model.neck_plane(coefficients)
        above = np.flatnonzero(head @ plane[:3] + plane[3] > 0.3)
        chances = areas[above] / areas[above].sum()
        self.points = self.vertices[np.random.default_rng(0).choice(above, POINTS, p=chances)]
        eyes = self.landmarks[list(OUTER_EYE_CORNERS)]
        self.mm = OUTER_EYE_MM / float(np.linalg.norm(eyes[0] - eyes[1]))

    def score(self, in_picture: Surface) -> HeadScore:
        """Compare a surface in the picture frame."""
        surface = Surface(transform(self.to_crop, in_picture.vertices), in_picture.triangles)
        front = front_of(surface, self.grid)
        both = self.hull & np.isfinite(front) & np.isfinite(self.front)
        offset = float(np.median((self.front - front)[both])) if both.any() else float("nan")
        moved = Surface(surface.vertices + np.array([0.0, 0.0, offset]), surface.triangles)
        head = distances(moved, self.points, cKDTree(moved.vertices)).mean() if both.any() else float("nan")
        return HeadScore(
            surface_error(surface, self.landmarks),
            normal_angle(front, self.front.astype(np.float32), self.hull, self.grid),
            float(np.abs(self.front - front - offset)[both].mean()) if both.any() else float("nan"),
            float(head) * self.mm,
            self._cavity(front) * self.mm,
        )

    def _cavity(self, front: Floats) -> float:
        """px - from the lips of a surface back to what lies between them; NaN where the mouth is shut."""
        if not self.open:
            return float("nan")
        x, (top, bottom) = float(self.lips[:, 0].mean()), self.lips[:, 1].tolist()
        column, first, last = (round((place - self.grid.origin[0]) / self.grid.step[0]) for place in (x, top, bottom))
        middle = front[(first + last) // 2, column]
        lips = (front[first - 2 : first + 1, column], front[last : last + 3, column])
        return float(min(np.nanmax(lip) for lip in lips) - middle)


def front_of(surface: Surface, grid: Grid) -> Floats:
    """(height, width) float64 - crop depth of the surface's front in each column, NaN where there is none."""
    place = surface.vertices.copy()
    place[:, :2] = (place[:, :2] - np.array(grid.origin[:2])) / np.array(grid.step[:2])
    depth, shown, _ = rasterise(place, surface.triangles, grid.shape[1], grid.shape[2])
    return np.where(shown != EMPTY, depth, np.nan).astype(np.float64)


def surface_in_picture(field: Field, to_crop: Floats) -> Surface | None:
    """The surface of a field, moved from the field's frame to the picture's."""
    surface, to_picture = surface_of(field), np.asarray(np.linalg.inv(to_crop), np.float64)
    return None if surface is None else Surface(transform(to_picture, surface.vertices), surface.triangles)


@dataclass(frozen=True)
class HeadCase:
    """A picture to reconstruct, and the coefficients of the head that was fitted to it."""

    group: str
    source: SampleSource
    coefficients: NDArray[np.floating]


def evaluate(
    model: HeadModel, areas: Floats, cases: Iterable[HeadCase], methods: dict[str, Method]
) -> dict[str, list[tuple[HeadCase, HeadScore | None]]]:
    """Every method on every case; None where a method found no face."""
    results: dict[str, list[tuple[HeadCase, HeadScore | None]]] = {name: [] for name in methods}
    for case in tqdm(cases, desc="evaluating", unit="face", mininterval=5):
        truth = Truth(model, case.source, case.coefficients, areas)
        for name, method in methods.items():
            surface = method(case.source)
            results[name].append((case, None if surface is None else truth.score(surface)))
    return results


def table(results: dict[str, list[tuple[HeadCase, HeadScore | None]]]) -> str:
    """As markdown: one row per group, bin of yaw and method."""
    names = [field.name for field in fields(HeadScore)]
    lines = [
        "| set | yaw | faces | method | missed | surface error | normals, deg | front, px | head, mm | cavity, mm |",
        "|" + " --- |" * 10,
    ]
    first = next(iter(results.values()))
    groups = list(dict.fromkeys(case.group for case, _ in first))
    for group in groups:
        for low, high in (*YAW_BINS, (0, 180)):
            for method, scored in results.items():
                chosen = [
                    score
                    for case, score in scored
                    if case.group == group and low <= abs(yaw_degrees(case.source.matrix)) < high
                ]
                if not chosen:
                    continue
                figures = np.array([[asdict(s)[n] for n in names] for s in chosen if s is not None])
                surface, normals, front, head, cavity = _means(figures)
                yaw = "all" if high == 180 else f"{low}-{min(high, 90)}"
                lines.append(
                    f"| {group} | {yaw} | {len(chosen)} | {method} | {sum(s is None for s in chosen)} "
                    f"| {surface:.4f} | {normals:.2f} | {front:.2f} | {head:.2f} | {cavity:.1f} |"
                )
    return "\n".join(lines) + "\n"


def _means(figures: Floats) -> list[float]:
    """Of each column, without NaN; NaN for a column of nothing else."""
    return [float(column[~np.isnan(column)].mean()) if not np.isnan(column).all() else np.nan for column in figures.T]


def methods_of(finder: Finder, shipped: Predictor, dense: DenseAligner, network: GuidedNetwork) -> dict[str, Method]:
    """What is compared, each from the finder: the shipped hourglass, the guides alone and the guided network."""
    found = _OneFace(finder)

    def of(make: Callable[[SampleSource, AlignedFace], WholeHead]) -> Method:
        def method(source: SampleSource) -> Surface | None:
            face = found(source)
            if face is None:
                return None
            head = make(source, face)
            return surface_in_picture(head.field(HEAD_COLUMNS), head.crop.to_crop())

        return method

    def mesh(source: SampleSource) -> Surface | None:
        face = found(source)
        if face is None:
            return None
        whole = network.head(source.image, face.landmarks_px, points(source, face))
        surface = HeadSurface.of_head(whole, face, Options())
        return Surface(transform(whole.crop.to_photo(), surface.vertices), surface.triangles.astype(np.int64))

    def hourglass(source: SampleSource) -> Surface | None:
        face = found(source)
        if face is None:
            return None
        return surface_in_picture(shipped.field(resample(source.image, face.crop)), face.crop.to_crop())

    def points(source: SampleSource, face: AlignedFace) -> Floats:
        return dense.points(source.image, face.landmarks_px)

    return {
        "hourglass": hourglass,
        "guide, 68": of(lambda _, face: network.guide(face.landmarks_px)),
        "guide, 68 + 160": of(lambda source, face: network.guide(face.landmarks_px, points(source, face))),
        "guided network": of(lambda source, face: network.head(source.image, face.landmarks_px, points(source, face))),
        "its mesh": mesh,
    }


class _OneFace:
    """The face nearest to the middle of a source's landmarks; remembers the last one."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._last: tuple[SampleSource, AlignedFace | None] | None = None

    def __call__(self, source: SampleSource) -> AlignedFace | None:
        if self._last is None or self._last[0] is not source:
            middle = source.landmarks[:, :2].mean(0)
            faces = self._finder.find(source.image)
            nearest = min(
                faces,
                key=lambda face: float(np.linalg.norm(face.landmarks_px[:, :2].mean(0) - middle)),
                default=None,
            )
            self._last = source, nearest
        return self._last[1]


def cases_of(material: HeadMaterial, count: int, most_residual: float) -> list[HeadCase]:
    """So many validation photos, spread over all, and so many turned views of the material."""
    ids = material.ids("val", most_residual)
    ids = ids[:: max(len(ids) // count, 1)][:count]
    photos = [HeadCase("photos", material.of_photo(int(i)), material.coefficients[int(i)]) for i in ids]
    good = np.flatnonzero(material.residual[material.views.photos] <= most_residual)[:count]
    views = [material.of_view(int(k)) for k in good]
    return photos + [HeadCase("turned views", view, material.coefficients[view.photo]) for view in views]
