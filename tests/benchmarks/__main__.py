"""make bench: milliseconds per stage in process, against the original's parts and against the size of the photo, and
what service and page add. Ratios of one run, no asserts."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from selfie3d.types import Options
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from tests.benchmarks.speed import ROOT, measure, report
from tests.benchmarks.web import page_and_streams
from tests.photos import astronaut
from tests.stack import Stack, download, watch
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
    for _ in range(RUNS):
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


def through_the_service(photo: bytes) -> None:
    """Overhead: the caller's time from create to the last byte, less the stages the worker ran for that job."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with Stack(Path(folder)) as stack, stack.channel() as channel:
            api = rpc.ReconstructionServiceStub(channel)
            run_one(api, photo)
            cold = time.perf_counter() - start
            overheads, totals = zip(*(run_one(api, photo) for _ in range(RUNS)), strict=True)
    print(f"\nThrough gRPC, Redis and Celery, {RUNS} jobs one after the other, one idle worker\n")
    print("| what | median ms | p95 ms |\n| --- | ---: | ---: |")
    print(f"| create to last byte | {row(totals)} |")
    print(f"| of it added by the service | {row(overheads)} |")
    print(f"\nFirst result after a cold start of everything: {cold:.1f} s")


def run_one(api: rpc.ReconstructionServiceStub, photo: bytes) -> tuple[float, float]:
    start = time.perf_counter()
    job = api.CreateJob(pb.CreateJobRequest(photo=photo), timeout=60).job
    *_, last = watch(api, job.id)
    download(api, job.id)
    total = time.perf_counter() - start
    work = sum(entry.seconds for entry in last.job.stage_times if entry.stage != pb.STAGE_STORE)
    return total - work, total


def row(seconds: list[float] | tuple[float, ...]) -> str:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{1e3 * statistics.median(ordered):.1f} | {1e3 * p95:.1f}"


if __name__ == "__main__":
    main()
