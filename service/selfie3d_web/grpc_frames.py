"""The frames of gRPC-Web: a flag, a length, and a message or the trailers."""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass
from urllib.parse import quote

DATA, TRAILERS = 0x00, 0x80  # flags; 1 in addition: compressed
HEAD = struct.Struct(">BI")
DETAILS = "grpc-status-details-bin"
TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])")
UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}  # seconds


def data_frame(message: bytes) -> bytes:
    """A message of the answer."""
    return HEAD.pack(DATA, len(message)) + message


def one_message(body: bytes) -> bytes:
    """The message of a request that has one. Raises ValueError."""
    if len(body) < HEAD.size:
        raise ValueError("The request has no frame.")
    flag, length = HEAD.unpack_from(body)
    if flag != DATA:
        raise ValueError("The request's message is compressed, or none.")
    if length != len(body) - HEAD.size:
        raise ValueError("The request must be one whole message.")
    return body[HEAD.size :]


def timeout_seconds(header: str) -> float | None:
    """Of `grpc-timeout`; None without one."""
    found = TIMEOUT.fullmatch(header)
    return int(found[1]) * UNITS[found[2]] if found else None


@dataclass(frozen=True)
class Trailers:
    """How a call ended.

    code : grpc's status; 0 is OK
    more : further trailers; values of keys that end in -bin are bytes
    """

    code: int = 0
    message: str = ""
    more: tuple[tuple[str, str | bytes], ...] = ()

    def frame(self) -> bytes:
        """As the last frame of an answer."""
        lines = [f"grpc-status:{self.code}"]
        if self.message:
            lines.append(f"grpc-message:{quote(self.message, safe=' !#$&()*+,/:;=?@[]~')}")
        lines += [f"{key}:{_text(value)}" for key, value in self.more]
        block = "".join(f"{line}\r\n" for line in lines).encode("ascii", "replace")
        return HEAD.pack(TRAILERS, len(block)) + block


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else base64.b64encode(value).decode().rstrip("=")
