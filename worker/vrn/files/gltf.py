"""glTF 2.0 binary files. COLOR_0 is linear light in 16 bit: in 8 bit dark hair and skin would show steps."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from selfie3d.types import Compression, Mesh
from selfie3d.types.rig import Eye, Rig
from vrn.files.gltf_storage import LEAST_MM, STORAGES, FloatStorage, Lattice
from vrn.files.jpeg import jpeg

LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071  # sampler
METRES_PER_MM = 0.001  # glTF lengths are metres; the vertices stay in mm under a node that scales them
MAGIC, JSON_CHUNK, BINARY_CHUNK = b"glTF", b"JSON", b"BIN\0"
LOOK_DEGREES = 25.0  # by which an eye turns for a weight of 1
EYE_LOOKS = {  # ARKit's names: which node turns about which of its axes, and how far at a weight of 1
    f"eyeLook{way}{side}": {"node": f"eye{side}", "axis": axis, "degrees": degrees}
    for side, inwards in (("Right", 1.0), ("Left", -1.0))
    for way, axis, degrees in (
        ("Up", [1, 0, 0], -LOOK_DEGREES),
        ("Down", [1, 0, 0], LOOK_DEGREES),
        ("In", [0, 1, 0], inwards * LOOK_DEGREES),
        ("Out", [0, 1, 0], -inwards * LOOK_DEGREES),
    )
}
UNLIT = "KHR_materials_unlit"  # the light is in the photo already; without the extension a matt material

Json = dict[str, Any]


def linear(srgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """sRGB bytes to linear light 0..1. Source: IEC 61966-2-1."""
    value = np.arange(256) / 255
    table = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.asarray(table.astype(np.float32)[srgb])


def glb(meshes: Sequence[Mesh], compression: Compression = Compression.NONE) -> bytes:
    """One scene with all meshes, which must share one mesh frame. With a texture where a mesh has one."""
    builder = _Builder(STORAGES[compression]())
    nodes = [builder.face(mesh, f"face-{number}") for number, mesh in enumerate(meshes, 1)]
    return builder.pack(nodes)


@dataclass
class _Builder:
    """The JSON tree while it grows."""

    storage: FloatStorage
    tree: dict[str, list[Any]] = field(default_factory=lambda: {key: [] for key in ("meshes", "materials", "nodes")})

    def face(self, mesh: Mesh, name: str) -> int:
        """Add a mesh and its node; the node's index."""
        lattice = self.storage.lattice(mesh.vertices)
        material = self.material(mesh, name)
        primitive = self.primitive(mesh, material, lattice)
        extras = _extras(mesh)
        described: Json = {"name": name, "primitives": [primitive], "extras": extras}
        node: Json = {"name": name} | lattice.node(Lattice())
        if mesh.rig:
            source = mesh.texture.source if mesh.texture else slice(None)
            deltas = _seen(mesh.rig)[:, source] / np.float32(lattice.step)
            primitive["targets"] = [{"POSITION": at} for at in self.storage.expressions(deltas)]
            described["weights"] = np.round(mesh.rig.weights, 4).tolist()
            extras |= {"targetNames": list(mesh.rig.names), "eyeLook": EYE_LOOKS}
        node["mesh"] = self.add("meshes", described)
        if mesh.rig:
            node["children"] = [self.eye(eye, material, lattice) for eye in mesh.rig.eyes]
        return self.add("nodes", node)

    def primitive(self, mesh: Mesh, material: int, lattice: Lattice) -> Json:
        """The mesh's arrays. Vertices on a seam of the texture are there once for each side of it."""
        storage, texture = self.storage, mesh.texture
        source = texture.source if texture else slice(None)
        attributes = {
            "POSITION": storage.places(lattice.inside(mesh.vertices[source])),
            "NORMAL": storage.directions(mesh.normals[source]),
            "_CONFIDENCE": storage.confidence(mesh.confidence[source]),
        }
        if texture:
            attributes["TEXCOORD_0"] = storage.texels(texture.uv * [1, -1] + [0, 1])
        else:
            attributes["COLOR_0"] = storage.colours(_rgba16(mesh.colours))
        indices = storage.triangles(texture.triangles if texture else mesh.triangles)
        return {"attributes": attributes, "indices": indices, "material": material}

    def eye(self, eye: Eye, material: int, parent: Lattice) -> int:
        """Add an eyeball, which turns about its own origin, below a face; its node's index."""
        attributes = {
            "POSITION": self.storage.places(eye.vertices / np.float32(parent.step)),
            "NORMAL": self.storage.directions(eye.vertices / np.linalg.norm(eye.vertices, axis=1)[:, None]),
            "TEXCOORD_0": self.storage.texels(eye.uv * [1, -1] + [0, 1]),
        }
        indices = self.storage.triangles(eye.triangles)
        primitive = {"attributes": attributes, "indices": indices, "material": material}
        at = self.add("meshes", {"name": eye.name, "primitives": [primitive]})
        place = Lattice(eye.centre, parent.step).node(parent)
        return self.add("nodes", {"name": eye.name, "mesh": at, **place, "rotation": _quaternion(eye.rotation)})

    def material(self, mesh: Mesh, name: str) -> int:
        """Add the material of a mesh: the colours as they are."""
        metal: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
        if mesh.texture:
            view = self.storage.view(jpeg(mesh.texture.image))
            image = self.add("images", {"bufferView": view, "mimeType": "image/jpeg"})
            wrap = {"wrapS": CLAMP_TO_EDGE, "wrapT": CLAMP_TO_EDGE}
            sampler = self.add("samplers", {"magFilter": LINEAR, "minFilter": LINEAR_MIPMAP_LINEAR, **wrap})
            metal["baseColorTexture"] = {"index": self.add("textures", {"source": image, "sampler": sampler})}
        return self.add("materials", {"name": name, "pbrMetallicRoughness": metal, "extensions": {UNLIT: {}}})

    def add(self, key: str, item: Json) -> int:
        """Append to one of the tree's lists; the item's index."""
        items = self.tree.setdefault(key, [])
        items.append(item)
        return len(items) - 1

    def pack(self, nodes: list[int]) -> bytes:
        """The file."""
        root = self.add("nodes", {"name": "selfie3d", "scale": [METRES_PER_MM] * 3, "children": nodes})
        required = list(self.storage.extensions)
        header = {
            "asset": {"version": "2.0", "generator": "selfie3d"},
            "extensionsUsed": [UNLIT, *required],
            **({"extensionsRequired": required} if required else {}),
            "scene": 0,
            "scenes": [{"nodes": [root]}],
            "buffers": self.storage.buffers,
            "bufferViews": self.storage.views,
            "accessors": self.storage.accessors,
        }
        text = json.dumps(header | self.tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = [
            struct.pack("<I4s", len(data), kind) + data
            for kind, data in ((JSON_CHUNK, text), (BINARY_CHUNK, bytes(self.storage.binary)))
        ]
        return struct.pack("<4sII", MAGIC, 2, 12 + sum(map(len, chunks))) + b"".join(chunks)


def _extras(mesh: Mesh) -> Json:
    """What glTF has no field for."""
    extras = {
        "unit": "mm",
        "mesh_to_photo": mesh.mesh_to_photo.ravel().tolist(),
        "landmarks": mesh.landmarks.astype(float).tolist(),
        "pose": vars(mesh.pose),
    }
    if mesh.dense_vertices is not None:
        extras["landmark_vertices"] = mesh.landmark_vertices.tolist()
        extras["dense_vertices"] = mesh.dense_vertices.tolist()
    return extras


def _seen(rig: Rig) -> NDArray[np.float32]:
    """(k, n, 3) float32 - mm: of the displacements those that can be seen, 0 elsewhere."""
    return np.where(np.abs(rig.deltas).max(2, keepdims=True) > LEAST_MM, rig.deltas, np.float32(0))


def _rgba16(colours: NDArray[np.uint8]) -> NDArray[np.uint16]:
    rgba = np.full((len(colours), 4), 65535, np.uint16)
    rgba[:, :3] = np.rint(linear(colours) * 65535)
    return rgba


def _quaternion(rotation: NDArray[np.float64]) -> list[float]:
    """x, y, z, w of a rotation matrix."""
    found = Rotation.from_matrix(rotation).as_quat()
    return [float(value) for value in found]
