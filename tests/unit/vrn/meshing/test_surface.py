"""The surface: closed, outward, one body, smooth, and clear about volumes that hold no face."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import marching_cubes

from selfie3d.types import Detail
from selfie3d.types.frames import Grid, transform
from vrn.errors import FieldError
from vrn.meshing.field import Field
from vrn.meshing.surface import extract_surface, march, solidify

GRID = Grid.blocks(96, 100)


def solid(vertices: Any, triangles: Any) -> trimesh.Trimesh:
    """In a frame with y up, as files have it."""
    return trimesh.Trimesh(vertices * [1, -1, 1], triangles, process=False)


def places(grid: Grid) -> Any:
    """(depth, height, width, 3) crop px of every sample."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    return transform(grid.to_crop(), np.stack([i, j, k], -1).reshape(-1, 3).astype(float)).reshape(*grid.shape, 3)


@cache
def places_in(grid: Grid) -> Any:
    """As places, computed once."""
    return places(grid).astype(np.float32)


def ball(centre: Any = (95.0, 95.0, 50.0), radius: float = 40.0, grid: Grid = GRID, slope: float = 1.0) -> Any:
    """Logits of a ball, (depth, height, width) float32."""
    return ((radius - np.linalg.norm(places_in(grid) - np.float32(centre), axis=-1)) * slope).astype(np.float32)


def assert_sound(vertices: Any, triangles: Any) -> trimesh.Trimesh:
    mesh = solid(vertices, triangles)
    assert vertices.dtype == np.float32
    assert triangles.dtype == np.int32
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert mesh.body_count == 1
    assert mesh.area_faces.min() > 0
    assert len(np.unique(triangles)) == len(vertices)
    return mesh


def roughness(mesh: trimesh.Trimesh) -> float:
    """Mean angle between neighbouring triangles, degrees."""
    return float(np.degrees(mesh.face_adjacency_angles.mean()))


@pytest.mark.parametrize("detail", list(Detail))
@pytest.mark.parametrize(
    "grid",
    [
        pytest.param(GRID, id="96"),
        pytest.param(Grid.blocks(48, 100), id="48"),
        pytest.param(Grid.paper(), id="192", marks=pytest.mark.slow),
    ],
)
def test_a_ball_comes_out_closed_outward_and_at_its_place(detail: Detail, grid: Grid) -> None:
    mesh = assert_sound(*extract_surface(Field(ball(grid=grid), grid, 0.0), detail))
    radii = np.linalg.norm(mesh.vertices - [95, -95, 50], axis=1)
    tolerance = 1.3 if detail is Detail.PREVIEW else 0.4
    assert np.abs(radii - 40).max() < tolerance
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 40**3, rel=0.03)


@pytest.mark.parametrize(
    ("detail", "least", "most"), [("preview", 3e3, 7e3), ("standard", 3e4, 6e4), ("full", 1.4e5, 2.4e5)]
)
def test_detail_sets_the_number_of_triangles(
    make_head: Callable[..., Any], detail: str, least: float, most: float
) -> None:
    assert least < len(extract_surface(make_head().field(), Detail(detail))[1]) < most


def test_a_probability_field_gives_the_surface_of_its_logit_field() -> None:
    logits = ball(slope=0.5)
    probabilities = 1 / (1 + np.exp(-logits))
    from_logits, _ = extract_surface(Field(logits, GRID, 0.0))
    from_probabilities, _ = extract_surface(Field(probabilities, GRID, 0.5))
    assert np.abs(np.linalg.norm(from_probabilities - [95, 95, 50], axis=1) - 40).max() < 0.4
    assert np.abs(from_logits.max(0) - from_probabilities.max(0)).max() < 0.2


def test_how_sure_the_network_is_does_not_move_the_surface() -> None:
    sure, _ = extract_surface(Field(ball(slope=6.0), GRID, 0.0))
    unsure, _ = extract_surface(Field(ball(slope=0.3), GRID, 0.0))
    assert np.abs(sure.max(0) - unsure.max(0)).max() < 0.5


