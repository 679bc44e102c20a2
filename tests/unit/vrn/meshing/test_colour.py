"""Colours: sampled where the vertex falls, never the background, mirrored and filled where the photo shows nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from selfie3d.types import Mesh
from selfie3d.types.frames import Crop, transform
from vrn.meshing.colour import Confidence, PhotoSampler, paint


def on_head(head: Any, mesh: Mesh) -> Any:
    """The vertices in mm of the head, by way of the photo."""
    return head.to_head(transform(head.face.crop.to_crop(), transform(mesh.mesh_to_photo, mesh.vertices)))


def test_a_vertex_projected_back_falls_where_its_colour_was_sampled(make_head: Callable[..., Any]) -> None:
    head = make_head(yaw=20, roll=8)
    surface = head.surface()
    x, y = np.meshgrid(np.arange(400), np.arange(400))
    ramp = np.stack([x // 2, y // 2, np.zeros_like(x)], -1).astype(np.uint8)  # linear between even pixels
    coarse = ramp[::2, ::2]  # 1 level per px: the colour is the place
    crop = head.face.crop
    half = Crop(crop.scale * 2, crop.offset)  # photo px of the coarse photo: half those of the fine one
    painted = paint(coarse, half, surface.vertices, surface.normals, surface.view, surface.symmetry, 0.1)
    well = painted.seen >= 1
    mesh = replace(head.mesh(), mesh_to_photo=np.diag([0.5, 0.5, 0.5, 1]) @ head.mesh().mesh_to_photo)
    places = transform(mesh.mesh_to_photo, mesh.vertices)[well, :2]
    assert well.sum() > 5000
    assert np.abs(painted.colours[well, :2] - places).max() < 0.01


@pytest.mark.parametrize("yaw", [0, 35, -70])
def test_seen_and_mirrored_colours_are_those_of_the_head(
    make_head: Callable[..., Any], colours_of: Callable[[Any], Any], yaw: float
) -> None:
    head = make_head(yaw=yaw, pitch=5, roll=10)
    mesh = head.mesh()
    error = np.abs(mesh.colours - colours_of(on_head(head, mesh))).mean(1)
    seen, mirrored = (error[mesh.confidence == kind] for kind in (Confidence.SEEN, Confidence.MIRRORED))
    assert np.median(seen) < 1
    assert np.percentile(seen, 99) < 4
    assert np.percentile(mirrored, 90) < 6
    assert len(mirrored) > (3000 if yaw else 300)


@pytest.mark.parametrize("yaw", [0, 35, -70])
def test_no_background_reaches_the_mesh(make_head: Callable[..., Any], yaw: float) -> None:
    assert make_head(yaw=yaw).mesh().colours[:, 2].max() < 70  # the head has 60, the background 255


def test_the_hidden_side_is_mirrored_and_the_back_filled(make_head: Callable[..., Any]) -> None:
    head = make_head(yaw=60)
    mesh = head.mesh()
    points = on_head(head, mesh)
    hidden_cheek = (points[:, 0] > 30) & (points[:, 2] > 0) & (np.abs(points[:, 1] + 30) < 40)
    back = points[:, 2] < -110
    assert (mesh.confidence[hidden_cheek] == Confidence.MIRRORED).mean() > 0.9
    assert (mesh.confidence[back & (points[:, 0] > 0)] == Confidence.FILLED).mean() > 0.9


def test_light_from_one_side_is_not_mirrored_onto_the_other(make_head: Callable[..., Any]) -> None:
    head = make_head(yaw=30)
    photo = head.photo().astype(float)
    bright = photo * np.linspace(0.6, 1.2, photo.shape[1])[None, :, None]
    lit = np.where(photo[..., 2:] > 200, photo, np.clip(bright, 0, 255)).astype(np.uint8)
    surface = head.surface()
    mesh = surface.coloured(lit, head.face)
    points = on_head(head, mesh)
    seam = (np.abs(points[:, 1]) < 60) & (points[:, 2] > -20)
    edges = np.sort(mesh.triangles[:, :2], 1)
    a, b = edges[seam[edges].all(1)].T
    step = np.abs(mesh.colours[a].astype(int) - mesh.colours[b]).mean(1)
    assert step.max() < 30


def test_a_photo_that_shows_nothing_of_the_face_still_gives_colours(make_head: Callable[..., Any]) -> None:
    head = make_head()
    mesh = head.surface().coloured(np.full((4, 4, 3), 200, np.uint8), head.face)
    assert (mesh.confidence == Confidence.FILLED).all()


def test_a_large_photo_is_averaged_over_a_vertex_spacing() -> None:
    stripes = np.zeros((2000, 2000, 3), np.uint8)
    stripes[:, ::2] = 255
    sampler = PhotoSampler.around(stripes, Crop(0.1, (0.0, 0.0)), 2.0)
    colours = sampler.sample(np.random.default_rng(0).uniform(20, 170, (500, 3)).astype(np.float32))
    assert sampler.factor == 10
    assert np.abs(colours - 127.5).max() < 1


@pytest.mark.parametrize("scale", [0.07, 0.3, 1.0, 4.0])
def test_ramps_are_sampled_exactly_at_every_size(scale: float) -> None:
    size = int(192 / scale)
    ramp = np.broadcast_to((np.arange(size) * 255 / size)[None, :, None], (size, size, 3)).astype(np.float32)
    sampler = PhotoSampler.around(np.rint(ramp).astype(np.uint8), Crop(scale, (0.0, 0.0)), 2.0)
    points = np.random.default_rng(0).uniform(10, 180, (500, 3)).astype(np.float32)
    assert np.abs(sampler.sample(points)[:, 0] - points[:, 0] / scale * 255 / size).max() < 0.75
