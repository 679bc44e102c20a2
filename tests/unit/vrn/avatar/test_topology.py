"""Meshes with the head model's own vertices, and what makes them move."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from selfie3d.types import Format, Mesh, Options, Texture, Topology
from selfie3d.types.frames import transform
from tests.heads import KnownHead, known_head, place_colours
from vrn.avatar.eyeballs import RADIUS_CM
from vrn.avatar.lids import openings
from vrn.avatar.model import CAP_PART, EYE_PART, FACE_PART, MOUTH_PART, load_model
from vrn.avatar.raster import crossings
from vrn.avatar.rig import BLINKS, EXPRESSIONS, NAMES, shapes_of, weights_of

pytestmark = pytest.mark.slow  # each test makes whole heads

SMILE = {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.6, "jawOpen": 0.25}
HEAD = Options(Format.GLB, topology=Topology.HEAD)
ARKIT_WITHOUT_EYES_AND_TONGUE = 43


@cache
def smiling() -> KnownHead:
    return known_head(7, 20.0, 10.0, expressions=SMILE)


@cache
def rigged() -> Mesh:
    return smiling().mesh(Options(Format.GLB, rigged=True))


def shown_vertices(mesh: Mesh) -> NDArray[np.bool_]:
    model = load_model()
    hidden = np.unique(model.triangles[np.isin(model.parts, (EYE_PART, MOUTH_PART, CAP_PART))])
    return ~np.isin(np.arange(len(mesh.vertices)), hidden)


def test_every_person_gets_the_same_vertices_triangles_and_texture_places() -> None:
    one, other = smiling().mesh(HEAD), known_head(8, -30.0).mesh(HEAD)
    assert (one.triangles == other.triangles).all()
    assert (one.landmark_vertices == other.landmark_vertices).all()
    assert one.texture is not None
    assert other.texture is not None
    assert (one.texture.uv == other.texture.uv).all()
    assert one.dense_vertices is not None
    assert one.dense_vertices.shape == (478,)


def test_the_mesh_is_one_closed_body_with_its_normals_outward() -> None:
    mesh = smiling().mesh(HEAD)
    solid = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.body_count == 1
    assert solid.volume > 0
    cosine = (solid.vertex_normals * mesh.normals).sum(1)
    assert np.median(cosine) > 0.99
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-4)


def test_the_vertices_fall_where_the_photo_shows_their_places() -> None:
    known = smiling()
    mesh = known.mesh(HEAD)
    in_photo = transform(known.whole.crop.to_photo(), known.whole.vertices)
    face = (known.model.neutral[:, 2] > 8) & shown_vertices(mesh)
    away = np.linalg.norm((transform(mesh.mesh_to_photo, mesh.vertices) - in_photo)[face, :2], axis=1)
    assert away.mean() < 1.5  # px of 14 per cm
    landmarks = transform(mesh.mesh_to_photo, mesh.landmarks)[:, :2]
    assert np.linalg.norm(landmarks - known.face.landmarks_px[:, :2], axis=1).mean() < 4


def test_the_texture_has_the_photo_s_colours_at_their_places_and_is_filled_all_round() -> None:
    known = smiling()
    mesh = known.mesh(HEAD)
    texture = mesh.texture
    assert texture is not None
    assert texture.image.shape == (1024, 1024, 3)
    at = np.rint(texture.uv * [1024, -1024] + [-0.5, 1023.5]).astype(int).clip(0, 1023)
    painted = texture.image[at[:, 1], at[:, 0]].astype(float)
    wanted = place_colours(known.model)[texture.source]
    neutral = known.model.neutral[texture.source]
    shown = shown_vertices(mesh)[texture.source]
    forehead = shown & (np.abs(neutral[:, 1]) < 8) & (neutral[:, 2] > 8)
    assert np.abs(painted - wanted)[forehead].mean() < 4
    assert (painted[:, 1] < painted[:, 0] + 10).all()  # the green wall is nowhere


@pytest.mark.parametrize(("detail", "size"), [("preview", 512), ("full", 2048)])
def test_the_detail_decides_the_size_of_the_texture(detail: str, size: int) -> None:
    texture = smiling().mesh(Options(Format.GLB, detail, topology=Topology.HEAD)).texture  # type: ignore[arg-type]
    assert texture is not None
    assert texture.image.shape == (size, size, 3)


def test_the_neck_ends_in_one_plane() -> None:
    mesh = smiling().mesh(Options(neutral=True))
    model = load_model()
    cap = np.unique(model.triangles[model.parts == CAP_PART])
    points = mesh.vertices[cap] - mesh.vertices[cap].mean(0)
    assert np.linalg.svd(points, compute_uv=False)[2] / np.sqrt(len(cap)) < 0.3  # mm
    assert mesh.vertices[cap, 1].max() < mesh.vertices[mesh.landmark_vertices[8], 1]


def test_a_neutral_face_has_no_expression_and_stands_upright() -> None:
    calm = known_head(7, 20.0, 10.0).mesh(Options(neutral=True))
    neutral, as_shown = smiling().mesh(Options(neutral=True)), smiling().mesh(HEAD)
    assert np.abs(neutral.axes - np.eye(3)).max() > 0.1  # the photo's head was turned; the mesh is not
    assert mouth_width(neutral) == pytest.approx(mouth_width(calm), abs=2.5)
    assert mouth_width(as_shown) > mouth_width(calm) + 5
    eyes = neutral.landmarks[[36, 45]]
    assert abs(eyes[0, 1] - eyes[1, 1]) < 2
    assert abs(eyes[0, 2] - eyes[1, 2]) < 3


def mouth_width(mesh: Mesh) -> float:
    """mm"""
    right, left = mesh.landmarks[[48, 54]]
    return float(np.linalg.norm(right - left))


def test_the_names_are_arkit_s_and_what_both_sides_share_goes_to_arkit_s_own_name() -> None:
    assert len(set(NAMES)) == len(EXPRESSIONS) + 2 == 47
    halves = {f"{name}{side}" for name in ("browInnerUp", "cheekPuff") for side in ("Left", "Right")}
    assert len(set(NAMES) - halves) == ARKIT_WITHOUT_EYES_AND_TONGUE
    expression = np.zeros(45)
    expression[[EXPRESSIONS.index("browInnerUpLeft"), EXPRESSIONS.index("browInnerUpRight")]] = 0.8, 0.3
    weights = dict(zip(NAMES, weights_of(expression), strict=True))
    assert weights["browInnerUp"] == pytest.approx(0.3)
    assert weights["browInnerUpLeft"] == pytest.approx(0.5)
    assert weights["browInnerUpRight"] == 0
    shapes = dict(zip(NAMES, shapes_of(load_model(), load_model().neutral.astype(float)), strict=True))
    both = shapes["browInnerUpLeft"] + shapes["browInnerUpRight"]
    np.testing.assert_allclose(shapes["browInnerUp"], both, atol=1e-6)


def test_the_default_weights_give_the_photo_s_expression_back() -> None:
    mesh = rigged()
    assert mesh.rig is not None
    weights = dict(zip(mesh.rig.names, mesh.rig.weights, strict=True))
    assert weights["mouthSmileLeft"] > 0.4
    shown = smiling().mesh(HEAD)
    expressed = transform(mesh.mesh_to_photo, mesh.expressed.vertices)
    away = np.linalg.norm(expressed - transform(shown.mesh_to_photo, shown.vertices), axis=1)[shown_vertices(mesh)]
    assert np.quantile(away, 0.99) / 1.4 < 0.1  # mm
    calm = smiling().mesh(Options(Format.GLB, rigged=True, neutral=True))
    assert calm.rig is not None
    assert (calm.rig.weights == 0).all()
    assert all((eye.rotation == np.eye(3)).all() for eye in calm.rig.eyes)


@pytest.mark.parametrize("seed", range(6))
def test_a_closed_eye_is_closed_on_every_face(seed: int) -> None:
    model = load_model()
    coefficients = np.zeros(len(model.shapes))
    coefficients[: model.identities] = np.random.default_rng(seed).normal(0, 0.9, model.identities)
    head = model.vertices(coefficients).astype(np.float64)
    shapes = shapes_of(model, head)
    for name, opening in zip(BLINKS, openings(model), strict=True):
        assert opening.gaps(head)[1].max() > 0.4
        closed = head + shapes[NAMES.index(name)]
        assert opening.gaps(closed)[1].max() == 0


def test_the_eyes_of_a_rigged_head_close() -> None:
    mesh = rigged()
    assert mesh.rig is not None
    for name, opening in zip(BLINKS, openings(load_model()), strict=True):
        closed = mesh.vertices + mesh.rig.deltas[mesh.rig.names.index(name)]
        assert opening.gaps(closed / 10.0)[1].max() == 0


def test_no_shape_tears_the_skin_or_takes_it_far() -> None:
    """Seen from five sides every shape at weight 1 shows as little of the inside as the neutral face does."""
    mesh = rigged()
    assert mesh.rig is not None
    jaw_open = mesh.rig.deltas[mesh.rig.names.index("jawOpen")]
    at_rest = inside_out(mesh, mesh.vertices)
    for name, deltas in zip(mesh.rig.names, mesh.rig.deltas, strict=True):
        assert np.linalg.norm(deltas, axis=1).max() < 60, name  # mm
        moved = mesh.vertices + deltas
        if name == "mouthClose":  # shuts the lips of an open jaw
            moved = moved + jaw_open
        assert inside_out(mesh, moved) <= at_rest + 15, name


def test_teeth_keep_their_place_and_an_open_jaw_shows_the_dark_below_them() -> None:
    mesh, model = rigged(), load_model()
    assert mesh.rig is not None
    assert mesh.texture is not None
    inside = np.unique(model.triangles[model.parts == MOUTH_PART])
    lips = np.intersect1d(inside, model.triangles[model.parts == FACE_PART])
    teeth = np.setdiff1d(inside, lips)
    assert (mesh.rig.deltas[:, teeth] == 0).all()
    opened = mesh.rig.deltas[mesh.rig.names.index("jawOpen"), :, 1]
    stretched = [
        [lip, tooth]
        for triangle in model.triangles[model.parts == MOUTH_PART]
        for lip in np.intersect1d(triangle, lips[opened[lips] < -20])
        for tooth in np.intersect1d(triangle, teeth)
    ]
    assert len(stretched) > 30
    uv = np.zeros((len(model.neutral), 2))
    uv[mesh.texture.source] = mesh.texture.uv
    beside = model.triangles[np.isin(model.triangles, lips).any(1)]
    below, behind = uv[np.array(stretched)].mean(1), uv[np.setdiff1d(teeth, beside)]
    plain = smiling().mesh(HEAD).texture
    assert plain is not None
    assert brightness(mesh.texture, below).max() < 0.5 * brightness(plain, below).min()
    np.testing.assert_array_equal(brightness(mesh.texture, behind), brightness(plain, behind))


def brightness(texture: Texture, uv: NDArray[np.floating]) -> NDArray[np.float64]:
    """The mean sRGB at places (n, 2) of a texture."""
    size = len(texture.image)
    columns, rows = np.floor(uv * [size, -size] + [0, size]).astype(int).T
    return np.asarray(texture.image[rows, columns].mean(1))


def inside_out(mesh: Mesh, vertices: NDArray[np.floating]) -> int:
    """Pixels of 5 x 48,000 whose foremost triangle faces away from the viewer."""
    count = 0
    for yaw, pitch in ((0, 0), (50, 0), (-50, 0), (0, 30), (0, -30)):
        (sin, cos), (up, along) = ((np.sin(angle), np.cos(angle)) for angle in np.radians([yaw, pitch]))
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        turn = np.array([[1, 0, 0], [0, along, -up], [0, up, along]]) @ turn
        place = vertices @ turn.T * [0.8, -0.8, 0.8] + [110, 110, 0]
        found = crossings(place, mesh.triangles.astype(np.int64), 220, 220)
        order = np.argsort(found.depth)
        top = np.full(220 * 220, -1)
        top[found.column[order]] = order
        count += int((~found.front[top[top >= 0]]).sum())
    return count


def test_the_eyes_fill_the_lids_and_stay_behind_them() -> None:
    mesh = rigged()
    assert mesh.rig is not None
    assert [eye.name for eye in mesh.rig.eyes] == ["eyeRight", "eyeLeft"]
    right, left = mesh.rig.eyes
    assert right.centre[0] < 0 < left.centre[0]
    scale = np.linalg.norm(right.vertices, axis=1).mean() / RADIUS_CM  # mm per cm
    for eye, opening in zip(mesh.rig.eyes, openings(load_model()), strict=True):
        rim = np.linalg.norm(mesh.vertices[opening.loop] - eye.centre, axis=1) / scale
        assert abs(rim.mean() - RADIUS_CM) < 0.12  # cm
        socket = mesh.vertices[opening.inside]
        assert (np.linalg.norm(socket - eye.centre, axis=1) / scale < RADIUS_CM + 0.05).mean() > 0.9
        assert eye.uv.min() > 0
        assert eye.uv.max() < 1
        solid = trimesh.Trimesh(eye.vertices, eye.triangles, process=False)
        assert ((solid.face_normals * solid.triangles_center).sum(1) > 0).all()
