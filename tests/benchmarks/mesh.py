"""Our mesh against the original's recipe, on the same volumes, in one run: python -m tests.benchmarks.mesh [FOLDER].

Prints the table of docs/mesh.md; with a folder, also writes its pictures there. The faces are the astronaut of
scikit-image as photographed, and two photos of her turned to three-quarter and profile with our own textured mesh.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one core, before NumPy starts its threads

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from PIL import Image

from selfie3d.types import Detail, Extent, Format, Mesh, Options
from selfie3d.types.frames import Grid
from tests.benchmarks import original
from tests.photos import astronaut
from vrn import (
    AlignedFace,
    Field,
    Reconstructor,
    extract_surface,
    preview_sheet,
    turntable,
)
from vrn.crop import resample
from vrn.files.export import encode
from vrn.meshing.face_surface import FaceSurface
from vrn.meshing.normals import vertex_normals
from vrn.render.preview import view

RUNS = 9
VIEWS = {"frontal": 0.0, "three-quarter": 40.0, "profile": 75.0}  # degrees
PHOTO_PX = 400
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    face: str
    recipe: str
    mesh: trimesh.Trimesh
    size: int
    seconds: float

    def __str__(self) -> str:
        roughness = np.degrees(self.mesh.face_adjacency_angles.mean())
        watertight = "yes" if self.mesh.is_watertight else "no"
        cells = [
            self.face,
            self.recipe,
            watertight,
            self.mesh.body_count,
            f"{roughness:.1f}°",
            f"{len(self.mesh.vertices):,}",
            f"{len(self.mesh.faces):,}",
            f"{self.size / 1e6:.1f} MB",
            f"{1e3 * self.seconds:.0f} ms",
        ]
        return "| " + " | ".join(map(str, cells)) + " |"


def main(folder: Path | None) -> None:
    torch.set_num_threads(1)
    reconstructor = Reconstructor.open(device="cpu")
    print("| face | recipe | watertight | bodies | roughness | vertices | triangles | file | one core |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    sheets = []
    for name, photo in photos(reconstructor).items():
        face, field = seen(reconstructor, photo)
        theirs, theirs_row = original_row(name, photo, face, field)
        rows = [ours_row(name, photo, face, field, detail)[1] for detail in Detail]
        paper = paper_field(field)
        rows.append(ours_row(name, photo, face, paper, Detail.STANDARD, " of the 192 x 192 x 200 volume")[1])
        ours, standard = ours_row(name, photo, face, field, Detail.STANDARD)
        print(theirs_row, *rows, sep="\n")
        print(f"{name}: {theirs_row.seconds / standard.seconds:.0f} times faster at standard detail", file=sys.stderr)
        sheets.append(side_by_side(photo, theirs, ours))
        if folder and name == "frontal":
            show(folder, reconstructor)
    if folder:
        save(np.concatenate(sheets), folder / "mesh-original-and-ours.jpg")
    balls()


def photos(reconstructor: Reconstructor) -> dict[str, NDArray[np.uint8]]:
    """(H, W, 3) uint8 each: the photo itself, and the textured mesh turned before a plain background."""
    mesh = reconstructor.reconstruct(astronaut(), Options(detail=Detail.FULL, extent=Extent.FACE)).faces[0].mesh
    turned = {name: view(mesh, yaw, PHOTO_PX)[0] for name, yaw in VIEWS.items() if yaw}
    return {"frontal": np.asarray(Image.open(BytesIO(astronaut())).convert("RGB")), **turned}


def seen(reconstructor: Reconstructor, photo: NDArray[np.uint8]) -> tuple[AlignedFace, Field]:
    """The face that the pipeline takes, and its volume."""
    face = reconstructor._finder.find(photo)[0]
    return face, reconstructor._network.field(resample(photo, face.crop))


def original_row(name: str, photo: NDArray[np.uint8], face: AlignedFace, field: Field) -> tuple[Mesh, Row]:
    volume, crop = original.byte_volume(field), resample(photo, face.crop)

    def work() -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.uint8], bytes]:
        found = original.mesh(volume, crop)
        return *found, original.obj(*found)

    (vertices, triangles, colours, text), seconds = fastest(work, 3)
    row = Row(name, "original", trimesh.Trimesh(vertices * [1, -1, 1], triangles, process=False), len(text), seconds)
    ours = FaceSurface.of(field, face, Options(detail=Detail.PREVIEW)).coloured(photo, face)
    upright = (vertices * [1, -1, 1]).astype(np.float32)
    px_per_mm = np.linalg.norm(ours.mesh_to_photo[:3, 0]) * face.crop.scale
    middle = (upright.min(0) + upright.max(0)) / 2
    placed = ((upright - middle) / px_per_mm).astype(np.float32)
    shown = replace(
        ours, vertices=placed, triangles=triangles, normals=vertex_normals(placed, triangles), colours=colours
    )
    return shown, row


def ours_row(
    name: str, photo: NDArray[np.uint8], face: AlignedFace, field: Field, detail: Detail, note: str = ""
) -> tuple[Mesh, Row]:
    options = Options(Format.PLY, detail)

    def work() -> tuple[Mesh, int]:
        mesh = FaceSurface.of(field, face, options).coloured(photo, face)
        return mesh, len(encode(mesh, options).data)

    (mesh, size), seconds = fastest(work, RUNS)
    solid = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
    return mesh, Row(name, f"ours, {detail}{note}", solid, size, seconds)


def paper_field(field: Field) -> Field:
    """The same volume on the paper's grid, float."""
    probability = np.asarray(original.byte_volume(field) / 255, np.float32)
    return Field(probability, Grid.paper(), 0.5)


