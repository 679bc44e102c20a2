"""How much better three photos are than one: validation heads, rendered with their textures from three sides.

Every view has a light and an exposure of its own. The truth is the head that was rendered: its surface, and its texture
in the light of the view over which the mesh is laid. What is measured of each mesh:

surface, normals, front, head   as in `evaluate`, in the frame of the view
hidden    dB, the colours at vertices that the frontal view hides and a view from the side shows
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from tqdm import tqdm

from selfie3d.types import LeftOut, Mesh
from selfie3d.types.frames import transform, upright
from selfie3d_training.dataset import SampleSource
from selfie3d_training.guided.evaluate import HeadScore, Truth
from selfie3d_training.guided.evaluate_colour import depth_offset, outside, shown
from selfie3d_training.guided.loss import vertex_areas
from selfie3d_training.head import Head, yaw_degrees
from selfie3d_training.metrics import Surface
from selfie3d_training.photos import Photos
from selfie3d_training.raster import EMPTY, rasterise
from selfie3d_training.turn import photo_matrix, turn, vertex_texture
from vrn.avatar.agreement import identity_mm, left_out
from vrn.avatar.model import HeadModel
from vrn.avatar.photo_head import PhotoHead
from vrn.errors import VrnError
from vrn.meshing.normals import vertex_normals
from vrn.network.heads import HeadNetwork
from vrn.pipeline import Reconstructor

YAWS = (0.0, -40.0, 40.0)  # degrees of the views; the first is the frontal one
NEAR_FRONTAL = 12.0  # degrees, of the photos that are turned
BLUR_PX = 3.0  # of spoilt views, whose faces are 90 px
SPACING_PX = 2.0  # head crop px between the points whose colours are compared
FIGURES = ("surface", "normals", "front", "head")  # of a HeadScore
SHADE, EXPOSURE = 0.25, 0.12  # spread of the logarithm of brightness: by the normal, and of each channel

Floats = NDArray[np.float64]
Image8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Light:
    """direction : (3,) towards the light, camera frame with y up; gains : (3,) of the channels."""

    direction: Floats
    gains: Floats

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Light:
        direction = rng.normal(0, 1, 3)
        direction[2] = abs(direction[2])
        return cls(direction / np.linalg.norm(direction), np.exp(rng.normal(0, EXPOSURE, 3)))

    def on(self, normals: Floats) -> Floats:
        """(n, 3) - what colours at points with these normals, (n, 3), are multiplied by."""
        return np.asarray(np.exp(SHADE * normals @ self.direction)[:, None] * self.gains)


@dataclass(frozen=True)
class RenderedHead:
    """A head seen from YAWS.

    Attributes
    ----------
    views, lights : one for each yaw
    coefficients : (k,) - of the head; head : (v, 3) cm, head frame
    texture : (v, 3) - sRGB 0..255 of its vertices, without light
    hidden : vertices that the first view hides and another one shows
    """

    views: list[SampleSource]
    lights: list[Light]
    coefficients: NDArray[np.floating]
    head: Floats
    texture: Floats
    hidden: NDArray[np.intp]


def rendered_heads(photos: Photos, head: Head, model: HeadModel, ids: Iterable[int]) -> Iterator[RenderedHead]:
    """The heads of photos; the same photo gives the same views."""
    for photo in ids:
        labels, rng = photos.labels, np.random.default_rng(photo)
        rows = slice(photo, photo + 1)
        vertices = head.vertices(labels.identity[rows], labels.expression[rows])[0]
        matrix, image = photo_matrix(photos, photo), photos.image(photo)
        views, lights = [], []
        for yaw in YAWS:
            view = turn(head, image, vertices, matrix, yaw - yaw_degrees(matrix), 0.0, photo)
            lights.append(Light.drawn(rng))
            lit = lit_view(head, vertices, view.image, view.matrix, lights[-1])
            views.append(SampleSource(lit, photo, view.matrix, view.landmarks))
        cm = vertices.astype(np.float64)
        seen = [shown(model, cm, view) for view in views]
        maybe = shown(model, cm, views[0], sure=False)
        hidden = np.flatnonzero(outside(model) & ~maybe & (seen[1] | seen[2]))
        coefficients = np.concatenate([labels.identity[photo], labels.expression[photo]])
        yield RenderedHead(views, lights, coefficients, cm, vertex_texture(head, image, vertices, matrix), hidden)


def frontal_ids(photos: Photos, residual: NDArray[np.floating], most_residual: float, count: int) -> list[int]:
    """So many near-frontal validation photos with good fits, spread over all."""
    ids = photos.ids("val")
    ids = ids[(residual[ids] <= most_residual) & (np.abs(photos.labels.yaw[ids]) < NEAR_FRONTAL)]
    return [int(i) for i in ids[:: max(len(ids) // count, 1)][:count]]


@dataclass(frozen=True)
class SnapshotScore:
    """A mesh against the rendered head: see the module's text."""

    shape: HeadScore
    hidden: float


