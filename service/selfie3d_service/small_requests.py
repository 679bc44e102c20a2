"""Requests without a photo are small: a larger one is refused before it is parsed, by the name of its large field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor

from selfie3d_jobs import Reason
from selfie3d_service.errors import CallError

MAX_SMALL_BYTES = 64 * 1024  # parsing millions of small fields would hold all callers up
MAX_LOOKS = 16  # fields of a too large request that are looked at
VARINT, BYTES = 0, 2  # wire types


def small(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """`parse`, which is a message's FromString, for small requests alone. Raises CallError."""

    def parse_small(data: bytes) -> Any:
        if len(data) > MAX_SMALL_BYTES:
            field = large_field(data, getattr(getattr(parse, "__self__", None), "DESCRIPTOR", None))
            text = f"{field or 'The request'} is too large: this method takes {MAX_SMALL_BYTES} bytes at most."
            raise CallError(Reason.REQUEST_MALFORMED, text, field=field)
        return parse(data)

    return parse_small


def large_field(data: bytes, message: Descriptor | None) -> str | None:
    """The name of the first field over the limit; None when the first few fields have none such."""
    at = 0
    try:
        for _ in range(MAX_LOOKS):
            tag, at = _varint(data, at)
            size, at = _varint(data, at)
            if tag & 7 == BYTES and size > MAX_SMALL_BYTES:
                found = message.fields_by_number.get(tag >> 3) if message else None
                return found.name if found else None
            if tag & 7 not in (VARINT, BYTES):
                return None
            at += size if tag & 7 == BYTES else 0
    except IndexError:  # no message
        pass
    return None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number there and the place after it. Raises IndexError."""
    value = 0
    for shift in range(0, 70, 7):
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            break
    return value, at
