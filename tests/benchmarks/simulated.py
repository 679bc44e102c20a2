"""Does the capacity plan's simulation tell the truth: jobs that sleep, on one, two and four real workers.

What a job costs beside its sleep is learnt from one worker; two and four are foretold with it. The quickest of three
tries counts: other work on the machine only ever slows.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from selfie3d import Client
from tests.benchmarks import capacity
from tests.stack import BOUND, Stack
from tests.tiny import make_photo

SECONDS, JOBS = 0.5, 16  # a job sleeps so long: cores that others use hardly matter
TRIES = 3


def makespan(client: Client) -> tuple[float, list[float]]:
    """From the first job's coming to the last one's end, s; when each came."""
    start = time.monotonic()
    jobs, arrivals = [], []
    for number in range(JOBS):
        jobs.append(client.submit(make_photo(number + time.monotonic_ns() % 10**9)))
        arrivals.append(time.monotonic() - start)
    for job in jobs:
        job.wait()
    return time.monotonic() - start, arrivals


def quickest(workers: int) -> tuple[float, list[float]]:
    """Of the tries with so many workers."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder), workers=workers, worker_module="tests.tiny", SELFIE3D_ALIGNER=str(SECONDS)) as stack,  # type: ignore[arg-type]
        Client(stack.addresses[0], timeout=BOUND) as client,
    ):
        return min(makespan(client) for _ in range(TRIES))


def main() -> None:
    overhead = 0.0
    print("| workers | took, s | simulated, s | real / simulated |\n| ---: | ---: | ---: | ---: |")
    for workers in (1, 2, 4):
        took, arrivals = quickest(workers)
        foretold = max(capacity.ends(arrivals, [SECONDS + overhead] * JOBS, workers))
        if workers == 1:
            overhead = SECONDS * (took / foretold - 1)
        print(f"| {workers} | {took:.2f} | {foretold:.2f} | {took / foretold:.2f} |")


if __name__ == "__main__":
    main()
