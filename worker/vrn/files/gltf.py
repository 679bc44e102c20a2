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

from selfie3d.types import Mesh
from selfie3d.types.rig import Eye
from vrn.files.jpeg import jpeg

FLOAT, UNSIGNED_SHORT, UNSIGNED_INT = 5126, 5123, 5125  # componentType
VERTICES, INDICES = 34962, 34963  # bufferView.target
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071  # sampler
METRES_PER_MM = 0.001  # glTF lengths are metres; the vertices stay in mm under a node that scales them
MAGIC, JSON_CHUNK, BINARY_CHUNK = b"glTF", b"JSON", b"BIN\0"
SHORTS = 65535  # indices below it fit 16 bit; it ends a strip
LEAST_MM = 0.15  # by which an expression moves a vertex, else it stays
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


def linear(srgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """sRGB bytes to linear light 0..1. Source: IEC 61966-2-1."""
    value = np.arange(256) / 255
    table = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.asarray(table.astype(np.float32)[srgb])


def glb(meshes: Sequence[Mesh]) -> bytes:
    """One scene with all meshes, which must share one mesh frame. With a texture where a mesh has one."""
    builder = _Builder()
    nodes = [builder.face(mesh, f"face-{number}") for number, mesh in enumerate(meshes, 1)]
    return builder.pack(nodes)


@dataclass
class _Builder:
    """The JSON tree and the binary chunk while they grow."""

    binary: bytearray = field(default_factory=bytearray)
    tree: dict[str, list[Any]] = field(
        default_factory=lambda: {key: [] for key in ("accessors", "bufferViews", "meshes", "materials", "nodes")}
    )

    def face(self, mesh: Mesh, name: str) -> int:
        """Add a mesh and its node; the node's index."""
        texture = mesh.texture
        source = texture.source if texture else slice(None)
        triangles = texture.triangles if texture else mesh.triangles
        attributes = {
            "POSITION": self.accessor(mesh.vertices[source], "VEC3", FLOAT, bounds=True),
            "NORMAL": self.accessor(mesh.normals[source], "VEC3", FLOAT),
            "_CONFIDENCE": self.accessor(mesh.confidence[source].astype(np.float32), "SCALAR", FLOAT),
        }
        if texture:
            attributes["TEXCOORD_0"] = self.accessor(texture.uv * [1, -1] + [0, 1], "VEC2", FLOAT)
        else:
            attributes["COLOR_0"] = self.accessor(_rgba16(mesh.colours), "VEC4", UNSIGNED_SHORT, normalized=True)
        indices = self.indices(triangles)
        material = self.material(mesh, name)
        primitive: dict[str, Any] = {"attributes": attributes, "indices": indices, "material": material}
        extras = {
            "unit": "mm",
            "mesh_to_photo": mesh.mesh_to_photo.ravel().tolist(),
            "landmarks": mesh.landmarks.astype(float).tolist(),
            "pose": vars(mesh.pose),
        }
        if mesh.dense_vertices is not None:
            extras["landmark_vertices"] = mesh.landmark_vertices.tolist()
            extras["dense_vertices"] = mesh.dense_vertices.tolist()
        node: dict[str, Any] = {"name": name}
        described: dict[str, Any] = {"name": name, "primitives": [primitive], "extras": extras}
        if mesh.rig:
            primitive["targets"] = [{"POSITION": self.sparse(deltas[source])} for deltas in mesh.rig.deltas]
            described["weights"] = np.round(mesh.rig.weights, 4).tolist()
            extras["targetNames"] = list(mesh.rig.names)
            extras["eyeLook"] = EYE_LOOKS
        node["mesh"] = self.add("meshes", described)
        if mesh.rig:
            node["children"] = [self.eye(eye, material) for eye in mesh.rig.eyes]
        return self.add("nodes", node)

    def eye(self, eye: Eye, material: int) -> int:
        """Add an eyeball, which turns about its own origin; its node's index."""
        attributes = {
            "POSITION": self.accessor(eye.vertices, "VEC3", FLOAT, bounds=True),
            "NORMAL": self.accessor(eye.vertices / np.linalg.norm(eye.vertices, axis=1)[:, None], "VEC3", FLOAT),
            "TEXCOORD_0": self.accessor(eye.uv * [1, -1] + [0, 1], "VEC2", FLOAT),
        }
        indices = self.indices(eye.triangles)
        primitive = {"attributes": attributes, "indices": indices, "material": material}
        at = self.add("meshes", {"name": eye.name, "primitives": [primitive]})
        place = {"translation": eye.centre.tolist(), "rotation": _quaternion(eye.rotation)}
        return self.add("nodes", {"name": eye.name, "mesh": at} | place)

    def sparse(self, deltas: NDArray[np.float32]) -> int:
        """Add a morph target's displacements, only those that can be seen; its accessor's index."""
        moved = np.flatnonzero(np.abs(deltas).max(1) > LEAST_MM)
        values = np.ascontiguousarray(deltas[moved], "<f4")
        low, high = (bound(values, axis=0, initial=0) for bound in (np.min, np.max))
        index = self.view(moved.astype("<u2").tobytes())
        return self.add(
            "accessors",
            {
                "componentType": FLOAT,
                "count": len(deltas),
                "type": "VEC3",
                "min": low.tolist(),
                "max": high.tolist(),
                "sparse": {
                    "count": len(moved),
                    "indices": {"bufferView": index, "componentType": UNSIGNED_SHORT},
                    "values": {"bufferView": self.view(values.tobytes())},
                },
            },
        )

    def material(self, mesh: Mesh, name: str) -> int:
        """Add the material of a mesh: the colours as they are."""
        metal: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
        if mesh.texture:
            view = self.view(jpeg(mesh.texture.image))
            image = self.add("images", {"bufferView": view, "mimeType": "image/jpeg"})
            wrap = {"wrapS": CLAMP_TO_EDGE, "wrapT": CLAMP_TO_EDGE}
            sampler = self.add("samplers", {"magFilter": LINEAR, "minFilter": LINEAR_MIPMAP_LINEAR, **wrap})
            metal["baseColorTexture"] = {"index": self.add("textures", {"source": image, "sampler": sampler})}
        return self.add("materials", {"name": name, "pbrMetallicRoughness": metal, "extensions": {UNLIT: {}}})

    def indices(self, triangles: NDArray[np.int32]) -> int:
        """Add triangles, (m, 3); their accessor's index."""
        kind = UNSIGNED_SHORT if triangles.max(initial=0) < SHORTS else UNSIGNED_INT
        return self.accessor(triangles.ravel(), "SCALAR", kind, INDICES)

    def accessor(
        self,
        array: NDArray[Any],
        kind: str,
        component: int,
        target: int = VERTICES,
        *,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        """Add an array; its accessor's index."""
        little = np.ascontiguousarray(array, {FLOAT: "<f4", UNSIGNED_SHORT: "<u2", UNSIGNED_INT: "<u4"}[component])
        accessor: dict[str, Any] = {
            "bufferView": self.view(little.tobytes(), target),
            "componentType": component,
            "count": len(little),
            "type": kind,
        }
        if bounds:
            accessor |= {"min": little.min(0).tolist(), "max": little.max(0).tolist()}
        if normalized:
            accessor["normalized"] = True
        return self.add("accessors", accessor)

    def view(self, data: bytes, target: int | None = None) -> int:
        """Add bytes; their bufferView's index."""
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)}
        self.binary += data + bytes(-len(data) % 4)
        return self.add("bufferViews", view | ({"target": target} if target else {}))

    def add(self, key: str, item: dict[str, Any]) -> int:
        """Append to one of the tree's lists; the item's index."""
        items = self.tree.setdefault(key, [])
        items.append(item)
        return len(items) - 1

    def pack(self, nodes: list[int]) -> bytes:
        """The file."""
        root = self.add("nodes", {"name": "selfie3d", "scale": [METRES_PER_MM] * 3, "children": nodes})
        header = {
            "asset": {"version": "2.0", "generator": "selfie3d"},
            "extensionsUsed": [UNLIT],
            "scene": 0,
            "scenes": [{"nodes": [root]}],
            "buffers": [{"byteLength": len(self.binary)}],
        }
        text = json.dumps(header | self.tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = [
            struct.pack("<I4s", len(data), kind) + data
            for kind, data in ((JSON_CHUNK, text), (BINARY_CHUNK, bytes(self.binary)))
        ]
        return struct.pack("<4sII", MAGIC, 2, 12 + sum(map(len, chunks))) + b"".join(chunks)


def _rgba16(colours: NDArray[np.uint8]) -> NDArray[np.uint16]:
    rgba = np.full((len(colours), 4), 65535, np.uint16)
    rgba[:, :3] = np.rint(linear(colours) * 65535)
    return rgba


def _quaternion(rotation: NDArray[np.float64]) -> list[float]:
    """x, y, z, w of a rotation matrix."""
    found = Rotation.from_matrix(rotation).as_quat()
    return [float(value) for value in found]
