"""The surface and the colours of a whole head, from a head whose shape, pose and colours are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from selfie3d.types import Detail, Mesh, Options
from selfie3d.types.frames import Crop, transform, upright
from vrn.avatar.fit import HeadPose, rotations
from vrn.avatar.guide import head_crops
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.model import EYE_PART, MOUTH_PART, HeadModel, load_model
from vrn.avatar.places import ear, scalp
from vrn.avatar.whole_head import WholeHead
from vrn.finder.face import AlignedFace
from vrn.meshing.delight import encoded, linear
from vrn.meshing.normals import vertex_normals
from vrn.render.render import rasterise

pytestmark = pytest.mark.slow  # each test makes whole heads

SIDE = 480  # px of the photo
SCALE = 14.0  # photo px per cm
SKIN, HAIR, GREEN = np.array([205, 160, 135.0]), np.array([70, 50, 40.0]), np.array([20, 230, 40.0])


@dataclass(frozen=True)
class Scene:
    """A head in front of a green wall, and what is known of it."""

    whole: WholeHead
    face: AlignedFace
    photo: NDArray[np.uint8]
    in_photo: NDArray[np.float64]  # the model's vertices, photo frame
    above: NDArray[np.bool_]  # which of them lie above the neck's cut

    def mesh(self, detail: Detail = Detail.STANDARD, *, delight: bool = False) -> Mesh:
        surface = HeadSurface.of_head(self.whole, self.face, Options(detail=detail))
        return surface.coloured(self.photo, self.face, delight=delight)


def scene(
    yaw: float = 0.0,
    roll: float = 0.0,
    spot: NDArray[np.float64] | None = None,
    light: NDArray[np.float64] | None = None,
    dark: NDArray[np.bool_] | None = None,
) -> Scene:
    """yaw, roll in degrees; spot : (3,) cm - where the skin of the neutral head is red, 1.2 cm around
    light : (3,) - from where it comes, picture frame; None: from everywhere
    dark : (v,) bool - which vertices have the hair's colour besides the scalp
    """
    model = load_model()
    turn = rotations(np.radians([[0, yaw, 0]]))[0]
    rotation = rotations(np.radians([[0, 0, -roll]]))[0] @ turn
    middle = np.array([SIDE / 2, -SIDE / 2, 0.0]) - SCALE * rotation @ np.array([0, 1.0, 2.0])
    pose = HeadPose(np.array([SCALE]), rotation[None], middle[None], np.zeros((1, len(model.shapes))))
    in_photo = transform(pose.matrices()[0], model.neutral)
    crop = Crop.of_matrix(head_crops(pose)[0])
    plane = model.neck_plane(pose.coefficients[0]) @ np.linalg.inv(pose.matrices()[0]) @ crop.to_photo()
    whole = WholeHead(transform(crop.to_crop(), in_photo), model, plane, crop)
    landmarks = np.asarray(model.landmarks(in_photo), np.float64)
    above = whole.vertices @ plane[:3] + plane[3] > 0.2 * np.linalg.norm(plane[:3])
    return Scene(whole, AlignedFace(landmarks, 1.0), picture(model, in_photo, spot, light, dark), in_photo, above)


def picture(
    model: HeadModel,
    in_photo: NDArray[np.float64],
    spot: NDArray[np.float64] | None,
    light: NDArray[np.float64] | None,
    dark: NDArray[np.bool_] | None,
) -> NDArray[np.uint8]:
    hair = scalp(model.neutral)[:, None]
    if dark is not None:
        hair = np.maximum(hair, dark[:, None])
    colours = SKIN + (HAIR - SKIN) * hair
    if spot is not None:
        colours[np.linalg.norm(model.neutral - spot, axis=1) < 1.2] = [220, 20, 30]
    if light is not None:
        facing = upright(vertex_normals(upright(in_photo), model.triangles)) @ (light / np.linalg.norm(light))
        shade = (0.4 + 0.6 * np.maximum(facing, 0)[:, None]).astype(np.float32)
        colours = encoded(linear(colours.astype(np.float32)) * shade).astype(np.float64)
    image = np.broadcast_to(GREEN, (SIDE, SIDE, 3)).reshape(-1, 3).copy()
    triangles = model.triangles.astype(np.int32)
    shown = rasterise(in_photo.astype(np.float32), triangles, SIDE)
    image[shown.at] = shown.interpolate(colours.astype(np.float32), triangles)
    return np.rint(image).astype(np.uint8).reshape(SIDE, SIDE, 3)


def in_photo(mesh: Mesh) -> NDArray[np.float64]:
    return transform(mesh.mesh_to_photo, mesh.vertices)


def nearest_vertices(known: Scene, mesh: Mesh) -> NDArray[np.intp]:
    """For every vertex of the mesh the model's vertex at its place."""
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(known.in_photo).query(in_photo(mesh))[1], np.intp)