def test_a_ball_is_smooth_even_from_yes_and_no_samples() -> None:
    binary = Field(np.where(ball() > 0, 9.0, -9.0).astype(np.float32), GRID, 0.0)
    raw, faces, _, _ = marching_cubes(binary.values, 0.0, spacing=GRID.step[::-1])
    assert roughness(solid(*extract_surface(binary))) < 0.7 * roughness(trimesh.Trimesh(raw, faces, process=False))
    assert roughness(solid(*extract_surface(Field(ball(), GRID, 0.0)))) < 3.5


def test_a_lattice_of_four_pixels_leaves_no_terraces(make_head: Callable[..., Any]) -> None:
    head = make_head()
    fine = solid(*extract_surface(head.field(Grid.blocks(96, 100))))
    coarse = solid(*extract_surface(head.field(Grid.blocks(48, 100))))
    assert roughness(coarse) < 1.15 * roughness(fine)


def test_the_largest_of_several_bodies_is_kept() -> None:
    three = np.maximum.reduce([ball((60, 95, 50), 35), ball((140, 95, 50), 25), ball((140, 30, 50), 8)])
    mesh = assert_sound(*extract_surface(Field(three, GRID, 0.0)))
    assert mesh.bounds[:, 0] == pytest.approx([25, 95], abs=0.5)


def test_cavities_are_filled() -> None:
    shell = np.minimum(ball(), -ball(radius=20))
    mesh = assert_sound(*extract_surface(Field(shell, GRID, 0.0)))
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 40**3, rel=0.03)


def test_a_solid_that_touches_every_border_is_closed_with_flat_caps() -> None:
    column = np.full(GRID.shape, 3.0, np.float32)
    column[:, :5, :5] = -3.0
    mesh = assert_sound(*extract_surface(Field(column, GRID, 0.0)))
    assert mesh.bounds[0] == pytest.approx([-0.5, -191.5, -0.25], abs=0.05)
    assert mesh.bounds[1] == pytest.approx([191.5, 0.5, 99.75], abs=0.05)
    caps = [np.isclose(mesh.vertices[:, 2], depth).mean() for depth in mesh.bounds[:, 2]]
    assert min(caps) > 0.1


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), noise=st.floats(0.5, 20.0))
def test_noise_on_the_field_never_opens_the_surface(seed: int, noise: float) -> None:
    grid = Grid.blocks(48, 50)
    random = np.random.default_rng(seed).normal(0, noise, grid.shape).astype(np.float32)
    assert_sound(*extract_surface(Field(ball(grid=grid) + random, grid, 0.0)))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.full(GRID.shape, -5.0), "empty"),
        (np.full(GRID.shape, 0.0), "empty"),
        (np.full(GRID.shape, -np.inf), "empty"),
        (np.full(GRID.shape, 5.0), "full"),
        (np.full(GRID.shape, np.nan), "no numbers"),
        (ball(radius=15.0), "largest solid"),
        (np.where(ball(radius=1.5) > 0, 0.01, -9.0), "specks"),
    ],
    ids=["nothing", "level", "minus infinity", "everything", "nan", "too small", "specks"],
)
def test_a_volume_without_a_face_is_refused_with_its_reason(values: Any, says: str) -> None:
    with pytest.raises(FieldError, match=says):
        extract_surface(Field(values.astype(np.float32), GRID, 0.0))


def test_one_value_that_is_no_number_is_refused() -> None:
    values = ball()
    values[3, 4, 5] = np.nan
    with pytest.raises(FieldError, match="no numbers"):
        extract_surface(Field(values, GRID, 0.0))


def test_the_same_field_gives_the_same_bytes_and_stays_as_it_was() -> None:
    values = ball()
    before = values.copy()
    first, second = (extract_surface(Field(values, GRID, 0.0)) for _ in range(2))
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()
    assert (values == before).all()


def test_marching_looks_at_every_cell_that_the_surface_goes_through() -> None:
    values = ball() + np.random.default_rng(0).normal(0, 2, GRID.shape).astype(np.float32)
    solid_field = solidify(Field(values, GRID, 0.0))
    vertices, triangles = march(solid_field)
    expected, faces, _, _ = marching_cubes(solid_field.values, 0.0)
    step, origin = np.array(solid_field.grid.step, np.float32), np.array(solid_field.grid.origin, np.float32)
    np.testing.assert_array_equal(vertices, expected[:, ::-1] * step + origin)
    np.testing.assert_array_equal(triangles, faces[:, ::-1])
