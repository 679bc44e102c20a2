"""A service and this process return the same Result for the same photo."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import selfie3d
from selfie3d.types.mesh import COLUMNS
from tests.photos import astronaut, coffee, mirrored_astronaut


def test_both_ways_give_the_same_face(address: str) -> None:
    with selfie3d.Client(address) as client:
        remote = client.reconstruct(astronaut())
    local = selfie3d.Reconstructor.open().reconstruct(astronaut())
    assert local.views == remote.views == ()
    assert_equal(remote, local)


def test_both_ways_give_the_same_head_of_one_person(address: str) -> None:
    photos = [astronaut(), mirrored_astronaut(), coffee()]
    with selfie3d.Client(address) as client:
        remote = client.reconstruct(photos, one_person=True)
    local = selfie3d.Reconstructor.open().reconstruct(photos, one_person=True)
    assert remote.views == local.views == (remote.job.views if remote.job else ())
    assert [view.left_out for view in local.views] == ["", "", "NO_FACE"]
    assert sum(view.weight for view in local.views) == pytest.approx(1)
    assert_equal(remote, local)


def test_both_ways_give_the_same_head_of_one_person_that_moves(address: str) -> None:
    photos = [astronaut(), mirrored_astronaut()]
    wanted: Any = {"format": "glb", "rigged": True, "compression": "meshopt"}
    with selfie3d.Client(address) as client:
        remote = client.reconstruct(photos, one_person=True, **wanted)
    local = selfie3d.Reconstructor.open().reconstruct(photos, one_person=True, **wanted)
    assert remote.mesh.data == local.mesh.data
    assert b"browInnerUp" in remote.mesh.data
    assert len(remote.mesh.data) < 1_000_000
    assert remote.views == local.views
    assert remote.faces[0].preview.data == local.faces[0].preview.data


def assert_equal(remote: selfie3d.Result, local: selfie3d.Result) -> None:
    assert type(remote) is type(local) is selfie3d.Result
    assert local.job is None
    assert remote.job is not None
    assert set(local.seconds) == set(remote.seconds)
    (one,), (other,) = remote.faces, local.faces
    for field in fields(selfie3d.Face):
        if not field.name.startswith("_"):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)
    for name in [*COLUMNS, "triangles", "mesh_to_photo", "landmark_vertices", "landmarks", "data"]:
        np.testing.assert_array_equal(getattr(one.mesh, name), getattr(other.mesh, name), err_msg=name)
        assert getattr(one.mesh, name).dtype == getattr(other.mesh, name).dtype if name != "data" else True
    assert one.mesh.pose == other.mesh.pose
    assert (one.preview, one.preview.data) == (other.preview, other.preview.data)
