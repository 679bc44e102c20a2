"""What a process and the process of its models say to each other: a head of JSON, and arrays as they lie in memory.

Nothing is pickled, so that neither side runs what the other one sends.
"""

from __future__ import annotations

import json
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrn.engine.graph import Arrays

Head = dict[str, Any]
ARRAYS = "arrays"  # of a head: type and shape of each array that follows


def send(connection: Connection, head: Head, arrays: Arrays = ()) -> None:
    """Send one message. Raises OSError when the other side is gone."""
    whole = [np.ascontiguousarray(array) for array in arrays]
    described = [(array.dtype.str, array.shape) for array in whole]
    connection.send_bytes(json.dumps(head | {ARRAYS: described}).encode())
    for array in whole:
        connection.send_bytes(_bytes_of(array))


def receive(connection: Connection) -> tuple[Head, Arrays]:
    """The next message. Raises EOFError or OSError when the other side is gone."""
    head: Head = json.loads(connection.recv_bytes())
    return head, tuple(_received(connection, np.empty(shape, kind)) for kind, shape in head.pop(ARRAYS))


def _received(connection: Connection, array: NDArray[Any]) -> NDArray[Any]:
    connection.recv_bytes_into(_bytes_of(array))
    return array


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
