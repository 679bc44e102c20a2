"""The rendered heads on which several photos are measured against one."""

from __future__ import annotations

import numpy as np

from selfie3d.types.frames import transform, upright
from selfie3d_training.dataset import Material
from selfie3d_training.guided.evaluate_snapshots import Light, frontal_ids, lit_view
from selfie3d_training.raster import EMPTY, rasterise
from selfie3d_training.turn import photo_matrix, turn, vertex_texture
from vrn.meshing.normals import vertex_normals

PHOTO = 5
SAMPLE_ERROR = 8.0  # sRGB, of a colour that is read from a picture between pixels


def test_the_texture_is_what_a_turned_view_shows(material: Material) -> None:
    vertices, matrix = material.vertices([PHOTO])[0], photo_matrix(material.photos, PHOTO)
    texture = vertex_texture(material.head, material.photos.image(PHOTO), vertices, matrix)
    view = turn(material.head, material.photos.image(PHOTO), vertices, matrix, 20.0, 0.0, PHOTO)
    place = transform(view.matrix, vertices)
    depth, triangle, _ = rasterise(place, material.head.triangles, *view.image.shape[:2])
    x, y = np.rint(place[:, :2].T).astype(int)
    front = (place[:, 2] > depth[y, x] - 1) & (triangle[y, x] != EMPTY)
    off = np.abs(view.image[y, x].astype(float) - texture)[front]
    assert front.sum() > 100
    assert np.median(off) < SAMPLE_ERROR


def test_a_light_makes_what_faces_it_brighter_and_the_background_as_bright_as_its_gains() -> None:
    light = Light(np.array([1.0, 0.0, 0.0]), np.array([1.1, 1.0, 0.9]))
    towards, across, away = light.on(np.array([[1.0, 0, 0], [0, 1.0, 0], [-1.0, 0, 0]]))
    assert (towards > across).all()
    assert (across > away).all()
    np.testing.assert_allclose(across, light.gains)
    np.testing.assert_allclose(towards * away, light.gains**2)


def test_the_light_of_a_view_is_that_of_its_vertices(material: Material) -> None:
    vertices, matrix = material.vertices([PHOTO])[0], photo_matrix(material.photos, PHOTO)
    grey = np.full((200, 200, 3), 120, np.uint8)
    light = Light(np.array([0.0, 0.0, 1.0]), np.array([1.2, 1.0, 0.8]))
    lit = lit_view(material.head, vertices, grey, matrix, light)
    np.testing.assert_allclose(lit[2, 2], 120 * light.gains, atol=1)
    place = transform(matrix, vertices)
    depth, triangle, _ = rasterise(place, material.head.triangles, 200, 200)
    x, y = np.rint(place[:, :2].T).astype(int)
    front = (place[:, 2] > depth[y, x] - 1) & (triangle[y, x] != EMPTY)
    normals = vertex_normals(upright(place).astype(np.float32), material.head.triangles).astype(np.float64)
    expected = np.clip(120 * light.on(normals), 0, 255)
    assert np.median(np.abs(lit[y, x] / expected - 1)[front]) < 0.03


def test_only_good_near_frontal_validation_photos_are_taken(material: Material) -> None:
    residual = np.zeros(len(material.photos))
    every = frontal_ids(material.photos, residual, 0.01, 100)
    assert every
    assert set(every) <= set(material.photos.ids("val").tolist())
    assert (np.abs(material.photos.labels.yaw[every]) < 12).all()
    residual[every[0]] = 1.0
    assert frontal_ids(material.photos, residual, 0.01, 100) == every[1:]
