"""The head's topology and rig: python -m tests.benchmarks.avatar PHOTOS PICTURES

PHOTOS is a folder of photos to measure on, or "-" to draw the pictures alone. Prints the table of docs/avatar.md and
writes its pictures, which show scikit-image's astronaut (NASA, public domain).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from selfie3d.types import Format, Mesh, Options, Topology
from selfie3d.types.frames import transform
from tests.photos import astronaut
from vrn.avatar.head_surface import HeadSurface
from vrn.avatar.model import MOUTH_PART, load_model
from vrn.avatar.raster import crossings, foremost
from vrn.avatar.registration import register
from vrn.finder import load_finder
from vrn.finder.face import Finder
from vrn.network.heads import HeadNetwork, load_heads
from vrn.pipeline import Reconstructor
from vrn.render.preview import view

Floats = NDArray[np.float64]
Picture = NDArray[np.uint8]

HEAD = Options(topology=Topology.HEAD)
NEUTRAL = Options(neutral=True)
RIGGED = Options(Format.GLB, rigged=True)
NEAR = 12  # triangles whose distance is taken
RAYS_PER_CM = 8
EVERY = 6  # one in so many of the face's vertices is measured
SIZE, SMALL = 320, 150  # px of a view
FRAMES, FRAME_MS = 10, 60  # there, and back again
COLUMNS = 8
SUBDIVISIONS = 3
MOVES = (("eyeBlinkLeft", "eyeBlinkRight"), ("mouthSmileLeft", "mouthSmileRight"), ("jawOpen",))


def main(photos: str, pictures: Path) -> None:
    """Print the figures and draw the pictures."""
    if photos != "-":
        measure(sorted(Path(photos).iterdir()))
    reconstructor = Reconstructor.open(device="cpu")
    mesh = reconstructor.reconstruct(astronaut(), RIGGED).mesh
    print(f"rigged GLB, astronaut: {len(mesh.data) / 1e6:.2f} MB")
    sheet = [reconstructor.reconstruct(astronaut(), options).mesh for options in (Options(), HEAD, NEUTRAL)]
    Image.fromarray(np.concatenate([_row(each) for each in sheet])).save(pictures / "avatar-topology.jpg", quality=88)
    Image.fromarray(shapes_sheet(mesh)).save(pictures / "avatar-shapes.jpg", quality=85)
    if mesh.texture:
        Image.fromarray(mesh.texture.image).resize((640, 640)).save(pictures / "avatar-texture.jpg", quality=88)
    animation(mesh, pictures / "avatar-moves.webp")


def _row(mesh: Mesh) -> Picture:
    """From three sides, in colour and as clay."""
    pairs = [np.concatenate(view(mesh, yaw, SIZE, clay=(False, True)), 1) for yaw in (0.0, 40.0, 85.0)]
    return np.concatenate(pairs, 1)


def measure(files: Iterable[Path]) -> None:
    """Registration on photos: distances, time, and how far the head of a mirrored photo is from the mirrored head."""
    finder, heads = load_finder("bundled"), load_heads()
    if heads is None:
        raise ValueError("the bundled networks of whole heads are missing")
    rows = []
    for file in files:
        image = np.asarray(Image.open(file).convert("RGB"))
        one, other = _registered(image, finder, heads), _registered(np.ascontiguousarray(image[:, ::-1]), finder, heads)
        if one is not None and other is not None:
            mirrored = (other[1] * [-1, 1, 1])[load_model().mirror]
            rows.append((*one[0], float(np.linalg.norm(one[1] - mirrored, axis=1).mean() * 10)))
    figures = np.array(rows)
    print(f"{len(rows)} photos in which a face was found, and as many mirrored")
    print("| what | median photo | 95 % of photos | worst photo |\n| --- | ---: | ---: | ---: |")
    for name, column in zip(("median mm", "95 % mm", "CPU ms", "mirrored, mean mm"), figures.T, strict=True):
        print(f"| {name} | {np.median(column):.2f} | {np.quantile(column, 0.95):.2f} | {column.max():.2f} |")


def _registered(image: Picture, finder: Finder, heads: HeadNetwork) -> tuple[tuple[float, float, float], Floats] | None:
    """Median and 95 % of the distances on the face and the time of the registration, and the head, cm."""
    faces = finder.find(image)
    if not faces:
        return None
    face = max(faces, key=lambda each: each.area_in(image))
    surface = HeadSurface.of_head(heads.head(image, face), face, Options())
    start = time.process_time()
    found = register(surface.whole, surface.vertices, surface.normals)
    taken = 1e3 * (time.process_time() - start)
    shown = np.intersect1d(_face(), _visible(found.head))[::EVERY]
    points = transform(found.to_crop(), found.head)[shown]
    points = points[points @ surface.whole.plane[:3] + surface.whole.plane[3] > 0]  # the volume ends at the cut
    away = _distances(surface, points) * 10 / found.pose.scale[0]
    return (float(np.median(away)), float(np.quantile(away, 0.95)), taken), found.head


def _visible(head: Floats) -> NDArray[np.intp]:
    """The vertices that show from in front or from either side: not those in the nose or between shut lips."""
    triangles, seen = load_model().triangles, []
    for angle in np.radians([0, -50, 50]):
        x = head[:, 0] * np.cos(angle) + head[:, 2] * np.sin(angle)
        z = head[:, 2] * np.cos(angle) - head[:, 0] * np.sin(angle)
        place = np.stack([(x + 13) * RAYS_PER_CM, (16 - head[:, 1]) * RAYS_PER_CM, z], 1)
        shown, _, _ = foremost(crossings(place, triangles, 28 * RAYS_PER_CM, 28 * RAYS_PER_CM), *[28 * RAYS_PER_CM] * 2)
        seen.append(np.unique(triangles[np.unique(shown[shown >= 0])]))
    return np.unique(np.concatenate(seen))


def _distances(surface: HeadSurface, points: Floats) -> Floats:
    """(n,) px - from points to the nearest of the triangles whose middles are near."""
    corners = surface.vertices[surface.triangles].astype(np.float64)
    near = cKDTree(corners.mean(1)).query(points, NEAR)[1]
    many = np.repeat(points, NEAR, 0)
    closest = trimesh.triangles.closest_point(corners[near.ravel()], many)
    return np.asarray(np.linalg.norm(closest - many, axis=1).reshape(-1, NEAR).min(1))


def _face() -> NDArray[np.intp]:
    """The vertices of the face: in front of the ears, above the chin, not in the mouth nor in the eyes."""
    model = load_model()
    hidden = np.unique(model.triangles[model.parts > 1])
    face = (model.neutral[:, 2] > 3) & (model.neutral[:, 1] > -8) & (np.abs(model.neutral[:, 0]) < 6.5)
    return np.setdiff1d(np.flatnonzero(face), hidden)


def posed(mesh: Mesh, names: Iterable[str], weight: float) -> Mesh:
    """A rigged mesh with some expressions only, eyeballs in place."""
    rig = mesh.rig
    if rig is None:
        raise ValueError("the mesh is not rigged")
    weights = np.array([weight if name in names else 0.0 for name in rig.names])
    return drawn(mesh, weights)


def drawn(mesh: Mesh, weights: Floats) -> Mesh:
    """The mesh with expressions, and with its eyeballs as part of it, coloured from the texture."""
    rig, texture = mesh.rig, mesh.texture
    if rig is None or texture is None:
        raise ValueError("the mesh is not rigged")
    moved = rig.moved(mesh.vertices, weights)[texture.source]
    finer, faces = _finer_mouth(np.concatenate([moved, mesh.normals[texture.source], texture.uv], 1), texture.triangles)
    vertices, normals, uv, triangles = [finer[:, :3]], [finer[:, 3:6]], [finer[:, 6:]], [faces]
    for eye in rig.eyes:
        triangles.append(eye.triangles + sum(map(len, vertices)))
        turned = (eye.vertices @ eye.rotation.T).astype(np.float32)
        vertices.append(turned + eye.centre.astype(np.float32))
        normals.append(turned / np.linalg.norm(turned, axis=1, keepdims=True))
        uv.append(eye.uv)
    size = len(texture.image)
    at = np.rint(np.concatenate(uv) * [size, -size] + [-0.5, size - 0.5]).astype(int).clip(0, size - 1)
    return replace(
        mesh,
        vertices=np.concatenate(vertices),
        normals=np.concatenate(normals),
        triangles=np.concatenate(triangles).astype(np.int32),
        colours=texture.image[at[:, 1], at[:, 0]],
        rig=None,
        texture=None,
    )


def _finer_mouth(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer]
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """More vertices (v, c) and triangles in the mouth, where they lie too far apart to carry the texture's colours."""
    inside = np.flatnonzero(load_model().parts == MOUTH_PART)
    for _ in range(SUBDIVISIONS):
        vertices, triangles, children = trimesh.remesh.subdivide(vertices, triangles, inside, return_index=True)
        inside = np.concatenate([children[each] for each in inside])
    return vertices, triangles


def shapes_sheet(mesh: Mesh) -> Picture:
    """Every shape at weight 1, named; mouthClose with the jaw open, which it shuts the lips of."""
    rig = mesh.rig
    if rig is None:
        raise ValueError("the mesh is not rigged")
    tiles = []
    for name in rig.names:
        names = (name, "jawOpen") if name == "mouthClose" else (name,)
        tile = Image.fromarray(view(posed(mesh, names, 1.0), 0.0, SMALL)[0])
        ImageDraw.Draw(tile).text((4, SMALL - 13), name, fill=(40, 40, 40))
        tiles.append(np.asarray(tile))
    tiles += [np.full_like(tiles[0], 244)] * (-len(tiles) % COLUMNS)
    return np.concatenate([np.concatenate(tiles[k : k + COLUMNS], 1) for k in range(0, len(tiles), COLUMNS)])


def animation(mesh: Mesh, file: Path) -> None:
    """A blink, a smile and a jaw drop, one after the other."""
    frames = []
    for names in MOVES:
        for weight in np.sin(np.linspace(0, np.pi, FRAMES)) ** 2:
            frames.append(Image.fromarray(view(posed(mesh, names, float(weight)), 12.0, SIZE)[0]))
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, quality=82)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
