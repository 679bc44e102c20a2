"""make bench: milliseconds per stage in process, against the original's parts and against the size of the photo, and
what service and page add. Ratios of one run, no asserts."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tqdm import tqdm

from selfie3d.types import Options
from tests.benchmarks.service import through_the_service
from tests.benchmarks.speed import ROOT, measure, report
from tests.benchmarks.web import page_and_streams
from tests.photos import astronaut
from vrn import Reconstructor

RUNS = 30


def main() -> None:
    photo = astronaut()
    in_process(photo)
    against_the_original()
    through_the_service(photo)
    page_and_streams(photo, None)


def in_process(photo: bytes) -> None:
    reconstructor = Reconstructor.open()
    reconstructor.reconstruct(photo, Options())
    stages: dict[str, list[float]] = defaultdict(list)
    for _ in tqdm(range(RUNS), "in process", leave=False, disable=None):
        start = time.perf_counter()
        result = reconstructor.reconstruct(photo, Options())
        stages["total"].append(time.perf_counter() - start)
        for name, taken in result.seconds.items():
            stages[name].append(taken)
    print(f"In process, {RUNS} runs, {os.cpu_count()} cores\n")
    print("| stage | median ms | p95 ms | share |\n| --- | ---: | ---: | ---: |")
    total = statistics.median(stages["total"])
    for stage, seconds in stages.items():
        print(f"| {stage} | {row(seconds)} | {statistics.median(seconds) / total:.0%} |")


def against_the_original() -> None:
    """CPU time of processes of one thread, in turns."""
    print()
    with tempfile.TemporaryDirectory() as folder:
        report(measure({"now": ROOT}, Path(folder)), ["now"])


def row(seconds: list[float] | tuple[float, ...]) -> str:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{1e3 * statistics.median(ordered):.1f} | {1e3 * p95:.1f}"


if __name__ == "__main__":
    main()
