"""Pictures of whole heads: python -m tests.benchmarks.head docs/pictures

The photos are scikit-image's astronaut (NASA, public domain), changed, and pictures of her own mesh, turned.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from selfie3d.types import Detail, Extent, Mesh, Options, Pose
from tests.photos import astronaut
from vrn.pipeline import Reconstructor
from vrn.render.preview import MARGIN, preview_sheet, turntable, view
from vrn.render.render import render

Picture = NDArray[np.uint8]

SIZE = 180  # px of a view
PHOTO_PX = 512
VIEWS = (0.0, -40.0, 40.0, -88.0, 88.0, 180.0)  # degrees of yaw
ABOVE = Pose(20.0, -50.0, 0.0)
TURNS = ((-35.0, 0.0), (60.0, 0.0), (-50.0, 0.0), (0.0, 25.0), (0.0, -25.0), (40.0, 15.0))  # yaw and pitch, degrees


def main(folder: Path) -> None:
    """Write heads.jpg, heads-clay.jpg, astronaut.png and mesh-turntable.webp."""
    reconstructor = Reconstructor.open(device="cpu")
    mesh = reconstructor.reconstruct(astronaut()).mesh
    (folder / "astronaut.png").write_bytes(preview_sheet(mesh))
    (folder / "mesh-turntable.webp").write_bytes(turntable(mesh))
    rows = [row(reconstructor, photo) for photo in photos(reconstructor)]
    for name, index in (("heads.jpg", 0), ("heads-clay.jpg", 1)):
        Image.fromarray(np.concatenate([both[index] for both in rows])).save(folder / name, optimize=True, quality=85)


def photos(reconstructor: Reconstructor) -> Iterator[Image.Image]:
    """Twelve photos."""
    photo = Image.open(BytesIO(astronaut())).convert("RGB")
    yield photo
    yield ImageOps.mirror(photo)
    yield photo.rotate(35, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))
    yield photo.resize((170, 170))
    yield ImageEnhance.Brightness(photo).enhance(0.35)
    yield ImageOps.grayscale(photo).convert("RGB")
    mesh = reconstructor.reconstruct(astronaut(), Options(detail=Detail.FULL)).mesh
    for yaw, pitch in TURNS:
        yield Image.fromarray(_seen(mesh, Pose(yaw, pitch, 0.0), PHOTO_PX, False))


def row(reconstructor: Reconstructor, photo: Image.Image) -> tuple[Picture, Picture]:
    """The photo, the head from all sides and, right, the face alone; in colour and as clay."""
    out = BytesIO()
    photo.save(out, "PNG")
    head, face = (reconstructor.reconstruct(out.getvalue(), extent=extent).mesh for extent in Extent)
    square = np.asarray(ImageOps.fit(photo, (SIZE, SIZE)))
    rows = []
    for clay in (False, True):
        views = [view(head, yaw, SIZE, clay=(clay,))[0] for yaw in VIEWS]
        views.append(_seen(head, ABOVE, SIZE, clay))
        views += [view(face, yaw, SIZE, clay=(clay,))[0] for yaw in (0.0, -40.0, 88.0)]
        rows.append(np.concatenate([square, *views], 1))
    return rows[0], rows[1]


def _seen(mesh: Mesh, pose: Pose, size: int, clay: bool) -> Picture:
    reach = float(np.linalg.norm(np.asarray(mesh.size_mm)[1:])) / 2 * MARGIN
    rotation = pose.rotation @ mesh.pose.rotation.T @ mesh.axes
    return render(mesh, rotation, size, reach_mm=reach, clay=(clay,))[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
