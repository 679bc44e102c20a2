"""A name server for tests: one answer to every question about IPv4 addresses."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any, Self

HEADER = 12  # bytes of a message before its question
FOUND = b"\x81\x80"  # a response without an error
ADDRESS, INTERNET = 1, 1  # type A, class IN


class NameServer:
    """Answers from `port` of loopback with `addresses`, which may change."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def target(self, port: int) -> str:
        """A gRPC target whose name this server knows."""
        return f"dns://127.0.0.1:{self.port}/faces.test:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, caller = self._socket.recvfrom(512)
            if not query:
                return
            self._socket.sendto(self._answer(query), caller)

    def _answer(self, query: bytes) -> bytes:
        end = query.index(0, HEADER) + 5  # the name's last byte, type and class
        question = query[HEADER:end]
        kind = struct.unpack(">H", question[-4:-2])[0]
        records = [record(address) for address in self.addresses] if kind == ADDRESS else []
        return query[:2] + FOUND + struct.pack(">4H", 1, len(records), 0, 0) + question + b"".join(records)


def record(address: str) -> bytes:
    """An answer about the name of the question, not to be kept."""
    return struct.pack(">HHHIH", 0xC000 | HEADER, ADDRESS, INTERNET, 0, 4) + socket.inet_aton(address)
