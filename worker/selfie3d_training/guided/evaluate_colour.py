"""How well hidden colours are completed: a photo is turned, reconstructed, and what the turn hid is compared with it.

The truth are the photo's colours at the vertices of the fitted head that the photo shows and the turned view hides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from tqdm import tqdm

from selfie3d.types import Mesh, Options
from selfie3d.types.frames import transform, upright
from selfie3d_training.dataset import SampleSource
from selfie3d_training.guided.pairs import HeadMaterial
from selfie3d_training.head import yaw_degrees
from vrn.avatar.model import EYE_PART, MOUTH_PART, HeadModel
from vrn.avatar.raster import crossings, foremost
from vrn.errors import VrnError
from vrn.meshing.normals import vertex_normals
from vrn.pipeline import Reconstructor

NEAR_FRONTAL, TURN = 20.0, (45.0, 75.0)  # degrees
FACING = 0.35  # least cosine between normal and view of a vertex whose colour the photo surely shows
COLUMNS, BEHIND_PX = 192, 2.0  # of the depth buffer, and how far behind it a vertex is hidden

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ColourCase:
    """A photo, the view that it was turned to, and the vertices that only the photo shows."""

    photo: SampleSource
    view: SampleSource
    head: Floats  # (v, 3) cm, head frame
    hidden: NDArray[np.intp]

    @property
    def truth(self) -> Floats:
        """(n, 3) - the photo's colours at the hidden vertices."""
        x, y, _ = transform(self.photo.matrix, self.head[self.hidden]).T
        bands = np.moveaxis(self.photo.image.astype(np.float64), 2, 0)
        return np.stack([map_coordinates(band, [y, x], order=1, mode="nearest") for band in bands], 1)


def colour_cases(material: HeadMaterial, count: int) -> list[ColourCase]:
    """The first turned views of near-frontal photos."""
    cases = []
    for index in range(len(material.views)):
        view = material.of_view(index)
        photo = material.of_photo(view.photo)
        before, after = yaw_degrees(photo.matrix), yaw_degrees(view.matrix)
        if abs(before) > NEAR_FRONTAL or not TURN[0] <= abs(after - before) <= TURN[1]:
            continue
        head = material.model.vertices(material.coefficients[view.photo]).astype(np.float64)
        by_photo_alone = shown(material.model, head, photo) & ~shown(material.model, head, view, sure=False)
        cases.append(ColourCase(photo, view, head, np.flatnonzero(by_photo_alone & outside(material.model))))
        if len(cases) == count:
            break
    return cases


def outside(model: HeadModel) -> NDArray[np.bool_]:
    """(v,) - vertices of skin and scalp."""
    inside = np.zeros(len(model.neutral), bool)
    inside[model.triangles[np.isin(model.parts, (EYE_PART, MOUTH_PART))]] = True
    return ~inside


def shown(model: HeadModel, head: Floats, source: SampleSource, *, sure: bool = True) -> NDArray[np.bool_]:
    """(v,) - whether a picture shows each vertex; not sure: whether it may."""
    place = transform(source.matrix, head)
    size = source.image.shape[0]
    scaled = place * (COLUMNS / size)
    triangle, _, depth = foremost(crossings(scaled, model.triangles, COLUMNS, COLUMNS), COLUMNS, COLUMNS)
    front = np.where(triangle >= 0, depth, -np.inf)
    x, y = (np.rint(scaled[:, k]).astype(int) for k in (0, 1))
    within = (x >= 0) & (y >= 0) & (x < COLUMNS) & (y < COLUMNS)
    behind = front[y.clip(0, COLUMNS - 1), x.clip(0, COLUMNS - 1)] - scaled[:, 2]
    facing = upright(vertex_normals(upright(place), model.triangles))[:, 2]
    if sure:
        return np.asarray(within & (facing > FACING) & (behind < BEHIND_PX))
    return np.asarray(within & (facing > 0.05) & (behind < 2 * BEHIND_PX))


def psnr(case: ColourCase, mesh: Mesh) -> float:
    """dB, of a mesh that was made of the case's view."""
    place = transform(case.view.matrix, case.head)
    found = transform(mesh.mesh_to_photo, mesh.vertices)
    found[:, 2] += depth_offset(place, found)
    nearest = cKDTree(found).query(place[case.hidden])[1]
    error = mesh.colours[nearest][:, :3].astype(np.float64) - case.truth
    return float(10 * np.log10(255**2 / (error**2).mean()))


def depth_offset(place: Floats, found: Floats) -> float:
    """px - from the mesh's zero of depth to the fitted head's, by their foremost points."""
    tree = cKDTree(found[:, :2])
    pairs = tree.query_ball_point(place[::20, :2], 2.0)
    shifts = [z - found[near, 2].max() for z, near in zip(place[::20, 2], pairs, strict=True) if near]
    return float(np.quantile(shifts, 0.9)) if shifts else 0.0


def evaluate_colours(
    cases: Iterable[ColourCase], methods: dict[str, tuple[Reconstructor, Options]]
) -> dict[str, Floats]:
    """(n,) dB of every method on every case; NaN where it found no face."""
    results: dict[str, list[float]] = {name: [] for name in methods}
    for case in tqdm(cases, desc="colours", unit="view", mininterval=5):
        for name, (reconstructor, options) in methods.items():
            mesh = _mesh(reconstructor, case.view, options)
            results[name].append(psnr(case, mesh) if mesh is not None else float("nan"))
    return {name: np.array(values) for name, values in results.items()}


def _mesh(reconstructor: Reconstructor, view: SampleSource, options: Options) -> Mesh | None:
    out = BytesIO()
    Image.fromarray(view.image).save(out, "PNG")
    try:
        return reconstructor.reconstruct(out.getvalue(), options).mesh
    except VrnError:
        return None
