"""The outcome of a job in less than half of its bytes, for jobs whose record is all that Redis has of them.

Landmarks are most of an outcome. Their numbers are 32-bit ones in 64 bits; apart by coordinate and by byte they take
less room still. What cannot be packed without a loss stays a message.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from selfie3d.v1 import reconstruction_pb2 as pb

PACKED = b"\x01"  # no message begins so: it would be a field of number 0
LENGTH = 4  # bytes of a number in front of what it counts
COLUMNS = 4  # x, y, z and the vertex of a landmark
WIDTH = 4  # bytes of each

FIXED64, BYTES, VARINT = 1, 2, 0  # wire types
SHIFTS = np.arange(0, 35, 7, dtype=np.uint32)  # of the bytes of a varint with 32 bits
MORE = np.array([0x80, 0x80, 0x80, 0x80, 0], np.uint32)  # follow: each number is written with all five
ROW = np.dtype(  # a landmark in its face, with the head of each field in front of it
    [
        ("in_face", "u1"),
        ("size", "u1"),
        *(field for name in "xyz" for field in ((f"head_{name}", "u1"), (name, "<f8"))),
        ("head_vertex", "u1"),
        ("vertex", "u1", len(SHIFTS)),
    ]
)


def _head(message: type[Message], name: str, wire_type: int) -> int:
    """What stands in front of a field on the wire; one byte for numbers below 16."""
    return int(message.DESCRIPTOR.fields_by_name[name].number << 3 | wire_type)


HEADS = np.array(
    (
        _head(pb.Face, "landmarks", BYTES),
        ROW.itemsize - 2,
        *(part for name in "xyz" for part in (_head(pb.Landmark, name, FIXED64), 0.0)),
        _head(pb.Landmark, "vertex", VARINT),
        0,
    ),
    ROW,
)


def pack(outcome: pb.Job) -> bytes:
    """The bytes of an outcome."""
    columns = [_columns(face.landmarks) for face in outcome.faces]
    if any(each is None for each in columns):
        return outcome.SerializeToString()
    rest = pb.Job()
    rest.CopyFrom(outcome)
    for face in rest.faces:
        face.ClearField("landmarks")
    parts = [rest.SerializeToString(), *(each for each in columns if each is not None)]
    return PACKED + zlib.compress(b"".join(len(part).to_bytes(LENGTH, "big") + part for part in parts), 9)


def unpack(data: bytes) -> pb.Job:
    """The outcome, packed or a message."""
    if not data.startswith(PACKED):
        return pb.Job.FromString(data)
    first, *columns = _parts(zlib.decompress(data[len(PACKED) :]))
    outcome = pb.Job.FromString(first)
    for face, each in zip(outcome.faces, columns, strict=True):
        face.MergeFromString(_landmarks(each))
    return outcome


def _columns(landmarks: Sequence[pb.Landmark]) -> bytes | None:
    """Coordinates and vertices, column by column and byte by byte; None when 32 bits do not hold them."""
    wide = np.array([(point.x, point.y, point.z) for point in landmarks], np.float64).reshape(-1, 3)
    with np.errstate(over="ignore"):
        narrow = wide.astype(">f4")
    if not np.array_equal(narrow.astype(np.float64), wide):
        return None
    vertices = np.array([point.vertex for point in landmarks], ">u4").reshape(-1, 1)
    table = np.concatenate([narrow.view(">u4"), vertices], axis=1).astype(">u4")  # concatenate forgets the order
    return table.T.copy().view(np.uint8).reshape(COLUMNS, -1, WIDTH).transpose(0, 2, 1).tobytes()


def _landmarks(data: bytes) -> bytes:
    """Landmarks as a face's message has them on the wire: made in Python, they hold callers up in long lists."""
    columns: NDArray[np.uint8] = np.frombuffer(data, np.uint8).reshape(COLUMNS, WIDTH, -1)
    numbers = columns.transpose(0, 2, 1).copy().view(">u4")[..., 0]
    rows = np.repeat(HEADS, numbers.shape[1])
    rows["x"], rows["y"], rows["z"] = numbers[:3].copy().view(">f4")
    rows["vertex"] = numbers[3].astype(np.uint32)[:, None] >> SHIFTS & 0x7F | MORE
    return rows.tobytes()


def _parts(data: bytes) -> list[bytes]:
    parts, at = list[bytes](), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + LENGTH], "big")
        parts.append(data[at + LENGTH : at + LENGTH + size])
        at += LENGTH + size
    return parts