def score(case: RenderedHead, number: int, mesh: Mesh, truth: Truth) -> SnapshotScore:
    """number : of the view in whose frame the mesh lies; truth : of that view."""
    view = case.views[number]
    found = transform(mesh.mesh_to_photo, mesh.vertices)
    place = transform(view.matrix, case.head)
    normals = vertex_normals(upright(place).astype(np.float32), truth.triangles).astype(np.float64)
    lit = np.clip(case.texture * case.lights[number].on(normals), 0, 255)[case.hidden]
    moved = found + np.array([0.0, 0.0, depth_offset(place, found)])
    nearest = cKDTree(moved).query(place[case.hidden])[1]
    error = mesh.colours[nearest][:, :3].astype(np.float64) - lit
    shape = truth.score(Surface(found, mesh.triangles.astype(np.int64)))
    return SnapshotScore(shape, float(10 * np.log10(255**2 / (error**2).mean())))


def compare(
    reconstructor: Reconstructor, model: HeadModel, cases: Iterable[RenderedHead]
) -> dict[str, list[SnapshotScore]]:
    """Each view alone, the sides together and all together, on the heads of which every method made a mesh."""
    areas = vertex_areas(model)
    results: dict[str, list[SnapshotScore]] = {}
    for case in tqdm(cases, desc="snapshots", unit="head", mininterval=5):
        truths = [Truth(model, view, case.coefficients, areas) for view in case.views]
        pictures = [_png(view.image) for view in case.views]
        sets = {"front": [0], "left": [1], "right": [2], "left + right": [1, 2], "front + left + right": [0, 1, 2]}
        try:
            row = {name: _score_set(reconstructor, case, pictures, truths, which) for name, which in sets.items()}
        except VrnError:
            continue
        for name, scored in row.items():
            results.setdefault(name, []).append(scored)
    return results


def _score_set(
    reconstructor: Reconstructor, case: RenderedHead, pictures: list[bytes], truths: list[Truth], which: list[int]
) -> SnapshotScore:
    result = reconstructor.reconstruct([pictures[k] for k in which], one_person=True)
    reference = which[int(np.argmax([view.weight for view in result.views]))]
    return score(case, reference, result.mesh, truths[reference])


def table(results: dict[str, list[SnapshotScore]]) -> str:
    """As markdown."""
    lines = [
        "| photos | heads | surface error | normals, degrees | front, px | head, mm | hidden colours, dB |",
        "|" + " --- |" * 7,
    ]
    for name, scored in results.items():
        surface, normals, front, head = (
            float(np.nanmean([getattr(each.shape, figure) for each in scored])) for figure in FIGURES
        )
        hidden = float(np.mean([each.hidden for each in scored]))
        lines.append(
            f"| {name} | {len(scored)} | {surface:.4f} | {normals:.2f} | {front:.2f} | {head:.2f} | {hidden:.2f} |"
        )
    return "\n".join(lines) + "\n"


