"""Pictures for people: shaded surfaces, contact sheets, curves."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from selfie3d.types.atomic_file import replacing, write_atomically
from selfie3d.types.frames import CROP_CENTRE, CROP_SIZE, DEPTH_RANGE
from selfie3d_training.metrics import Surface
from selfie3d_training.photos import Image
from selfie3d_training.raster import EMPTY, rasterise
from selfie3d_training.train import TERMS
from vrn.meshing.normals import vertex_normals

Floats = NDArray[np.float64]

LIGHT = np.array([-0.45, -0.5, 0.74])  # towards the lamp, picture frame: from above, the left and the front
AMBIENT = 0.18
CLAY = np.array([214.0, 208.0, 200.0])  # RGB of the lit surface
PAPER = 255.0


def shaded(surface: Surface | None, size: int = CROP_SIZE, yaw: float = 0.0) -> Image:
    """The uncoloured surface as the crop shows it, or turned by `yaw` degrees: (size, size, 3) uint8 RGB."""
    picture = np.full((size, size, 3), PAPER)
    if surface is None:
        return picture.astype(np.uint8)
    centre = np.array([CROP_CENTRE, CROP_CENTRE, DEPTH_RANGE / 2])
    a = np.radians(yaw)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    placed = ((surface.vertices - centre) @ turn.T + centre) * size / CROP_SIZE
    # y points down, so outward normals come out inverted
    normals = -vertex_normals(placed, surface.triangles)
    _, shown, weights = rasterise(placed, surface.triangles, size, size)
    seen = shown != EMPTY
    corners = surface.triangles[shown[seen]]
    second, third = weights[seen].T[..., None]
    normal = (
        normals[corners[:, 0]] * (1 - second - third) + normals[corners[:, 1]] * second + normals[corners[:, 2]] * third
    )
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    lit = np.clip(normal @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)
    picture[seen] = CLAY * (AMBIENT + (1 - AMBIENT) * lit[:, None])
    return picture.astype(np.uint8)


def overlay(crop: Image, surface: Surface | None, share: float = 0.65) -> Image:
    """The shaded surface over the picture."""
    front = shaded(surface)
    return np.where(front.min(2, keepdims=True) < PAPER, crop * (1 - share) + front * share, crop).astype(np.uint8)


def row(crop: Image, surface: Surface | None) -> Image:
    """Photo, overlay, surface from the front and from both sides, side by side."""
    return np.hstack([crop, overlay(crop, surface), *(shaded(surface, yaw=yaw) for yaw in (0, -60, 60))])


def sheet(rows: list[Image], captions: list[str]) -> Image:
    """Rows below each other, each with its caption."""
    for picture, caption in zip(rows, captions, strict=True):
        cv2.putText(picture, caption, (4, CROP_SIZE - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (200, 30, 30), 1, cv2.LINE_AA)
    return np.vstack(rows)


def save(path: Path, image: Image) -> None:
    """Write RGB as PNG or JPEG, by the name's ending."""
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_atomically(path, data.tobytes())  # imwrite tells no error


def curves(log: Path, out: Path) -> None:
    """Draw the terms of the loss in a run's log over the samples, training and validation."""
    from matplotlib.figure import Figure

    with log.open(newline="") as file:
        lines = list(csv.DictReader(file))
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    for axis, term in zip(figure.subplots(1, len(TERMS)), TERMS, strict=True):
        for kind, style in (("train", "-"), ("val", "o-")):
            points = [(float(line["samples"]) / 1000, float(line[term])) for line in lines if line["kind"] == kind]
            if points:
                axis.plot(*zip(*points, strict=True), style, label=kind, linewidth=1, markersize=2)
        axis.set(title=term, yscale="log", xlabel="samples, thousands")
        axis.grid(alpha=0.3, which="both")
    axis.legend()
    with replacing(out) as part:
        figure.savefig(part, dpi=80, format=out.suffix.lstrip(".") or None)
