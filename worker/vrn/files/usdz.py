"""USDZ files, which phones and tablets of Apple show in the room (AR Quick Look).

A USDZ is a ZIP without compression in which every file begins at a multiple of 64 bytes; the first is the scene, here
as text. Quick Look shows no colours of vertices, so the mesh must have a texture.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from selfie3d.types import Mesh
from vrn.files.jpeg import jpeg

ALIGNMENT = 64  # bytes
LOCAL_HEADER = 30  # bytes of a ZIP entry before its name
PADDING_ID = 0x1986  # of the extra field that USD pads with
EXTRA_HEADER = 4  # bytes: id and size
SCENE = "scene.usda"
DIGITS = {"points": 4, "normals": 4, "st": 6}  # after the point; mm, unit vectors, 0..1

HEAD = """#usda 1.0
(
    customLayerData = {{ string creator = "selfie3d" }}
    defaultPrim = "selfie3d"
    metersPerUnit = 0.001
    upAxis = "Y"
)

def Xform "selfie3d" (kind = "component")
{{
{faces}}}
"""
FACE = """    def Mesh "{name}" (prepend apiSchemas = ["MaterialBindingAPI"])
    {{
        uniform bool doubleSided = 0
        float3[] extent = {extent}
        int[] faceVertexCounts = {counts}
        int[] faceVertexIndices = {indices}
        normal3f[] normals = {normals} (interpolation = "vertex")
        uniform token orientation = "rightHanded"
        point3f[] points = {points}
        texCoord2f[] primvars:st = {st} (interpolation = "vertex")
        uniform token subdivisionScheme = "none"
        rel material:binding = </selfie3d/{name}/material>

        def Material "material"
        {{
            token outputs:surface.connect = </selfie3d/{name}/material/surface.outputs:surface>

            def Shader "surface"
            {{
                uniform token info:id = "UsdPreviewSurface"
                color3f inputs:diffuseColor.connect = </selfie3d/{name}/material/picture.outputs:rgb>
                float inputs:metallic = 0
                float inputs:roughness = 1
                token outputs:surface
            }}

            def Shader "picture"
            {{
                uniform token info:id = "UsdUVTexture"
                asset inputs:file = @{name}.jpg@
                token inputs:sourceColorSpace = "sRGB"
                float2 inputs:st.connect = </selfie3d/{name}/material/places.outputs:result>
                token inputs:wrapS = "clamp"
                token inputs:wrapT = "clamp"
                float3 outputs:rgb
            }}

            def Shader "places"
            {{
                uniform token info:id = "UsdPrimvarReader_float2"
                string inputs:varname = "st"
                float2 outputs:result
            }}
        }}
    }}
"""


def usdz(meshes: Sequence[Mesh]) -> bytes:
    """One scene with all meshes, which must share one mesh frame and have textures. Equal meshes give equal bytes."""
    named = {f"face_{number}": mesh for number, mesh in enumerate(meshes, 1)}
    scene = HEAD.format(faces="".join(_face(name, mesh) for name, mesh in named.items()))
    pictures = {f"{name}.jpg": jpeg(mesh.texture.image) for name, mesh in named.items() if mesh.texture}
    return _packed({SCENE: scene.encode(), **pictures})


def _face(name: str, mesh: Mesh) -> str:
    texture = mesh.texture
    if texture is None:
        raise ValueError("a USDZ needs a texture")
    points = mesh.vertices[texture.source]
    return FACE.format(
        name=name,
        extent=_tuples(np.stack([points.min(0), points.max(0)]), DIGITS["points"]),
        counts=f"[{', '.join(['3'] * len(texture.triangles))}]",
        indices=f"[{', '.join(map(str, texture.triangles.ravel().tolist()))}]",
        normals=_tuples(mesh.normals[texture.source], DIGITS["normals"]),
        points=_tuples(points, DIGITS["points"]),
        st=_tuples(texture.uv, DIGITS["st"]),
    )


def _tuples(rows: NDArray[np.float32], digits: int) -> str:
    """[(x, y, z), ...] with so many digits after the point."""
    row = f"({', '.join([f'%.{digits}f'] * rows.shape[1])})"
    return f"[{', '.join([row] * len(rows)) % tuple(rows.ravel().tolist())}]"


def _packed(files: dict[str, bytes]) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            entry.extra = _padding(out.tell() + LOCAL_HEADER + len(name))
            archive.writestr(entry, data)
    return out.getvalue()


def _padding(offset: int) -> bytes:
    """An extra field that moves what would begin at the offset to a multiple of 64."""
    size = -(offset + EXTRA_HEADER) % ALIGNMENT
    return struct.pack("<HH", PADDING_ID, size) + bytes(size)
