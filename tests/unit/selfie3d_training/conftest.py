"""A made-up folder of training data: an egg with a nose, rendered in known poses, in the format of the real data."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from selfie3d.types.frames import transform
from selfie3d_training.config import TrainConfig
from selfie3d_training.dataset import Material
from selfie3d_training.head import Head, pose_matrix
from selfie3d_training.photos import encode
from selfie3d_training.raster import rasterise
from vrn.meshing.normals import vertex_normals

PHOTOS, SIDE = 24, 200
RADII_CM = np.array([7.5, 10.0, 9.0])
TINY = {
    "batch": 4,
    "samples": 400,
    "warmup": 16,
    "learning_rate": 5e-3,
    "bf16": False,
    "workers": 0,
    "log_every": 4,
    "network": {"stem": 8, "widths": [8, 12], "bottom": 1, "lateral": 8},
}


def egg() -> Head:
    """A watertight head of 642 vertices with a nose, two identity shapes and one expression."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    direction = np.asarray(ball.vertices)
    nose = np.exp(-((direction - [0, 0, 1]) ** 2).sum(1) / 0.03)
    neutral = direction * RADII_CM + nose[:, None] * [0, 0, 2.5]
    shapes = np.stack([direction * [0.6, 0, 0], direction * [0, 0.6, 0.3]]).astype(np.float32)
    smile = (np.exp(-((direction - [0, -0.5, 0.8]) ** 2).sum(1) / 0.1)[:, None] * [0, 0, 0.8]).astype(np.float32)
    places = ((direction[None] - _landmark_directions()[:, None]) ** 2).sum(-1).argmin(1)
    return Head(
        neutral.astype(np.float32),
        np.asarray(ball.faces, np.int64),
        shapes.reshape(2, -1),
        smile.reshape(1, -1),
        np.stack([places, places, places], 1),
        np.tile(np.array([1, 0, 0], np.float32), (68, 1)),
    )


def _landmark_directions() -> np.ndarray:
    """(68, 3) unit vectors that lie roughly where the 68 points of the Multi-PIE scheme do."""
    across = np.linspace(-1, 1, 17)
    jaw = np.stack([across, -0.9 * np.sqrt(1.0001 - across**2), 0.35 * np.ones(17)], 1)
    x, y = np.meshgrid(np.linspace(-0.45, 0.45, 17), [-0.4, 0.0, 0.35])
    inner = np.stack([x.ravel(), y.ravel(), np.ones(51)], 1)
    inner[36 - 17, :2], inner[45 - 17, :2] = (-0.5, 0.25), (0.5, 0.25)
    directions = np.concatenate([jaw, inner])
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def portrait(head: Head, vertices: np.ndarray, matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(200, 200, 3) uint8 - the head, bright and coloured by its normals, before a dark wall."""
    picture = wall(rng)
    placed = transform(matrix, vertices)
    _, shown, _ = rasterise(placed, head.triangles, SIDE, SIDE)
    normals = vertex_normals(vertices, head.triangles)
    seen = shown >= 0
    picture[seen] = 150 + 80 * normals[head.triangles[shown[seen], 0]]
    return picture.clip(0, 255).astype(np.uint8)


def wall(rng: np.random.Generator) -> np.ndarray:
    """A dark wall of coarse coloured squares."""
    return np.kron(rng.uniform(0, 45, (10, 10, 3)), np.ones((20, 20, 1)))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are fastest on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def head() -> Head:
    return egg()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, head: Head) -> Path:
    """The folder: 24 photos, every fourth for validation, the last one with a bad fit."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    identity, expression = rng.normal(0, 1, (PHOTOS, 2)), rng.uniform(0, 1, (PHOTOS, 1))
    yaw = rng.uniform(-40, 40, PHOTOS)
    scale, translation = rng.uniform(6.5, 7.5, PHOTOS), np.array([100.0, -100.0, 0.0]) + rng.normal(0, 2, (PHOTOS, 3))
    a = np.radians(yaw)
    rotation = np.stack([np.array([[np.cos(t), 0, np.sin(t)], [0, 1, 0], [-np.sin(t), 0, np.cos(t)]]) for t in a])
    vertices = head.vertices(identity.astype(np.float32), expression.astype(np.float32))
    landmarks = []
    with tarfile.open(folder / "faces-0.tar", "w") as tar:
        for n in range(PHOTOS):
            matrix = pose_matrix(scale[n], rotation[n], translation[n])
            landmarks.append(transform(matrix, head.landmarks(vertices[n])))
            jpeg = encode(portrait(head, vertices[n], matrix, rng), 95)
            member = tarfile.TarInfo(f"{n:06d}.jpg")
            member.size = len(jpeg)
            tar.addfile(member, io.BytesIO(jpeg))
    np.savez(
        folder / "labels.npz",
        landmarks68=np.array(landmarks, np.float32),
        scale=scale,
        rotation=rotation,
        translation=translation,
        identity=identity.astype(np.float16),
        expression=expression.astype(np.float16),
        yaw_deg=yaw,
        disagreement=np.array([0.02] * (PHOTOS - 1) + [0.05]),
    )
    _write_head(folder / "head_model.npz", head)
    with (folder / "index.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "split"])
        rows.writerows([n, "val" if n % 4 == 0 else "train"] for n in range(PHOTOS))
    return folder


@pytest.fixture
def material(data: Path, tmp_path: Path) -> Material:
    """The folder's material, without turned views."""
    return Material(data, tmp_path / "views")


@pytest.fixture
def tiny() -> TrainConfig:
    """A configuration that trains in milliseconds."""
    return TrainConfig.of(TINY)


def _write_head(path: Path, head: Head) -> None:
    np.savez(
        path,
        neutral=head.neutral,
        triangles=head.triangles.astype(np.int32),
        identity=head.identity.reshape(len(head.identity), -1, 3),
        expression=head.expression.reshape(len(head.expression), -1, 3),
        landmark_vertices=head.landmark_vertices.astype(np.int32),
        landmark_weights=head.landmark_weights,
    )
