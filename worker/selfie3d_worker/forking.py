"""How children begin: forked from a parent that has imported what they need, or as processes of their own.

A forked child shares the memory of the imports with its parent and with the other children, and is ready sooner. What a
parent must not have at that moment is CUDA, gRPC or another thread: neither survives in a child.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module

from selfie3d_jobs.heap import settle
from selfie3d_worker.config import WorkerConfig

FORK, SPAWN = "fork", "spawn"  # Celery's words


def start_method(config: WorkerConfig) -> str:
    """Fork where ONNX Runtime runs the networks, in the children themselves; a thread watches a model process."""
    if sys.platform != "linux" or config.models:
        return SPAWN
    from vrn.engine.choice import ONNX, choose  # here: NumPy must not be there before it is told its number of threads
    from vrn.errors import BackendMissingError

    try:
        engine = choose(config.engine, config.device)
    except (BackendMissingError, ValueError):  # the children find that out, too, and report it
        return SPAWN
    return FORK if engine.name == ONNX else SPAWN


def import_for_children(config: WorkerConfig) -> None:
    """Import what they compute with, and let no round of the garbage collector write to it; no network is opened."""
    with suppress(Exception):  # the children find that out, too, and report it
        import_module(config.reconstructor.partition(":")[0])
        import_module("onnxruntime")
    settle()
