"""Mesh files: PLY, OBJ, GLB, STL and USDZ.

trimesh, which writes OBJ and STL, is imported when it is used: it takes half a second and 30 MB.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from selfie3d.types import Format, Mesh, MeshFile, Options
from vrn.files.gltf import glb
from vrn.files.jpeg import jpeg
from vrn.files.ply import ply
from vrn.files.usdz import usdz

if TYPE_CHECKING:
    import trimesh

MEDIA_TYPES = {
    Format.PLY: "model/ply",
    Format.OBJ: "model/obj",
    Format.GLB: "model/gltf-binary",
    Format.STL: "model/stl",
    Format.USDZ: "model/vnd.usdz+zip",
}
ZIP_MEDIA_TYPE = "application/zip"
OBJ_DIGITS = 5  # after the point; mm
WHITE, BLACK = (255, 255, 255, 255), (0, 0, 0, 255)


def encode(mesh: Mesh, options: Options) -> MeshFile:
    """Write one mesh. Textured where the mesh has a texture and the format can hold it."""
    return _write([mesh], options)


def encode_scene(meshes: Sequence[Mesh], options: Options) -> MeshFile:
    """Write meshes of one frame, as scene.placed makes them, into one file."""
    return _write(meshes, options)


def _write(meshes: Sequence[Mesh], options: Options) -> MeshFile:
    format = options.format
    if format is Format.OBJ and any(mesh.texture for mesh in meshes):
        return MeshFile.of(_zipped_obj(meshes), format, ZIP_MEDIA_TYPE, ".zip")
    data = glb(meshes, options.compression) if format is Format.GLB else WRITERS[format](meshes)
    return MeshFile.of(data, format, MEDIA_TYPES[format], f".{format}")


def _stl(meshes: Sequence[Mesh]) -> bytes:
    """Binary STL in mm, no colour."""
    return cast(bytes, _trimesh(meshes).export(file_type="stl"))


def _obj(meshes: Sequence[Mesh]) -> bytes:
    """OBJ in mm with normals, and sRGB 0..1 after each position."""
    return _obj_text(_trimesh(meshes))[0].encode()


def _zipped_obj(meshes: Sequence[Mesh]) -> bytes:
    """A ZIP of face.obj, face.mtl and one JPEG a face; the same meshes give the same bytes."""
    import trimesh

    scene = trimesh.Scene()
    for number, mesh in enumerate(meshes, 1):
        scene.add_geometry(_textured(mesh, f"face-{number}"), geom_name=f"face-{number}")
    text, assets = _obj_text(scene)
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {"face.obj": text.encode(), **assets}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16  # readable for all once unpacked
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _obj_text(geometry: trimesh.Trimesh | trimesh.Scene) -> tuple[str, dict[str, bytes]]:
    """OBJ text and the files that it names."""
    from trimesh.exchange.obj import export_obj

    text, assets = export_obj(
        geometry, include_normals=True, return_texture=True, digits=OBJ_DIGITS, header="selfie3d", mtl_name="face.mtl"
    )
    return text, assets


def _trimesh(meshes: Sequence[Mesh]) -> trimesh.Trimesh:
    """All arrays in one trimesh, nothing merged or reordered."""
    import trimesh

    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return trimesh.Trimesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]),
        vertex_normals=np.concatenate([mesh.normals for mesh in meshes]),
        vertex_colors=np.concatenate([mesh.colours for mesh in meshes]),
        vertex_attributes={"confidence": np.concatenate([mesh.confidence for mesh in meshes])},
        process=False,
        validate=False,
    )


def _textured(mesh: Mesh, name: str) -> trimesh.Trimesh:
    import trimesh
    from trimesh.visual.material import SimpleMaterial
    from trimesh.visual.texture import TextureVisuals

    texture = mesh.texture
    if texture is None:
        return _trimesh([mesh])
    picture = Image.open(BytesIO(jpeg(texture.image)))
    material = SimpleMaterial(picture, diffuse=WHITE, ambient=WHITE, specular=BLACK, name=name)
    return trimesh.Trimesh(
        mesh.vertices[texture.source],
        texture.triangles,
        vertex_normals=mesh.normals[texture.source],
        visual=TextureVisuals(texture.uv, material),
        process=False,
        validate=False,
    )


WRITERS: dict[Format, Callable[[Sequence[Mesh]], bytes]] = {
    Format.PLY: ply,
    Format.OBJ: _obj,
    Format.STL: _stl,
    Format.USDZ: usdz,
}
