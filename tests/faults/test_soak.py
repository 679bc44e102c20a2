"""The long runs of `make soak`: a kill a second under load, and flatness over time."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from selfie3d import Retry
from selfie3d_jobs.maintenance import snapshot
from tests.faults.farm import Farm
from tests.stack import Process, eventually

JOBS = int(os.environ.get("SELFIE3D_SOAK_JOBS", "10000"))
KILL_SECONDS = int(os.environ.get("SELFIE3D_SOAK_KILL_SECONDS", "300"))  # a kill in each
FLAT_MINUTES = float(os.environ.get("SELFIE3D_SOAK_MINUTES", "20"))
SUBMITTERS = 4
HOURS = 3600.0  # s
STEADFAST = Retry(attempts=1000, first=0.1, largest=1.0, quota=True)
SAMPLE_SECONDS = 5.0

T = TypeVar("T")

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * HOURS)]


class Killer:
    """kill -9 of something every second; what was killed is started again at once."""

    def __init__(self, farm: Farm, seed: int) -> None:
        self._farm = farm
        self._draw = random.Random(seed)
        self.kills: Counter[str] = Counter()

    def run(self, seconds: int) -> None:
        """One kill for each second, in time."""
        start, over = time.monotonic(), threading.Event()
        for number in range(seconds):
            over.wait(max(0.0, start + number - time.monotonic()))
            self.kill_something()

    def kill_something(self) -> None:
        """Half of the kills hit a worker's child, the others a worker, a service or Redis."""
        kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "worker child": (50, self._kill_child),
            "worker parent": (20, lambda: self._kill(self._draw.choice(self._farm.workers))),
            "service": (20, lambda: self._kill(self._draw.choice(self._farm.services))),
            "Redis": (10, self._kill_redis),
        }
        [kind] = self._draw.choices(list(kinds), [weight for weight, _ in kinds.values()])
        kinds[kind][1]()
        self.kills[kind] += 1

    def _kill_child(self) -> None:
        children = [pid for worker in self._farm.workers for pid in pool_children(worker)]
        if children:
            with suppress(ProcessLookupError):
                os.kill(self._draw.choice(children), signal.SIGKILL)
        else:  # all workers are just starting
            self._kill(self._draw.choice(self._farm.workers))

    def _kill(self, process: Process) -> None:
        process.kill()
        process.start()

    def _kill_redis(self) -> None:
        self._farm.redis.kill()
        self._farm.redis.start()


def pool_children(worker: Process) -> list[int]:
    """The processes that run jobs; not billiard's semaphore tracker, nor the dead, who have no command line."""
    with suppress(OSError):
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in worker.children()}
        return [pid for pid, line in lines.items() if line and b"tracker" not in line]
    return []


def test_ten_thousand_jobs_with_a_kill_every_second(tmp_path: Path, figures: dict[str, float]) -> None:
    env = {"SELFIE3D_JOB_TIMEOUT_SECONDS": str(HOURS), "SELFIE3D_MAX_QUEUED": "2000", "SELFIE3D_ALIGNER": "0.2"}
    with Farm(tmp_path, services=2, workers=4, **env) as farm:
        killer, start = Killer(farm, seed=1), time.monotonic()
        numbers = iter(range(JOBS))

        def submit_all() -> None:
            with farm.client(retry=STEADFAST) as client:
                for _ in numbers:
                    farm.submit(client, farm.new_photo(side=40), timeout=HOURS)

        with ThreadPoolExecutor(SUBMITTERS) as pool:
            submitters = [pool.submit(submit_all) for _ in range(SUBMITTERS)]
            killer.run(KILL_SECONDS)
            for submitter in submitters:
                submitter.result()
        farm.restore()
        assert len(farm.audit.photos) == JOBS
        eventually(lambda: not farm.db.zcard("selfie3d:deadlines"), "all jobs have ended", HOURS)
        tally = farm.audit.look(farm.audit.photos)
        figures |= {f"kills of a {kind}": number for kind, number in killer.kills.items()}
        figures |= {f"jobs {state}": number for state, number in tally.states.items()}
        figures |= {f"jobs FAILED {reason}": number for reason, number in tally.reasons.items() if reason}
        counters = farm.store.run(snapshot()).counters
        figures |= {
            "jobs": JOBS,
            "lost": len(tally.lost),
            "doubled": len(tally.doubled),
            "wrong": len(tally.wrong),
            "attempts": counters["attempts"],
            "requeued after a loss": counters.get("requeued:lost", 0),
            "published again": counters.get("republished", 0),
            "most attempts of a job": tally.most_attempts,
            "slowest recovery of a job that was lost under load, s": tally.slowest_recovery,
            "whole run, s": time.monotonic() - start,
        }
        assert tally.clean, tally
        assert tally.states["SUCCEEDED"] + tally.reasons["POISON_INPUT"] == JOBS
        eventually(lambda: not farm.contradictions(), f"Redis holds nothing that contradicts itself: {farm.folder}")


