"""Which options go together."""

from __future__ import annotations

from typing import Any

import pytest

from selfie3d.types import Format, OptionError, Options, Topology


@pytest.mark.parametrize(
    ("wanted", "field", "message"),
    [
        ({"rigged": True}, "rigged", "needs format glb"),
        ({"rigged": True, "format": "obj"}, "rigged", "needs format glb"),
        ({"rigged": True, "format": "glb", "extent": "face"}, "rigged", "needs extent head"),
        ({"rigged": True, "format": "glb", "printable": True}, "rigged", "no solid"),
        ({"rigged": True, "format": "glb", "all_faces": True, "scene": True}, "rigged", "leave scene out"),
        ({"neutral": True, "extent": "face"}, "neutral", "needs extent head"),
        ({"neutral": True, "format": "stl"}, "neutral", "no solid"),
        ({"topology": "head", "extent": "face"}, "topology", "topology head needs extent head"),
        ({"topology": "head", "printable": True}, "topology", "no solid"),
        ({"topology": "skull"}, "topology", "volume, head"),
        ({"compression": "meshopt"}, "compression", "needs format glb"),
        ({"compression": "quantised", "format": "usdz"}, "compression", "needs format glb"),
        ({"compression": "zip", "format": "glb"}, "compression", "none, quantised, meshopt"),
    ],
)
def test_what_does_not_go_together_is_refused(wanted: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as raised:
        Options(**wanted)
    assert raised.value.field == field


def test_a_rig_and_a_neutral_face_have_the_head_s_topology() -> None:
    assert Options().topology is Topology.VOLUME
    assert Options(Format.GLB, rigged=True).topology is Topology.HEAD
    assert Options(neutral=True).topology is Topology.HEAD


@pytest.mark.parametrize("format", [Format.OBJ, Format.GLB])
def test_the_head_s_topology_has_a_texture_where_the_format_holds_one(format: Format) -> None:
    assert Options(format, topology="head").needs_texture  # type: ignore[arg-type]
    assert not Options(format).needs_texture
    assert not Options(Format.PLY, topology=Topology.HEAD).needs_texture
