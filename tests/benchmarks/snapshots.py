"""Pictures of one head from one photo and from three: python -m tests.benchmarks.snapshots docs/pictures

The photos are pictures of the mesh of scikit-image's astronaut (NASA, public domain), turned, each in another exposure.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from selfie3d.types import Detail, Mesh, Options, Pose
from tests.photos import astronaut
from vrn.pipeline import Reconstructor
from vrn.render.preview import MARGIN, view
from vrn.render.render import render

Picture = NDArray[np.uint8]

SIZE, PHOTO_PX, LABEL_PX = 220, 512, 24
TURNS = (-40.0, 0.0, 40.0)  # degrees of the photos
EXPOSURES = ((0.85, 0.9, 1.0), (1.0, 1.0, 1.0), (1.15, 1.1, 1.0))  # of the channels
VIEWS = (-88.0, -40.0, 0.0, 40.0, 88.0)


def main(folder: Path) -> None:
    """Write snapshots.jpg."""
    reconstructor = Reconstructor.open(device="cpu")
    truth = reconstructor.reconstruct(astronaut(), Options(detail=Detail.FULL)).mesh
    pictures = [_photo(truth, yaw, exposure) for yaw, exposure in zip(TURNS, EXPOSURES, strict=True)]
    photos = [_png(picture) for picture in pictures]
    full = Options(detail=Detail.FULL)
    one = reconstructor.reconstruct(photos[0], full).mesh
    three = reconstructor.reconstruct(photos, full, one_person=True)
    rows = [
        _row("the photos", [np.asarray(Image.fromarray(picture).resize((SIZE, SIZE))) for picture in pictures]),
        _row("the head in the photos", _views(truth)),
        _row("from the first photo", _views(one)),
        _row("from all three", _views(three.mesh)),
    ]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    Image.fromarray(np.concatenate(padded)).save(folder / "snapshots.jpg", optimize=True, quality=88)
    for each in three.views:
        print(each)


def _views(mesh: Mesh) -> list[Picture]:
    return [view(mesh, yaw, SIZE, clay=(False,))[0] for yaw in VIEWS]


def _photo(mesh: Mesh, yaw: float, exposure: tuple[float, float, float]) -> Picture:
    reach = float(np.linalg.norm(np.asarray(mesh.size_mm)[1:])) / 2 * MARGIN
    rotation = Pose(yaw, 0.0, 0.0).rotation @ mesh.pose.rotation.T @ mesh.axes
    picture = render(mesh, rotation, PHOTO_PX, reach_mm=reach, clay=(False,))[0]
    return np.asarray(np.clip(picture * np.array(exposure), 0, 255), np.uint8)


def _row(label: str, pictures: list[Picture]) -> Picture:
    row = np.concatenate(pictures, 1)
    head = Image.new("RGB", (row.shape[1], LABEL_PX), (255, 255, 255))
    ImageDraw.Draw(head).text((4, 6), label, fill=(0, 0, 0))
    return np.concatenate([np.asarray(head), row])


def _png(picture: Picture) -> bytes:
    out = BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
