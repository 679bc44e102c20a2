"""Jobs a second of two workers, against photos a second of one process and of two: python -m tests.benchmarks.crowd

All in a steady state: the clock runs from the end of one job to that of a later one, while callers always wait, so
that neither the start nor the last jobs count. Each draws the picture of the head, as a worker does. Rows take turns,
so that what else the machine does falls on all.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tqdm import tqdm

from selfie3d import Client
from tests.benchmarks.cpu_time import children_of, cpu_seconds, processes_of
from tests.benchmarks.rig import load, reconstructor, running
from tests.photos import astronaut
from tests.stack import Stack
from vrn import Reconstructor

COUNTED = 40  # jobs on the clock
BEFORE = 6  # jobs before it
CALLERS = 4  # two of them wait
TURNS = 3
MODES = {  # what a worker of two children is told
    "own networks": {"SELFIE3D_MODEL_PROCESS": "off", "SELFIE3D_THREADS": "1"},
    "model process": {"SELFIE3D_MODEL_PROCESS": "on", "SELFIE3D_THREADS": "2"},
}
_own: list[Reconstructor] = []  # of a process of the pool


def two_workers(photo: bytes) -> None:
    """Print it for both modes."""
    rates: dict[str, list[float]] = defaultdict(list)
    memory, spent = dict[str, str](), dict[str, dict[str, float]]()
    with own_processes(1) as one, own_processes(2) as two:
        for mode, settings in MODES.items():
            with running(2, **settings) as (stack, client, _):
                for _ in _progress(mode):
                    rates["one process"].append(rate(partial(one, photo), COUNTED // 2))
                    rates["two processes"].append(rate(partial(two, photo)))
                    before = cpu_seconds(processes_of(stack))
                    rates[mode].append(rate(partial(reconstruct, client, photo)))
                    spent[mode] = _by_job(before, cpu_seconds(processes_of(stack)))
                memory[mode] = _memory(stack)
    _print(rates, memory)
    _print_cpu(spent)


def reconstruct(client: Client, photo: bytes) -> None:
    """What a caller does: mesh file and picture are there, the mesh is not decoded."""
    client.reconstruct(photo)


def rate(one: Callable[[], object], counted: int = COUNTED) -> float:
    """How often a second `one` ends while CALLERS call it again and again."""
    ends: list[float] = []
    whole = BEFORE + counted

    def call() -> None:
        while len(ends) < whole:
            one()
            ends.append(time.perf_counter())

    with ThreadPoolExecutor(CALLERS) as pool:
        for done in [pool.submit(call) for _ in range(CALLERS)]:
            done.result()
    return counted / (ends[whole - 1] - ends[BEFORE - 1])


@contextmanager
def own_processes(count: int) -> Iterator[Callable[[bytes], None]]:
    """So many processes of one thread that know nothing of each other; yields what gives one of them a photo."""
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _open) as pool:
        list(pool.map(_make, [astronaut()] * 2 * count))

        def give(photo: bytes) -> None:
            pool.submit(_make, photo).result()

        yield give


def _open() -> None:
    _own.append(reconstructor(1))


def _make(photo: bytes) -> None:
    for face in _own[0].reconstruct(photo).faces:
        assert face.preview


def _by_job(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Of all jobs of one call of `rate`, those before and after the clock included."""
    jobs = BEFORE + COUNTED + CALLERS - 1
    return {name: (after[name] - before[name]) / jobs for name in before}


def _print(rates: dict[str, list[float]], memory: dict[str, str]) -> None:
    print(f"\nPhotos a second in a steady state, {COUNTED} on the clock, the picture of the head drawn everywhere;")
    print(f"{TURNS} turns for each mode ({load()}). PSS of parent and children, and of a model process\n")
    print("| what | photos/s, median (best) | over one process | PSS of the worker, MB |\n| --- | ---: | ---: | ---: |")
    base = statistics.median(rates["one process"])
    for what, found in rates.items():
        name = f"two workers, {what}" if what in MODES else f"{what} of one thread, nothing else"
        median = statistics.median(found)
        print(f"| {name} | {median:.2f} ({max(found):.2f}) | {median / base:.2f} | {memory.get(what, '')} |")


def _print_cpu(spent: dict[str, dict[str, float]]) -> None:
    print("\nCPU time of a job meanwhile, ms; the caller's process also syncs Redis's log\n")
    names = list(next(iter(spent.values())))
    print(f"| networks run in | {' | '.join(names)} | all |\n| --- |{' ---: |' * (len(names) + 1)}")
    for mode, seconds in spent.items():
        row = " | ".join(f"{1e3 * value:.1f}" for value in [*seconds.values(), sum(seconds.values())])
        print(f"| {mode} | {row} |")


def _memory(stack: Stack) -> str:
    """PSS of the worker's processes, its own first, the largest last."""
    parent = stack.workers[0].pid
    sizes = sorted(map(_pss, children_of(parent)))
    return " + ".join(f"{size / 1e6:.0f}" for size in [_pss(parent), *sizes] if size > 15e6)


def _pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _progress(what: str) -> Iterator[int]:
    return iter(tqdm(range(TURNS), what, leave=False, disable=None))


if __name__ == "__main__":
    two_workers(astronaut())
