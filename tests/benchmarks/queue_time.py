"""Where a job's time between queued and running goes: python -m tests.benchmarks.queue_time [JOBS]

One service and one worker whose reconstruction takes no time; one job after the other. Redis's MONITOR has the moment
of each command by one clock, and the kernel says how long the processes' threads were ready to run and had no core. On
a busy machine: chrt -r 1, as root.
"""

from __future__ import annotations

import itertools
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis

from selfie3d import Client
from selfie3d.types import JobState
from selfie3d_cli.redis_server import RedisServer
from tests.stack import BOUND, Stack, eventually
from tests.tiny import make_photo

JOBS = 300
LONG_MS = 25.0  # an outlier
PAUSE_SECONDS = 0.05  # at most, before the next job, so that no timer's beat is met or missed each time
LEGS = ("accepted to published", "published to fetched", "fetched to claimed")
MARKS = ("create", "LPUSH", "fetch", "claim")  # the commands between which the legs are
NS_PER_MS = 1e6


@dataclass
class Way:
    """Of one job: ms of each leg by Redis's clock, and ms for which threads waited for a core, by process."""

    legs: tuple[float, ...]
    delays: dict[str, float]

    @property
    def total(self) -> float:
        """From accepted to claimed, ms."""
        return sum(self.legs)

    def __str__(self) -> str:
        delays = ", ".join(f"{name} {delay:.1f}" for name, delay in self.delays.items())
        return f"{self.total:.1f} = {' + '.join(f'{leg:.1f}' for leg in self.legs)}; without a core: {delays}"


class Monitor:
    """Redis's commands as they come, in a thread."""

    def __init__(self, url: str) -> None:
        self._commands: list[tuple[float, str]] = []
        self._db = redis.Redis.from_url(url)
        self._over = False
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._db.ping()  # one more command, which ends the thread's wait
        self._thread.join()
        self._db.close()

    def _listen(self) -> None:
        with self._db.monitor() as monitor:
            while not self._over:
                found: dict[str, Any] = monitor.next_command()
                self._commands.append((float(found["time"]), str(found["command"])))

    def legs(self, job_id: str) -> tuple[float, ...]:
        """Between the commands that create, publish, fetch and claim the job, ms; empty as long as one is missing."""
        times: dict[str, float] = {}
        for when, command in self._commands:
            if job_id in command:
                times.setdefault(kind_of(command), when)
        marks = [times[kind] for kind in MARKS if kind in times]
        if len(marks) < len(MARKS):
            return ()
        return tuple(1e3 * (after - before) for before, after in itertools.pairwise(marks))


def kind_of(command: str) -> str:
    """Which command of a job's way it is: our scripts by their arguments, Celery's by their names and keys."""
    name = command.partition(" ")[0].upper()
    if name == "EVALSHA":
        return "claim" if "lease" in command else "create"
    return "fetch" if name == "HSET" and "unacked" in command else name


def waited(pids: dict[str, int]) -> dict[str, float]:
    """How long the threads of each process have been ready and without a core since they began, ms."""
    return {name: sum(map(_run_delay, Path(f"/proc/{pid}/task").iterdir())) for name, pid in pids.items()}


def _run_delay(task: Path) -> float:
    try:
        return int((task / "schedstat").read_text().split()[1]) / NS_PER_MS
    except OSError:  # a thread that has ended
        return 0.0


def measure(stack: Stack, client: Client, monitor: Monitor, jobs: int) -> list[Way]:
    """Each job alone."""
    (worker,) = stack.workers
    db = redis.Redis.from_url(stack.redis.url)
    info: Any = db.info("server")
    pids = {"service": stack.services[0].pid, "redis": int(info["process_id"]), "worker": worker.pid}
    pids["child"] = next(pid for pid in worker.children() if "tracker" not in _command_of(pid))
    dice, found = random.Random(0), []
    for number in range(jobs):
        time.sleep(dice.uniform(0, PAUSE_SECONDS))
        before = waited(pids)
        job = client.submit(make_photo(number))
        next(event for event in job.watch() if event.state is not JobState.QUEUED)
        delays = {name: after - before[name] for name, after in waited(pids).items()}
        job.wait()
        legs = eventually(lambda job=job: monitor.legs(job.id), "its commands are seen")  # type: ignore[misc]
        found.append(Way(legs, delays))
    return found


def _command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def show(ways: list[Way]) -> None:
    """Quantiles of each leg, the first job, and the outliers one by one."""
    print(f"load {os.getloadavg()[0]:.1f}, {len(ways)} jobs\n| ms | median | 95 of 100 | 99 of 100 | most |")
    print("| --- | ---: | ---: | ---: | ---: |")
    columns = {name: [way.legs[at] for way in ways] for at, name in enumerate(LEGS)}
    columns["in all"] = [way.total for way in ways]
    columns["threads without a core"] = [sum(way.delays.values()) for way in ways]
    for name, values in columns.items():
        cuts = statistics.quantiles(values, n=100)
        print(f"| {name} | {cuts[49]:.1f} | {cuts[94]:.1f} | {cuts[98]:.1f} | {max(values):.1f} |")
    print(f"first: {ways[0]}")
    for way in sorted((way for way in ways[1:] if way.total > LONG_MS), key=lambda way: -way.total)[:20]:
        print(way)


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env: dict[str, Any] = {"SELFIE3D_MAX_JOBS_PER_CALLER": "10000", "worker_module": "tests.tiny"}
        with (
            Stack(folder, redis=RedisServer(folder / "redis", port=0), **env) as stack,
            Client(stack.addresses[0], timeout=BOUND) as client,
            Monitor(stack.redis.url) as monitor,
        ):
            show(measure(stack, client, monitor, jobs))


if __name__ == "__main__":
    main()