@pytest.mark.parametrize("detail", list(Detail))
def test_a_head_is_closed_at_every_detail_and_lies_on_the_model(detail: Detail) -> None:
    known = scene(yaw=25.0, roll=35.0)
    mesh = known.mesh(detail)
    least, most = {Detail.PREVIEW: (4e3, 9e3), Detail.STANDARD: (35e3, 65e3), Detail.FULL: (140e3, 220e3)}[detail]
    assert least < len(mesh.triangles) < most
    solid = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume > 0
    assert solid.area_faces.min() > 0
    model = trimesh.Trimesh(known.in_photo, known.whole.model.triangles, process=False)
    some = np.flatnonzero(known.above)[::40]
    in_photo_solid = trimesh.Trimesh(in_photo(mesh), mesh.triangles, process=False)
    _, away, _ = trimesh.proximity.closest_point(in_photo_solid, known.in_photo[some])
    allowed = {Detail.PREVIEW: 0.6, Detail.STANDARD: 0.2, Detail.FULL: 0.1}[detail]  # mm
    assert np.median(away) / SCALE * 10 < allowed
    assert model.is_watertight


def test_normals_are_those_of_the_surface_however_the_head_is_tilted() -> None:
    mesh = scene(yaw=10.0, roll=50.0).mesh()
    expected = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False).vertex_normals
    cosine = (expected * mesh.normals).sum(1)
    assert np.median(cosine) > 0.995
    assert (cosine > 0.9).mean() > 0.97
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-4)


def test_the_facets_of_the_head_model_do_not_show_on_a_scalp_at_full_detail() -> None:
    known = scene(yaw=15.0)
    mesh = known.mesh(Detail.FULL)
    solid = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
    bald = scalp(known.whole.model.neutral)[nearest_vertices(known, mesh)] == 1
    angles = solid.face_adjacency_angles[bald[solid.face_adjacency_edges].all(1)]
    assert len(angles) > 20_000
    assert np.degrees(angles.mean()) < 0.8  # 1.6 mm between vertices on a ball of 95 mm: 0.6; on flat facets: 1.4


def test_a_tilted_head_has_the_pose_that_it_has_in_the_photo() -> None:
    straight, tilted = scene(yaw=20.0).mesh().pose, scene(yaw=20.0, roll=40.0).mesh().pose
    turned = tilted.rotation @ straight.rotation.T
    angle = np.degrees(np.arccos((np.trace(turned) - 1) / 2))
    assert angle == pytest.approx(40.0, abs=1.0)


def test_the_neck_ends_in_one_plane() -> None:
    known = scene(yaw=15.0, roll=-20.0)
    mesh = known.mesh()
    in_crop = transform(known.whole.crop.to_crop(), in_photo(mesh))
    plane = known.whole.plane / np.linalg.norm(known.whole.plane[:3])
    distance = in_crop @ plane[:3] + plane[3]
    assert distance.min() > -1.0  # head crop px, 1.6 mm
    low = distance < 0.6
    assert low.sum() > 300
    down = upright((known.whole.crop.to_photo()[:3, :3] * known.whole.crop.scale) @ -plane[:3])
    assert np.median(mesh.normals[low] @ down) > 0.95


def test_no_background_reaches_the_head_and_skin_and_hair_stay_apart() -> None:
    known = scene(yaw=30.0)
    mesh = known.mesh()
    colours = mesh.colours[:, :3].astype(np.float64)
    greenness = colours[:, 1] - np.maximum(colours[:, 0], colours[:, 2])
    assert greenness.max() < 25
    model = known.whole.model
    place = nearest_vertices(known, mesh)
    neutral = model.neutral[place]
    inner = np.isin(place, np.unique(model.triangles[np.isin(model.parts, (EYE_PART, MOUTH_PART))]))
    back = (scalp(neutral) > 0.99) & (neutral[:, 2] < -3)
    assert np.abs(colours[back].mean(0) - HAIR).max() < 12
    neck = (neutral[:, 1] < -6) & (scalp(neutral) == 0) & ~inner
    assert np.abs(colours[neck].mean(0) - SKIN).max() < 25
    assert np.abs(np.median(colours[ear(neutral) > 0.99], 0) - SKIN).max() < 30


