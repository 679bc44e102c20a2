"""USDZ files, read back by OpenUSD and checked with its validators."""

from __future__ import annotations

import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from selfie3d.types import Format, Mesh, Options
from vrn.files.export import encode, encode_scene
from vrn.files.usdz import ALIGNMENT, SCENE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pxr import Usd, UsdGeom, UsdShade, UsdValidation


def opened(data: bytes, folder: Path) -> Any:
    file = folder / "head.usdz"
    file.write_bytes(data)
    return Usd.Stage.Open(str(file))


def test_every_array_is_read_back(textured: Mesh, tmp_path: Path) -> None:
    file = encode(textured, Options(Format.USDZ))
    assert (file.media_type, file.extension) == ("model/vnd.usdz+zip", ".usdz")
    stage = opened(file.data, tmp_path)
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 0.001
    assert stage.GetDefaultPrim().GetPath() == "/selfie3d"
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/selfie3d/face_1"))
    texture = textured.texture
    assert texture
    points = np.array(mesh.GetPointsAttr().Get())
    np.testing.assert_allclose(points, textured.vertices[texture.source], atol=6e-5)
    np.testing.assert_allclose(np.array(mesh.GetNormalsAttr().Get()), textured.normals[texture.source], atol=6e-5)
    st = UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st")
    np.testing.assert_allclose(np.array(st.Get()), texture.uv, atol=1e-6)
    indices = np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)
    assert (indices == texture.triangles).all()
    assert (np.array(mesh.GetFaceVertexCountsAttr().Get()) == 3).all()
    np.testing.assert_allclose(np.array(mesh.GetExtentAttr().Get()), [points.min(0), points.max(0)], atol=1e-4)
    material, _ = UsdShade.MaterialBindingAPI(mesh.GetPrim()).ComputeBoundMaterial()
    surface, _, _ = material.ComputeSurfaceSource()
    picture = surface.GetInput("diffuseColor").GetConnectedSources()[0][0].source
    assert picture.GetPrim().GetAttribute("inputs:file").Get().path == "face_1.jpg"


def test_every_validator_of_openusd_is_content(textured: Mesh, tmp_path: Path) -> None:
    stage = opened(encode(textured, Options(Format.USDZ)).data, tmp_path)
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    names = {validator.GetMetadata().name for validator in validators}
    assert {"usdUtilsValidators:UsdzPackageValidator", "usdShadeValidators:ShaderSdrCompliance"} <= names
    errors = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [error.GetErrorAsString() for error in errors] == []


def test_its_files_are_stored_as_they_are_at_multiples_of_64(textured: Mesh) -> None:
    data = encode(textured, Options(Format.USDZ)).data
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.namelist() == [SCENE, "face_1.jpg"]
        for entry in archive.infolist():
            name, extra = (int.from_bytes(data[entry.header_offset + at :][:2], "little") for at in (26, 28))
            start = entry.header_offset + 30 + name + extra
            assert start % ALIGNMENT == 0
            assert data[start : start + entry.file_size] == archive.read(entry)
        picture = Image.open(BytesIO(archive.read("face_1.jpg")))
    assert textured.texture
    assert picture.size == textured.texture.image.shape[1::-1]


def test_a_scene_holds_every_face_and_equal_meshes_give_equal_bytes(textured: Mesh, tmp_path: Path) -> None:
    options = Options(Format.USDZ, all_faces=True, scene=True)
    data = encode_scene([textured, textured], options).data
    assert data == encode_scene([textured, textured], options).data
    stage = opened(data, tmp_path)
    meshes = [prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    assert [prim.GetName() for prim in meshes] == ["face_1", "face_2"]


def test_a_usdz_has_a_texture_whether_one_was_asked_for_or_not() -> None:
    assert Options(Format.USDZ).needs_texture
    assert Options(Format.USDZ, textured=True).needs_texture
    assert not Options(Format.GLB).needs_texture
