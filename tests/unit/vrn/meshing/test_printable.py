"""Printable solids: flat back, closed, one body, nowhere too thin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.ndimage import binary_opening

from selfie3d.types import Detail, Format, Mesh, Options
from vrn.files.export import encode
from vrn.meshing.printable import THICKNESS_MM
from vrn.render.render import rasterise

PX_PER_MM = 2.0
FLIP = np.array([1, -1, 1], np.float32)
POSES = [(0, 0, 0), (35, -10, 15), (-80, 10, 0)]


def printable(make_head: Callable[..., Any], pose: tuple[float, float, float], detail: str = "standard") -> Mesh:
    yaw, pitch, roll = pose
    mesh: Mesh = make_head(yaw=yaw, pitch=pitch, roll=roll).mesh(Options(printable=True, detail=Detail(detail)))
    return mesh


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("detail", ["preview", "standard"])
def test_a_printable_mesh_is_one_closed_solid(make_head: Callable[..., Any], pose: Any, detail: str) -> None:
    mesh = printable(make_head, pose, detail)
    solid = trimesh.load_mesh(BytesIO(encode(mesh, Options(Format.STL)).data), file_type="stl")
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.is_volume
    assert solid.body_count == 1
    assert solid.volume > 500_000  # mm3


@pytest.mark.parametrize("pose", POSES)
def test_it_lies_flat_and_the_face_looks_up(make_head: Callable[..., Any], pose: Any) -> None:
    mesh = printable(make_head, pose)
    low = mesh.vertices[:, 2].min()
    corners = mesh.vertices[mesh.triangles]
    flat = (corners[..., 2] - low < 1e-3).all(1)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    width, height, _ = mesh.size_mm
    assert areas[flat].sum() > 0.5 * width * height
    nose = mesh.landmarks[30]
    assert nose[2] == pytest.approx(mesh.vertices[:, 2].max(), abs=6)
    assert np.abs(mesh.landmarks[27, 0] - mesh.landmarks[8, 0]) < 8  # upright, however the head was held


@pytest.mark.parametrize("pose", POSES)
def test_nothing_hangs_over_and_nothing_is_thin(make_head: Callable[..., Any], pose: Any) -> None:
    mesh = printable(make_head, pose)
    base = mesh.vertices[:, 2].min()
    above = mesh.vertices[:, 2] - base > THICKNESS_MM
    assert mesh.normals[above, 2].min() > -0.35
    from_above = rasterise(mesh.vertices * FLIP * PX_PER_MM + 320, mesh.triangles, 640)
    outline = np.zeros((640, 640), bool)
    outline.ravel()[from_above.at] = True
    y, x = np.ogrid[-7:8, -7:8]
    opened = binary_opening(outline, x**2 + y**2 <= (THICKNESS_MM / 2 * PX_PER_MM) ** 2)
    assert (outline & ~opened).sum() < 0.003 * outline.sum()
    heights = from_above.interpolate(mesh.vertices, mesh.triangles)[:, 2] - base
    assert (heights < THICKNESS_MM - 1.5).mean() < 0.02  # the rounded edge of the outline


def test_fins_are_cut_off(make_head: Callable[..., Any]) -> None:
    head = make_head()
    values = head.field().values.copy()
    values[40:60, 60:62, :] = 3.0  # a bar of 4 crop px right through the head and out of it
    field = replace(head.field(), values=values)
    surface = type(head.surface()).of(field, head.face, Options(printable=True))
    width = np.ptp(surface.vertices[:, 0])
    assert width == pytest.approx(np.ptp(head.surface(Options(printable=True)).vertices[:, 0]), abs=8)


def test_vertices_still_project_onto_the_face(make_head: Callable[..., Any]) -> None:
    head = make_head(yaw=35, roll=15)
    surface = head.surface(Options(printable=True))
    mesh = surface.coloured(head.photo(), head.face)
    photo = mesh.vertices.astype(float) @ mesh.mesh_to_photo[:3, :3].T + mesh.mesh_to_photo[:3, 3]
    nose = head.face.landmarks_px[30, :2]
    assert np.linalg.norm(photo[mesh.landmark_vertices[30], :2] - nose) < 5 * head.px_per_mm
    assert mesh.colours[:, 2].max() < 110  # hardly any background, though the base sticks out


def test_an_stl_is_always_printable() -> None:
    assert Options(Format.STL).solid
    assert Options(Format.PLY, printable=True).solid
    assert not Options(Format.PLY).solid