@dataclass(frozen=True)
class Sample:
    """Sizes of one process."""

    mebibytes: float
    files: int


def sample(farm: Farm) -> dict[str, Sample]:
    """What every process holds now."""
    pids = {f"service {n}": process.pid for n, process in enumerate(farm.services)}
    pids |= {f"worker {n}": process.pid for n, process in enumerate(farm.workers)}
    pids |= {f"child {n}": pid for n, pid in enumerate(itertools.chain(*map(pool_children, farm.workers)))}
    return {name: Sample(resident_mebibytes(pid), farm.open_files(pid)) for name, pid in pids.items()}


def resident_mebibytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def test_memory_files_connections_and_keys_stay_flat(tmp_path: Path, figures: dict[str, float]) -> None:
    """Compared are the second and the last quarter of the time, under a steady load; jobs are kept for seconds only.

    What Redis holds follows the number of jobs a second, so it is compared when the jobs are gone, with before them.
    """
    env = {"SELFIE3D_JOB_TIMEOUT_SECONDS": "20", "SELFIE3D_RETENTION_SECONDS": "5"}
    over = threading.Event()
    with Farm(tmp_path, services=2, workers=2, **env) as farm:

        def call_again_and_again() -> int:
            calls = 0
            with farm.client() as client:
                while not over.is_set():
                    client.reconstruct(farm.new_photo())
                    calls += 1
            return calls

        held_before = redis_mebibytes(farm)
        samples: list[dict[str, Sample]] = []
        connections, keys = [], []
        with ThreadPoolExecutor(2) as pool:
            callers = [pool.submit(call_again_and_again) for _ in range(2)]
            for _ in ticks(60 * FLAT_MINUTES, SAMPLE_SECONDS):
                samples.append(sample(farm))
                connections.append(len(farm.db.client_list()))
                keys.append(farm.db.dbsize())
            over.set()
            figures["jobs of the flat run"] = sum(caller.result() for caller in callers)
        early, late = quarter(samples, 1), quarter(samples, 3)
        for name in early[0]:
            growth = peak(late, name, "mebibytes") - peak(early, name, "mebibytes")
            figures[f"flat run: {name}, MiB at the end"] = peak(late, name, "mebibytes")
            figures[f"flat run: {name}, MiB more than in the second quarter"] = growth
            assert growth < 4 + 0.05 * peak(early, name, "mebibytes"), name
            assert peak(late, name, "files") <= peak(early, name, "files") + 3, name
        figures["flat run: most connections, second quarter"] = max(quarter(connections, 1))
        figures["flat run: most connections, last quarter"] = max(quarter(connections, 3))
        figures["flat run: most keys, second quarter"] = max(quarter(keys, 1))
        figures["flat run: most keys, last quarter"] = max(quarter(keys, 3))
        assert max(quarter(connections, 3)) <= max(quarter(connections, 1)) + 3
        eventually(lambda: not list(farm.db.scan_iter("selfie3d:job:*")), "no job is left")
        assert farm.db.dbsize() < 20, farm.contents().keys()
        figures["flat run: Redis, MiB before"] = held_before
        figures["flat run: Redis, MiB when the jobs are gone"] = redis_mebibytes(farm)
        assert redis_mebibytes(farm) < held_before + 4


def redis_mebibytes(farm: Farm) -> float:
    """What Redis has allocated."""
    return float(farm.db.info("memory")["used_memory"]) / (1 << 20)


def ticks(seconds: float, every: float) -> Iterator[int]:
    """Numbers, one at each multiple of `every`."""
    start, over = time.monotonic(), threading.Event()
    for number in range(int(seconds / every)):
        over.wait(max(0.0, start + number * every - time.monotonic()))
        yield number


def quarter(values: list[T], number: int) -> list[T]:
    """Counted from 0."""
    size = len(values) // 4
    return values[number * size : (number + 1) * size]


def peak(samples: list[dict[str, Sample]], name: str, what: str) -> float:
    return float(max(getattr(entry[name], what) for entry in samples if name in entry))
