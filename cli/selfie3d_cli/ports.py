"""Ports of this machine that nobody uses."""

from __future__ import annotations

import socket
from contextlib import suppress

LOOPBACK = "127.0.0.1"


def free_port(*wanted: int, host: str = LOOPBACK) -> int:
    """The first of the wanted ports that is free now, else any that is."""
    for port in wanted:
        with suppress(OSError):
            return _bound(host, port)
    return _bound(host, 0)


def _bound(host: str, port: int) -> int:
    """The port that was bound and given back. Raises OSError when it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])
