"""The API's messages as JSON: the proto's field names, enums in the client's words, times in RFC 3339, no nulls."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


def to_json(message: Message) -> dict[str, Any]:
    """Fields without presence are always there; messages, and enums that say nothing, only when set."""
    shown: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            shown[field.name] = [_one(field, each) for each in value]
        elif field.message_type is not None:
            if message.HasField(field.name):
                shown[field.name] = _one(field, value)
        elif field.enum_type is None or value:
            shown[field.name] = _one(field, value)
    return shown


def enum_words(enum: EnumDescriptor) -> dict[str, int]:
    """{word: number} of an enum: MESH_FORMAT_GLB is "glb". The unspecified value has no word."""
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix).lower(): value.number for value in enum.values if value.number}


def _one(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return _word(field.enum_type, value)
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Duration):
        return value.ToTimedelta().total_seconds()
    return to_json(value) if isinstance(value, Message) else value


def _word(enum: EnumDescriptor, number: int) -> str:
    """The word; the number as text for one that this release does not know."""
    return next((word for word, known in enum_words(enum).items() if known == number), str(number))
