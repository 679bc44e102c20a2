"""What is measured: a whole service, or a reconstructor of this process."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfie3d import Client
from tests.photos import astronaut
from tests.stack import Stack
from vrn import Reconstructor
from vrn.engine import choose
from vrn.finder import load_finder
from vrn.network.heads import load_face_network, load_heads


@contextmanager
def running(children: int, **settings: Any) -> Iterator[tuple[Stack, Client, float]]:
    """A service, and a worker with so many children; seconds until its first result."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with (
            Stack(Path(folder), SELFIE3D_CONCURRENCY=str(children), **settings) as stack,
            Client(stack.addresses[0]) as client,
        ):
            client.reconstruct(astronaut())
            yield stack, client, time.perf_counter() - start


def reconstructor(threads: int) -> Reconstructor:
    """With the bundled weights and so many threads."""
    engine = choose("auto", "cpu", threads)
    heads = load_heads("default", engine)
    return Reconstructor(load_face_network("default", engine, heads), load_finder("bundled", engine), heads=heads)


def load() -> str:
    """How busy the machine is."""
    return f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"
