"""Mesh files: PLY, OBJ, GLB and STL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import trimesh

from vrn.mesh import Mesh
from vrn.options import Format, Options

MEDIA_TYPES = {
    Format.PLY: "model/ply",
    Format.OBJ: "model/obj",
    Format.GLB: "model/gltf-binary",
    Format.STL: "model/stl",
}


@dataclass(frozen=True)
class MeshFile:
    """A file as it goes to disk.

    Attributes
    ----------
    data : the file
    extension : with the dot
    media_type : as registered with IANA
    """

    data: bytes
    extension: str
    media_type: str

    def metadata(self) -> dict[str, Any]:
        """All but the bytes, as JSON types."""
        return {
            "extension": self.extension,
            "media_type": self.media_type,
            "size_bytes": len(self.data),
            "sha256": self.sha256,
        }

    @property
    def sha256(self) -> str:
        """Hex digest of the file."""
        return hashlib.sha256(self.data).hexdigest()


def encode(mesh: Mesh, options: Options) -> MeshFile:
    """Write one mesh."""
    return encode_scene([mesh], options)


def encode_scene(meshes: Sequence[Mesh], options: Options) -> MeshFile:
    """Write all faces of a photo into one file."""
    return MeshFile(_ply(meshes[0]), f".{options.format}", MEDIA_TYPES[options.format])


def _ply(mesh: Mesh) -> bytes:
    """Binary little-endian PLY: position in mm, normal, sRGB bytes with alpha, confidence."""
    return cast(bytes, _trimesh(mesh).export(file_type="ply", vertex_normal=True))


def _trimesh(mesh: Mesh) -> trimesh.Trimesh:
    """The same arrays as a trimesh, nothing merged or reordered."""
    return trimesh.Trimesh(
        mesh.vertices,
        mesh.triangles,
        vertex_normals=mesh.normals,
        vertex_colors=mesh.colours,
        vertex_attributes={"confidence": mesh.confidence},
        process=False,
        validate=False,
    )
