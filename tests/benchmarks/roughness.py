"""How rough the astronaut's head and face are, region by region: python -m tests.benchmarks.roughness

The mean angle between neighbouring triangles counts shape as well as roughness, and more of both where triangles are
larger. So both meshes are compared on the same regions, and beside the angle stands the bend: angle times length of the
edges, added up and divided by twice the area. On a smooth surface that is its mean curvature, whatever its triangles.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from selfie3d.types import Detail, Extent, Mesh, Options
from selfie3d.types.frames import transform
from tests.photos import astronaut
from vrn.avatar.features import EYES, LIPS, NOSTRILS
from vrn.avatar.model import EYE_PART, MOUTH_PART, HeadModel
from vrn.avatar.places import JAW, ear, scalp
from vrn.avatar.whole_head import WholeHead
from vrn.network.heads import load_heads
from vrn.pipeline import Reconstructor

FEATURE_CM = 0.9  # around the landmarks of a feature, as in `vrn.avatar.features`
NOSE_CM = (2.0, -2.3, 3.0)  # |x| under the first, y between the others on the neutral head
FOREHEAD_CM, CHIN_CM = 4.2, -4.8  # y above, under
FACE_Z_CM = 3.0  # what lies further back is no face: there the volume of the face is cut
PLAIN = ("cheeks", "forehead", "nose", "chin")  # without lids, lips and nostrils
REGIONS = (*PLAIN, "eyes", "lips", "nostrils", "mouth", "ears", "scalp", "neck", "sides")


@dataclass(frozen=True)
class Edges:
    """The edges of a mesh in mm: (e,) each, and the area of its triangles by their region."""

    angle: NDArray[np.floating]  # degrees
    length: NDArray[np.floating]
    region: NDArray[np.str_]
    area: dict[str, float]

    @classmethod
    def of(cls, mesh: Mesh, whole: WholeHead) -> Edges:
        solid = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
        model = transform(whole.crop.to_photo(), whole.vertices)
        _, nearest = cKDTree(model).query(transform(mesh.mesh_to_photo, solid.triangles_center))
        of_triangle = regions(whole.model)[nearest]
        first, second = of_triangle[solid.face_adjacency].T
        ends = solid.vertices[solid.face_adjacency_edges]
        length = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
        area = {name: float(solid.area_faces[of_triangle == name].sum()) for name in REGIONS}
        angle = np.degrees(solid.face_adjacency_angles)
        return cls(angle, length, np.where(first == second, first, ""), area)

    def mean(self, *names: str) -> float:
        """Mean angle, degrees."""
        some = np.isin(self.region, names)
        return float(self.angle[some].mean()) if some.any() else float("nan")

    def bend(self, *names: str) -> float:
        """Degrees per mm."""
        some = np.isin(self.region, names)
        area = sum(self.area[name] for name in names)
        return float((self.angle[some] * self.length[some]).sum() / (2 * area)) if area else float("nan")


def regions(model: HeadModel) -> NDArray[np.str_]:
    """(v,) - the region of each vertex of the head model."""
    x, y, z = model.neutral.T
    names = np.full(len(model.neutral), "cheeks", dtype="<U8")
    names[y > FOREHEAD_CM] = "forehead"
    names[y < CHIN_CM] = "chin"
    names[(np.abs(x) < NOSE_CM[0]) & (y > NOSE_CM[1]) & (y < NOSE_CM[2])] = "nose"
    names[z < FACE_Z_CM] = "sides"
    landmarks = model.landmarks(model.neutral)
    for name, of_feature in (("eyes", EYES), ("lips", LIPS), ("nostrils", NOSTRILS)):
        away, _ = cKDTree(landmarks[list(of_feature)]).query(model.neutral)
        names[away <= FEATURE_CM] = name
    names[scalp(model.neutral) > 0.5] = "scalp"
    names[model.neutral @ JAW[:3] + JAW[3] < 0] = "neck"
    names[ear(model.neutral) > 0.5] = "ears"
    names[np.unique(model.triangles[model.parts == EYE_PART])] = "eyes"
    names[np.unique(model.triangles[model.parts == MOUTH_PART])] = "mouth"
    return names


def main() -> None:
    """Print the table."""
    photo = astronaut()
    reconstructor, heads = Reconstructor.open(device="cpu"), load_heads()
    image = np.asarray(Image.open(BytesIO(photo)).convert("RGB"))
    face = reconstructor.main_face(image)
    if face is None or heads is None:
        raise SystemExit("no face, or no heads")
    whole = heads.head(image, face)
    meshes = [(extent, detail) for detail in (Detail.STANDARD, Detail.FULL) for extent in (Extent.FACE, Extent.HEAD)]
    edges = [
        Edges.of(reconstructor.reconstruct(photo, Options(detail=detail, extent=extent)).mesh, whole)
        for extent, detail in meshes
    ]
    titles = [f"{extent.value}, {detail.value}" for extent, detail in meshes]
    print(" | ".join(["| region", *(f"{title}: angle | bend" for title in titles)]) + " |\n" + "| --- " * 9 + "|")
    rows = {"all": REGIONS, "face without its features": PLAIN, **{name: (name,) for name in REGIONS}}
    for title, names in rows.items():
        cells = [f"{_cell(each.mean(*names))} | {_cell(each.bend(*names))}" for each in edges]
        print(" | ".join([f"| {title}", *cells]) + " |")


def _cell(figure: float) -> str:
    return "-" if np.isnan(figure) or figure == 0 else f"{figure:.2f}"


if __name__ == "__main__":
    main()
