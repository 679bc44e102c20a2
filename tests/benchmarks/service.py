"""What service and workers add to a photo: python -m tests.benchmarks.service

In process and through the service in turns, photo by photo, so that what else the machine does falls on both; then two
workers at once against one process, and the memory of a worker's child.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from selfie3d import Client, Result
from selfie3d.types import Stage
from tests.photos import astronaut
from tests.stack import Stack
from vrn import Reconstructor
from vrn.engine import choose
from vrn.finder import load_finder
from vrn.network.heads import load_face_network, load_heads

TURNS = 20  # of one photo each
CROWD = 12  # jobs at once
CROWD_TURNS = 3
MODES = {  # what a worker of two children is told
    "own networks": {"SELFIE3D_MODEL_PROCESS": "off", "SELFIE3D_THREADS": "1"},
    "model process": {"SELFIE3D_MODEL_PROCESS": "on", "SELFIE3D_THREADS": "2"},
}


def through_the_service(photo: bytes) -> None:
    """Print all of it."""
    with _stack(1) as (_, client, cold):
        added_by_the_service(client, photo, cold)
    two_workers(photo)


def added_by_the_service(client: Client, photo: bytes, cold: float) -> None:
    """An idle service, one job after the other, in turns with this process."""
    own = _reconstructor(len(os.sched_getaffinity(0)))
    totals, added = [], []
    stages: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in ("here", "worker")}
    own.reconstruct(photo), client.reconstruct(photo)
    for _ in _progress("service", TURNS):
        _note(stages["here"], own.reconstruct(photo), draw=True)
        start = time.perf_counter()
        result = client.reconstruct(photo)
        result.mesh.data  # noqa: B018 - downloads it
        totals.append(time.perf_counter() - start)
        added.append(totals[-1] - sum(s for stage, s in result.seconds.items() if stage != Stage.STORE))
        _note(stages["worker"], result)
    print(f"\nThrough gRPC, Redis and Celery, {TURNS} jobs one after the other in turns with this process, {_load()}\n")
    print("| what | p50 ms | p95 ms | least ms |\n| --- | ---: | ---: | ---: |")
    for what, seconds in (("submit to mesh", totals), ("of it added by the service", added)):
        print(f"| {what} | {_row(seconds)} | {1e3 * min(seconds):.1f} |")
    print("\n| stage | in process, least ms | in the worker, least ms | ratio | ratio of medians |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for stage, mine in stages["here"].items():
        theirs = stages["worker"][stage]
        least = f"{1e3 * min(mine):.1f} | {1e3 * min(theirs):.1f} | {min(theirs) / min(mine):.2f}"
        print(f"| {stage} | {least} | {statistics.median(theirs) / statistics.median(mine):.2f} |")
    print(f"\nFirst result after a cold start of Redis, service and worker: {cold:.1f} s")


def two_workers(photo: bytes) -> None:
    """Jobs a second of two workers over photos a second of one process with one thread, in turns, for both modes."""
    rates: dict[str, list[float]] = defaultdict(list)
    memory: dict[str, str] = {}
    own = _reconstructor(1)
    own.reconstruct(photo)
    here = partial(own.reconstruct, photo)
    for mode, settings in MODES.items():
        with _stack(2, **settings) as (stack, client, _):
            for _ in _progress(mode, CROWD_TURNS):
                rates[f"{mode}: one process"].append(_rate(here, 1, CROWD // 3))
                rates[mode].append(_rate(partial(client.reconstruct, photo), 4, CROWD))
            memory[mode] = _memory(stack)
    print(f"\nTwo workers, {CROWD} jobs at once, {CROWD_TURNS} times in turns with one process of one thread")
    print(f"({_load()}); PSS of parent and children, and of the model process if there is one\n")
    print("| networks run in | jobs/s | one process, photos/s | ratio, median (best) | PSS of its processes, MB |")
    print("| --- | ---: | ---: | ---: | --- |")
    for mode in MODES:
        ours, mine = rates[mode], rates[f"{mode}: one process"]
        ratios = [a / b for a, b in zip(ours, mine, strict=True)]
        both = f"{statistics.median(ratios):.2f} ({max(ratios):.2f})"
        print(f"| {mode} | {max(ours):.2f} | {max(mine):.2f} | {both} | {memory[mode]} |")


@contextmanager
def _stack(children: int, **settings: Any) -> Iterator[tuple[Stack, Client, float]]:
    """A service, and a worker with so many children; seconds until its first result."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with (
            Stack(Path(folder), SELFIE3D_CONCURRENCY=str(children), **settings) as stack,
            Client(stack.addresses[0]) as client,
        ):
            client.reconstruct(astronaut())
            yield stack, client, time.perf_counter() - start


def _reconstructor(threads: int) -> Reconstructor:
    engine = choose("auto", "cpu", threads)
    heads = load_heads("default", engine)
    return Reconstructor(load_face_network("default", engine, heads), load_finder("bundled", engine), heads=heads)


def _rate(one: Callable[[], object], callers: int, count: int) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(lambda _: one(), range(count)))
    return count / (time.perf_counter() - start)


def _memory(stack: Stack) -> str:
    """PSS of the worker's processes, its own first, the largest last."""
    parent = stack.workers[0].pid
    children = [pid for each in Path(f"/proc/{parent}/task").glob("*/children") for pid in each.read_text().split()]
    sizes = sorted(_pss(pid) for pid in map(int, children))
    return " + ".join(f"{size / 1e6:.0f}" for size in [_pss(parent), *sizes] if size > 15e6)


def _pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _note(stages: dict[str, list[float]], result: Result, *, draw: bool = False) -> None:
    """Its seconds by stage. draw : the picture of the head, too, which a worker draws with the last stage."""
    start = time.perf_counter()
    if draw:
        assert result.faces[0].preview
    drawing = time.perf_counter() - start
    for stage, seconds in result.seconds.items():
        if stage != Stage.STORE:
            stages[stage].append(seconds + drawing * (stage == Stage.ENCODE))


def _row(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{1e3 * statistics.median(ordered):.1f} | {1e3 * p95:.1f}"


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"


def _progress(what: str, count: int) -> Iterator[int]:
    return iter(track(range(count), what, console=Console(stderr=True), transient=True))


if __name__ == "__main__":
    through_the_service(astronaut())