def persons(
    reconstructor: Reconstructor, heads: HeadNetwork, cases: Iterable[RenderedHead], offsets: Iterable[int]
) -> tuple[Floats, Floats]:
    """mm between the identity of a view and that of two others: of the same head, and of heads `offsets` further on."""
    rows = [[_snapshot(reconstructor, heads, view) for view in case.views] for case in cases]
    people = [[each for each in row if each is not None] for row in rows]
    people = [row for row in people if len(row) == len(YAWS)]
    same, others = [], []
    for n, row in enumerate(people):
        for k, one in enumerate(row):
            rest = [each for each in row if each is not one]
            same.append(identity_mm(one, rest))
            others += [identity_mm(people[(n + offset) % len(people)][k], rest) for offset in offsets]
    return np.array(same), np.array(others)


@dataclass(frozen=True)
class Alarms:
    """How often a photo is left out, shares of the views.

    false : {reason: share} of views that all show the person well
    blurred, covered : of views that were blurred by BLUR_PX, or of whose face all under the eyes was painted over
    """

    false: dict[str, float]
    blurred: float
    covered: float


def alarms(reconstructor: Reconstructor, heads: HeadNetwork, cases: Iterable[RenderedHead]) -> Alarms:
    """One view of every head is spoilt in turn; the other two stay as they are."""
    views, false, blurred, covered = 0, Counter[str](), 0, 0
    for case in cases:
        good = [_snapshot(reconstructor, heads, view, n) for n, view in enumerate(case.views)]
        if any(each is None for each in good):
            continue
        clear = [each for each in good if each is not None]
        views += len(clear)
        false.update(str(reason) for reason in left_out(clear).values())
        for n, view in enumerate(case.views):
            for spoilt, expected in ((_blurred(view), LeftOut.BLURRED), (_masked(view, n), LeftOut.COVERED)):
                one = _snapshot(reconstructor, heads, spoilt, n)
                found = one is None or left_out([*clear[:n], one, *clear[n + 1 :]]).get(n) == expected
                blurred += found and expected is LeftOut.BLURRED
                covered += found and expected is LeftOut.COVERED
    total = max(views, 1)
    return Alarms({reason: count / total for reason, count in false.items()}, blurred / total, covered / total)


def _blurred(view: SampleSource) -> SampleSource:
    return replace(view, image=np.asarray(gaussian_filter(view.image, (BLUR_PX, BLUR_PX, 0)), np.uint8))


def _masked(view: SampleSource, seed: int) -> SampleSource:
    """A mask of one colour from the nose's bridge to the chin, from cheek to cheek."""
    outline = np.concatenate([view.landmarks[2:15, :2], view.landmarks[28:29, :2]])
    colour = np.random.default_rng((view.photo, seed)).integers(0, 256, 3)
    image = Image.fromarray(view.image)
    ImageDraw.Draw(image).polygon([tuple(point) for point in outline.tolist()], fill=tuple(colour.tolist()))
    return replace(view, image=np.asarray(image))


def _snapshot(reconstructor: Reconstructor, heads: HeadNetwork, view: SampleSource, index: int = 0) -> PhotoHead | None:
    face = reconstructor.main_face(view.image)
    return None if face is None else PhotoHead.of(index, view.image, face, heads.head(view.image, face), SPACING_PX)


def lit_view(head: Head, vertices: NDArray[np.float32], image: Image8, matrix: Floats, light: Light) -> Image8:
    """The view in a light: the head by its normals, the background by the exposure alone."""
    place = transform(matrix, vertices)
    _, triangle, _ = rasterise(place, head.triangles, *image.shape[:2])
    normals = vertex_normals(upright(place).astype(np.float32), head.triangles).astype(np.float64)
    shade = np.log(light.on(normals) / light.gains)[:, 0]
    of_pixel = np.where(triangle != EMPTY, shade[head.triangles[np.maximum(triangle, 0)]].mean(-1), 0)
    factor = np.exp(gaussian_filter(of_pixel, 2.0))[..., None] * light.gains
    return np.asarray(np.clip(image * factor, 0, 255), np.uint8)


def _png(image: Image8) -> bytes:
    out = BytesIO()
    Image.fromarray(image).save(out, "PNG", compress_level=1)
    return out.getvalue()
