"""One, two and four real workers with the real networks beside the simulation: python -m tests.benchmarks.throughput

On a machine whose cores others use, too, the workers get what is left. How much that was is measured, and is all that
the simulation is told beside the cost of a job, which is that with one worker.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from selfie3d import Client
from selfie3d_cli.redis_server import RedisServer
from tests.benchmarks.capacity import ends
from tests.benchmarks.costs import ONE_THREAD, cpu_seconds, pids_of
from tests.photos import astronaut
from tests.stack import BOUND, Stack

JOBS, WORKERS = 16, (1, 2, 4)


def run(folder: Path, workers: int) -> tuple[float, float, list[float]]:
    """(Seconds to the last result, CPU seconds of the workers, when each job came)."""
    folder.mkdir()
    env: dict[str, Any] = {**ONE_THREAD, "redis": RedisServer(folder / "redis", port=0), "workers": workers}
    with Stack(folder, **env) as stack, Client(stack.addresses[0], timeout=10 * BOUND) as client:
        for job in [client.submit(astronaut()) for _ in range(2 * workers)]:
            job.wait()  # every model has run once
        before, start, arrivals = cpu_seconds(*pids_of(stack.workers)), time.monotonic(), list[float]()
        jobs = []
        for _ in range(JOBS):
            jobs.append(client.submit(astronaut()))
            arrivals.append(time.monotonic() - start)
        for job in jobs:
            job.wait()
        return time.monotonic() - start, cpu_seconds(*pids_of(stack.workers)) - before, arrivals


def main() -> None:
    print("| workers | cores that they got | CPU s a job | photos a second | simulated | real / simulated |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    cost = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for workers in WORKERS:
            took, used, arrivals = run(Path(folder) / str(workers), workers)
            cost, cores = cost or used / JOBS, used / took
            simulated = max(ends(arrivals, [cost] * JOBS, workers, cores))
            rates = f"{JOBS / took:.2f} | {JOBS / simulated:.2f} | {simulated / took:.2f}"
            print(f"| {workers} | {cores:.2f} | {used / JOBS:.2f} | {rates} |", flush=True)


if __name__ == "__main__":
    main()
