"""The outcome of a job in less than half of its bytes, for jobs whose record is all that Redis has of them.

Landmarks are most of an outcome. Their numbers are 32-bit ones in 64 bits; apart by coordinate and by byte they take
less room still. What cannot be packed without a loss stays a message.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from selfie3d.v1 import reconstruction_pb2 as pb

PACKED = b"\x01"  # no message begins so: it would be a field of number 0
LENGTH = 4  # bytes of a number in front of what it counts
KINDS = "fffI"  # x, y, z and the vertex of a landmark, as struct has them
WIDTH = 4  # bytes of each

FIXED64, BYTES, VARINT = 1, 2, 0  # wire types
DOUBLE, LONGEST_VARINT = 8, 5  # bytes of a coordinate, and of a number with 32 bits, on the wire


def _head(message: type[Message], name: str, wire_type: int) -> int:
    """What stands in front of a field on the wire; one byte for numbers below 16."""
    return int(message.DESCRIPTOR.fields_by_name[name].number << 3 | wire_type)


ROW = b"".join(  # a landmark in its face, with zeros for its numbers
    (
        bytes([_head(pb.Face, "landmarks", BYTES), 3 * (1 + DOUBLE) + 1 + LONGEST_VARINT]),
        *(bytes([_head(pb.Landmark, name, FIXED64)]) + bytes(DOUBLE) for name in "xyz"),
        bytes([_head(pb.Landmark, "vertex", VARINT)]) + bytes(LONGEST_VARINT),
    )
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
    """Coordinates and vertices, column by column and byte by byte; None when 32 bits do not hold them.

    With struct, because the service, which imports this, does without numpy.
    """
    rows = [(point.x, point.y, point.z, point.vertex) for point in landmarks]
    columns = zip(*rows, strict=True) if rows else [()] * len(KINDS)
    packed = [_column(values, kind) for values, kind in zip(columns, KINDS, strict=True)]
    if any(each is None for each in packed):
        return None
    return b"".join(each[byte::WIDTH] for each in packed if each is not None for byte in range(WIDTH))


def _column(values: Sequence[float], kind: str) -> bytes | None:
    """The numbers in 32 bits each, big-endian; None when one of them needs more."""
    form = f">{len(values)}{kind}"
    try:
        packed = struct.pack(form, *values)
    except OverflowError:
        return None
    return packed if struct.unpack(form, packed) == tuple(values) else None


def _landmarks(data: bytes) -> bytes:
    """Landmarks as a face's message has them on the wire: made one by one, they hold callers up in long lists."""
    *coordinates, vertices = _numbers(data)
    rows, at = bytearray(ROW * len(vertices)), 2
    for values in coordinates:
        at += 1
        doubles = struct.pack(f"<{len(values)}d", *values)
        for byte in range(DOUBLE):
            rows[at + byte :: len(ROW)] = doubles[byte::DOUBLE]
        at += DOUBLE
    for byte in range(LONGEST_VARINT):
        more = 0x80 if byte < LONGEST_VARINT - 1 else 0  # follow: each number is written with all five
        rows[at + 1 + byte :: len(ROW)] = bytes([vertex >> 7 * byte & 0x7F | more for vertex in vertices])
    return bytes(rows)


def _numbers(data: bytes) -> list[tuple[Any, ...]]:
    """What `_columns` made bytes of: x, y, z and vertex of all landmarks."""
    length, count = len(data) // len(KINDS), len(data) // len(KINDS) // WIDTH
    columns = []
    for at, kind in enumerate(KINDS):
        column = bytearray(length)
        for byte in range(WIDTH):
            start = at * length + byte * count
            column[byte::WIDTH] = data[start : start + count]
        columns.append(struct.unpack(f">{count}{kind}", column))
    return columns


def _parts(data: bytes) -> list[bytes]:
    parts, at = list[bytes](), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + LENGTH], "big")
        parts.append(data[at + LENGTH : at + LENGTH + size])
        at += LENGTH + size
    return parts