def test_the_hidden_cheek_has_the_spot_of_the_other_one() -> None:
    spot = np.array([4.8, -1.5, 8.0])  # on the subject's left cheek, which a nose that points to the left shows
    on_skin = load_model().neutral[np.linalg.norm(load_model().neutral - spot, axis=1).argmin()].astype(np.float64)
    known = scene(yaw=-55.0, spot=on_skin)
    mesh = known.mesh()
    neutral = known.whole.model.neutral[nearest_vertices(known, mesh)]
    hidden = np.linalg.norm(neutral - on_skin * [-1, 1, 1], axis=1) < 0.6
    red = mesh.colours[hidden][:, :3].astype(float)
    assert (red[:, 0] - red[:, 1] > 120).mean() > 0.8
    assert (mesh.confidence[hidden] == 1).mean() > 0.8


def darkness(mesh: Mesh, at: NDArray[np.bool_]) -> NDArray[np.float64]:
    """0 as light as skin, 1 as dark as hair."""
    brightness = mesh.colours[at][:, :3].astype(np.float64).mean(1)
    return np.asarray((SKIN.mean() - brightness) / (SKIN.mean() - HAIR.mean()))


def test_hair_that_hangs_beside_the_cheeks_is_not_painted_on_them_and_a_fringe_stays() -> None:
    x, y, z = load_model().neutral.T
    beside = (np.abs(x) > 4.8) & (y > -5) & (y < 2.5) & (z > 1)
    fringe = (np.abs(x) < 4) & (y > 6) & (z > 5)
    known = scene(dark=beside | fringe)
    mesh = known.mesh()
    place = nearest_vertices(known, mesh)
    on_cheek = (beside & (ear(load_model().neutral) == 0))[place]
    assert np.quantile(darkness(mesh, on_cheek), 0.9) < 0.3
    assert np.median(darkness(mesh, fringe[place])) > 0.9


def test_a_dark_side_of_the_face_stays_as_dark() -> None:
    lit = scene(light=np.array([-1.0, 0.0, 0.4]))
    mesh = lit.mesh()
    neutral = lit.whole.model.neutral[nearest_vertices(lit, mesh)]
    cheek = (neutral[:, 0] < -4) & (neutral[:, 1] > -4) & (neutral[:, 1] < 1) & (neutral[:, 2] > 6)
    other = (neutral[:, 0] > 4) & (neutral[:, 1] > -4) & (neutral[:, 1] < 1) & (neutral[:, 2] > 6)
    ours = [mesh.colours[side][:, :3].mean() for side in (cheek, other)]
    photo = lit.photo[tuple(np.rint(in_photo(mesh)[:, 1::-1]).astype(int).T)]
    theirs = [photo[side].mean() for side in (cheek, other)]
    assert abs(theirs[0] - theirs[1]) > 30
    np.testing.assert_allclose(ours, theirs, atol=8)
    assert (mesh.confidence[cheek | other] == 2).mean() > 0.5


def from_eyes() -> NDArray[np.float64]:
    """(v,) - how far the model's vertices are from the landmarks of the eyes, cm."""
    model = load_model()
    eyes = model.landmarks(model.neutral)[36:48]
    return np.asarray(np.linalg.norm(model.neutral[:, None] - eyes[None], axis=2).min(1))


@pytest.mark.parametrize("yaw", [-30.0, -20.0, 20.0, 30.0])
def test_beside_a_nose_in_light_from_one_side_the_mirrored_flank_has_no_seam(yaw: float) -> None:
    lit = scene(yaw, light=np.array([-1.0, 0.0, 0.4]))
    surface = HeadSurface.of_head(lit.whole, lit.face, Options())
    places, paint = surface.places, surface.painted(lit.photo)
    x, y, z = places.neutral.T
    nose = (np.abs(x) < 3) & (y > -2.5) & (y < 3) & (z > 7) & ~places.folded & ~places.eye
    edges = surface.triangles[:, [0, 1]][nose[surface.triangles[:, :2]].all(1)]
    seam = edges[(paint.seen[edges] >= 0.5).sum(1) == 1]
    assert len(seam) > 60
    steps = np.abs(np.diff(paint.colours.mean(1)[seam], axis=1))
    assert steps.mean() < 14  # 17 to 22 with the light of the two sides evened over wide areas alone


def test_the_folds_of_the_lids_have_no_flecks_of_skin() -> None:
    known = scene(dark=from_eyes() < 1.0)
    mesh = known.mesh(Detail.FULL)
    assert darkness(mesh, (from_eyes() < 0.5)[nearest_vertices(known, mesh)]).min() > 0.9


