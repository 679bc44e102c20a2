"""Packed outcomes come back as they were."""

from __future__ import annotations

import numpy as np
import pytest

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs.packing import PACKED, pack, unpack


def outcome(*counts: int, seed: int = 0, wide: bool = False) -> pb.Job:
    """Faces with so many landmarks each."""
    draw, faces = np.random.default_rng(seed), []
    for index, count in enumerate(counts):
        points = draw.normal(scale=80, size=(count, 3))
        points = points if wide else points.astype(np.float32)
        landmarks = [pb.Landmark(x=x, y=y, z=z, vertex=n * 301) for n, (x, y, z) in enumerate(points.tolist())]
        faces.append(pb.Face(index=index, score=0.9, landmarks=landmarks, file=pb.MeshFile(size_bytes=7)))
    return pb.Job(faces=faces, stage_times=[pb.StageTime(stage="STAGE_DECODE", seconds=0.1)])


@pytest.mark.parametrize("counts", [(), (68,), (68, 0, 68), (1,), (0,)])
@pytest.mark.parametrize("wide", [False, True])
def test_an_outcome_comes_back_to_the_bit(counts: tuple[int, ...], wide: bool) -> None:
    made = outcome(*counts, wide=wide)
    assert unpack(pack(made)) == made


def test_unusual_numbers_come_back_too() -> None:
    made = outcome(2)
    made.faces[0].landmarks[0].x = -0.0
    made.faces[0].landmarks[1].z = 1e300  # no 32-bit number
    made.faces[0].landmarks[1].vertex = 2**32 - 1
    assert unpack(pack(made)) == made
    assert not pack(made).startswith(PACKED)


def test_a_face_takes_less_than_half() -> None:
    made = outcome(68)
    assert pack(made).startswith(PACKED)
    assert len(pack(made)) < 0.5 * len(made.SerializeToString())


@pytest.mark.parametrize("vertex", [0, 1, 127, 128, 16_383, 16_384, 2**28, 2**32 - 1])
def test_every_number_of_a_vertex_comes_back(vertex: int) -> None:
    made = pb.Job(faces=[pb.Face(landmarks=[pb.Landmark(x=0.0, y=-0.0, z=0.5, vertex=vertex)])])
    packed = pack(made)
    assert packed.startswith(PACKED)
    assert unpack(packed).SerializeToString(deterministic=True) == made.SerializeToString(deterministic=True)


def test_a_message_of_an_earlier_version_is_read() -> None:
    made = outcome(68)
    assert unpack(made.SerializeToString()) == made
