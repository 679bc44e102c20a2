"""What one process takes for a photo: `python one.py PHOTO RUNS EXTENT`, on one core.
The checkout is the one that PYTHONPATH names.

Prints JSON: seconds of CPU time by stage (medians), until the first result (also by the clock), and the memory of the
process alone (PSS) afterwards. It knows only what every version has, so that two versions can be compared.
"""

from __future__ import annotations

import os
import time

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before anything starts threads
BEGIN, BEGIN_CPU = time.perf_counter(), time.process_time()

import itertools  # noqa: E402 - imports are a part of what is measured
import json  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
from collections import defaultdict  # noqa: E402
from pathlib import Path  # noqa: E402

import selfie3d  # noqa: E402


def main(photo: bytes, runs: int, extent: str) -> None:
    """See the module's text."""
    reconstructor = selfie3d.Reconstructor.open(device="cpu")
    reconstructor.reconstruct(photo, extent=extent)
    first, first_cpu = time.perf_counter() - BEGIN, time.process_time() - BEGIN_CPU
    stages: dict[str, list[float]] = defaultdict(list)
    for _ in range(runs):
        for stage, seconds in _timed(reconstructor, photo, extent):
            stages[stage].append(seconds)
    medians = {stage: statistics.median(seconds) for stage, seconds in stages.items()}
    print(json.dumps({"first": first, "first_cpu": first_cpu, "pss": _pss(), "stages": medians}))


def _timed(reconstructor: selfie3d.Reconstructor, photo: bytes, extent: str) -> list[tuple[str, float]]:
    """Seconds of CPU time by stage, and of all of them."""
    marks: list[tuple[str, float]] = []

    def on_stage(stage: object, _: float) -> None:
        marks.append((str(stage), time.process_time()))

    reconstructor.reconstruct(photo, extent=extent, on_stage=on_stage)
    marks.append(("all", time.process_time()))
    stages = [(stage, end - begin) for (stage, begin), (_, end) in itertools.pairwise(marks)]
    return [*stages, ("all", marks[-1][1] - marks[0][1])]


def _pss() -> float:
    """Bytes of this process, its share of what it shares with others."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_bytes(), int(sys.argv[2]), sys.argv[3])