def test_the_shade_under_a_nose_and_beside_its_wings_is_the_photos() -> None:
    model = load_model()
    nose = model.landmarks(model.neutral)[31:36].astype(np.float64)
    around = np.linalg.norm(model.neutral[:, None] - nose[None], axis=2).min(1)
    known = scene(dark=around < 1.6)
    mesh = known.mesh()
    turned_to_the_camera = upright(vertex_normals(upright(known.in_photo), model.triangles))[:, 2] > -0.1
    place = nearest_vertices(known, mesh)
    assert (darkness(mesh, ((around < 1.2) & turned_to_the_camera)[place]) > 0.9).mean() > 0.97


def test_what_a_single_point_sees_differently_from_those_around_it_is_smoothed() -> None:
    known = scene()
    surface = HeadSurface.of_head(known.whole, known.face, Options(detail=Detail.FULL))
    places, some = surface.places, np.arange(0, len(surface.vertices), 500)
    values = np.ones(len(surface.vertices), np.float32)
    np.testing.assert_allclose(places.smoothed(values), 1, atol=1e-5)
    values[some] = 0
    smoothed = places.smoothed(values)
    assert np.median(smoothed[some]) > 0.85
    assert smoothed.max() <= 1 + 1e-5
    far = places.neutral[:, 0] > 4
    assert places.smoothed(far.astype(np.float32))[places.neutral[:, 0] < 2].max() < 1e-5


def test_eyes_are_finer_than_cheeks() -> None:
    known = scene(yaw=15.0)
    mesh = known.mesh()
    solid = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
    place = nearest_vertices(known, mesh)
    neutral, at_eye = known.whole.model.neutral[place], (from_eyes() < 0.3)[place]
    lengths, ends = solid.edges_unique_length, solid.edges_unique
    on_cheek = (np.abs(neutral[:, 0]) > 4) & (np.abs(neutral[:, 1]) < 2) & (neutral[:, 2] > 5)
    at_eyes, on_cheeks = (np.median(lengths[some[ends].all(1)]) for some in (at_eye, on_cheek))
    assert at_eyes < 0.35 * on_cheeks


def test_an_open_mouth_is_a_cavity() -> None:
    model = load_model()
    opened = int(np.argmin(model.landmark_shapes[1][model.identities :, 57, 1]))
    coefficients = np.zeros(len(model.shapes))
    coefficients[model.identities + opened] = 0.8
    shape = model.vertices(coefficients)
    pose = HeadPose(np.array([SCALE]), np.eye(3)[None], np.array([[SIDE / 2, -SIDE / 2, 0.0]]), coefficients[None])
    crop = Crop.of_matrix(head_crops(pose)[0])
    vertices = transform(crop.to_crop() @ pose.matrices()[0], shape)
    plane = model.neck_plane(coefficients) @ np.linalg.inv(crop.to_crop() @ pose.matrices()[0])
    landmarks = np.asarray(model.landmarks(transform(pose.matrices()[0], shape)), np.float64)
    whole = WholeHead(vertices, model, plane, crop)
    surface = HeadSurface.of_head(whole, AlignedFace(landmarks, 1.0), Options())
    lips = model.landmarks(vertices)[[62, 66]]
    between = lips.mean(0)
    behind = lips[:, 2].min() - surface.view.front_at(between[None])[0]
    assert behind / 6.4 * 10 > 4.0  # mm


def test_delight_evens_the_light_of_the_skin() -> None:
    lit = scene(light=np.array([-1.0, -0.5, 1.0]))
    spreads = {}
    for delight in (False, True):
        mesh = lit.mesh(delight=delight)
        neutral = lit.whole.model.neutral[nearest_vertices(lit, mesh)]
        skin = (mesh.confidence == 2) & (scalp(neutral) == 0) & (neutral[:, 2] > 6)
        brightness = linear(mesh.colours[skin][:, :3].astype(np.float32)).mean(1)
        solid = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
        area = np.bincount(solid.faces.ravel(), np.repeat(solid.area_faces / 3, 3))[skin]  # eyes have more vertices
        mean = np.average(brightness, weights=area)
        spreads[delight] = np.sqrt(np.average((brightness - mean) ** 2, weights=area)) / mean
    assert spreads[False] > 0.2
    assert spreads[True] < spreads[False] / 3


def test_light_and_its_encoding_are_inverse() -> None:
    colours = np.arange(256, dtype=np.float32)
    np.testing.assert_allclose(encoded(linear(colours)), colours, atol=0.01)
    assert linear(np.array([188.0], np.float32))[0] == pytest.approx(0.5029, abs=1e-3)  # sRGB's half light