def fastest(work: Callable[[], T], runs: int) -> tuple[T, float]:
    """The result and the least CPU time of several runs: other programs on the machine add, they never take away."""
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return result, min(seconds)


def balls() -> None:
    """Roughness of a ball of 40 px, whose surface is known."""
    grid = Grid.blocks(96, 100)
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    places = np.stack([i, j, k], -1) * np.array(grid.step) + np.array(grid.origin)
    field = Field((40 - np.linalg.norm(places - [95.5, 95.5, 50], axis=-1)).astype(np.float32), grid, 0.0)
    vertices, triangles, _ = original.mesh(original.byte_volume(field), np.zeros((192, 192, 3), np.uint8))
    angles = [trimesh.Trimesh(vertices, triangles, process=False).face_adjacency_angles.mean()]
    for detail in (Detail.STANDARD, Detail.FULL):
        solid = trimesh.Trimesh(*extract_surface(field, detail), process=False)
        angles.append(solid.face_adjacency_angles.mean())
    print("\nball: original {:.1f}°, ours standard {:.1f}°, full {:.1f}°".format(*np.degrees(angles)))


def side_by_side(photo: NDArray[np.uint8], *meshes: Mesh) -> NDArray[np.uint8]:
    """A photo, and each mesh three-quarter, frontal and in profile, coloured over clay."""
    size = 240
    square = Image.fromarray(photo).resize((size * 2, size * 2))
    columns = [np.asarray(square)]
    for mesh in meshes:
        side = 1 if mesh.pose.yaw >= 0 else -1
        for yaw in (0.0, 50.0 * side, -50.0 * side):
            columns.append(np.concatenate(view(mesh, yaw, size, clay=(False, True))))
    return np.concatenate(columns, 1)


def show(folder: Path, reconstructor: Reconstructor) -> None:
    """The other pictures of the page, and how long a preview takes."""
    folder.mkdir(parents=True, exist_ok=True)
    mesh = reconstructor.reconstruct(astronaut(), Options(format=Format.GLB, textured=True)).faces[0].mesh
    for draw in (preview_sheet, turntable):
        print(f"{draw.__name__}: {1e3 * fastest(lambda draw=draw: draw(mesh), 3)[1]:.0f} ms", file=sys.stderr)  # type: ignore[misc]
    printable = reconstructor.reconstruct(astronaut(), Options(printable=True)).faces[0].mesh
    (folder / "mesh-printable.png").write_bytes(preview_sheet(printable, 160))
    if mesh.texture:
        save(mesh.texture.image, folder / "mesh-texture.jpg")


def save(picture: NDArray[np.uint8], path: Path) -> None:
    Image.fromarray(picture).save(path, optimize=True, quality=88)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
