"""What service and workers add to a photo: python -m tests.benchmarks.service

In process and through the service in turns, photo by photo, so that what else the machine does falls on both; where the
time of such a job goes, and the CPU time of each process; then two workers at once (`crowd`).
"""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from selfie3d import Client, Event, Result
from selfie3d.types import Stage
from tests.benchmarks.cpu_time import cpu_seconds, processes_of
from tests.benchmarks.crowd import two_workers
from tests.benchmarks.rig import load, reconstructor, running
from tests.photos import astronaut
from tests.stack import Stack

TURNS = 20  # of one photo each
IDLE_SECONDS = 8.0  # after which caches are cold
IDLE_TURNS = 5


def through_the_service(photo: bytes) -> None:
    """Print all of it."""
    with running(1) as (stack, client, cold):
        added_by_the_service(stack, client, photo)
        after_a_pause(client, photo)
        print(f"\nFirst result after a cold start of Redis, service and worker: {cold:.1f} s")
    two_workers(photo)


@dataclass
class Job:
    """One job by this machine's clock.

    start, end : s, when the caller asked, and when it had mesh and picture
    happened, heard : s, when each state and stage began, and when the caller heard of it
    """

    start: float = field(default_factory=time.time)
    end: float = 0.0
    happened: dict[str, float] = field(default_factory=dict)
    heard: dict[str, float] = field(default_factory=dict)

    def note(self, event: Event) -> None:
        """It happened, in whole milliseconds of Redis's clock."""
        what = event.stage or event.state
        self.happened[what], self.heard[what] = event.time.timestamp(), time.time()

    def legs(self, result: Result) -> dict[str, float]:
        """Seconds of each part of the way."""
        at, stages = self.happened, sum(_stages(result).values())
        return {
            "asked to accepted": at["queued"] - self.start,
            "accepted to taken by a worker": at["running"] - at["queued"],
            "taken to decoding": at["decode"] - at["running"],
            "between stages": at["store"] - at["decode"] - stages,
            "meshes on their way to Redis": at["succeeded"] - at["store"],
            "stored, and the caller hears of it": self.heard["succeeded"] - at["succeeded"],
            "mesh and picture downloaded": self.end - self.heard["succeeded"],
        }


def added_by_the_service(stack: Stack, client: Client, photo: bytes) -> None:
    """An idle service, one job after the other, in turns with this process."""
    own = reconstructor(len(os.sched_getaffinity(0)))
    jobs, unwatched = [_job(client, photo)], [_job(client, photo, watched=False)]
    own.reconstruct(photo)
    jobs.clear()
    unwatched.clear()
    stages: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in ("here", "worker")}
    spent: dict[str, list[float]] = defaultdict(list)
    for _ in _progress("service", TURNS):
        _note(stages["here"], own.reconstruct(photo), draw=True)
        before = cpu_seconds(processes_of(stack))
        jobs.append(_job(client, photo))
        for name, seconds in cpu_seconds(processes_of(stack)).items():
            spent[name].append(seconds - before[name])
        _note(stages["worker"], jobs[-1][1])
        unwatched.append(_job(client, photo, watched=False))
    print(f"\nThrough gRPC, Redis and Celery, {TURNS} jobs one after the other in turns with this process, {load()}\n")
    print("| what | p50 ms | p95 ms | least ms |\n| --- | ---: | ---: | ---: |")
    _print_times(unwatched, "")
    _print_times(jobs, ", for a caller who looks at the events")
    _print_legs(jobs)
    _print_stages(stages)
    _print_cpu(spent)


def after_a_pause(client: Client, photo: bytes) -> None:
    """The same for jobs that come alone."""
    added, totals = [], []
    for _ in _progress("pauses", IDLE_TURNS):
        time.sleep(IDLE_SECONDS)
        job, result = _job(client, photo)
        totals.append(job.end - job.start)
        added.append(totals[-1] - sum(_stages(result).values()))
    print(f"\nEach job {IDLE_SECONDS:.0f} s after the one before, {IDLE_TURNS} jobs, {load()}: median ", end="")
    print(f"{1e3 * statistics.median(totals):.1f} ms, of it added {1e3 * statistics.median(added):.1f} ms")


def _job(client: Client, photo: bytes, *, watched: bool = True) -> tuple[Job, Result]:
    job = Job()
    result = client.reconstruct(photo, on_event=job.note if watched else None)
    result.mesh.data  # noqa: B018 - downloaded, and not decoded
    job.end = time.time()
    return job, result


def _stages(result: Result) -> dict[str, float]:
    """Seconds by stage, all that the worker computes."""
    return {stage: seconds for stage, seconds in result.seconds.items() if stage != Stage.STORE}


def _note(stages: dict[str, list[float]], result: Result, *, draw: bool = False) -> None:
    """Its seconds by stage. draw : the picture of the head, too, which a worker draws with the last stage."""
    start = time.perf_counter()
    if draw:
        assert result.faces[0].preview
    drawing = time.perf_counter() - start
    for stage, seconds in _stages(result).items():
        stages[stage].append(seconds + drawing * (stage == Stage.ENCODE))


def _print_times(jobs: list[tuple[Job, Result]], whose: str) -> None:
    totals = [job.end - job.start for job, _ in jobs]
    added = [total - sum(_stages(result).values()) for total, (_, result) in zip(totals, jobs, strict=True)]
    for what, seconds in (("submit to mesh and picture", totals), ("of it added by the service", added)):
        print(f"| {what}{whose} | {_row(seconds)} | {1e3 * min(seconds):.1f} |")


def _print_legs(jobs: list[tuple[Job, Result]]) -> None:
    legs = [job.legs(result) for job, result in jobs]
    print("\n| where it goes | p50 ms | p95 ms |\n| --- | ---: | ---: |")
    for leg in legs[0]:
        print(f"| {leg} | {_row([each[leg] for each in legs])} |")


def _print_stages(stages: dict[str, dict[str, list[float]]]) -> None:
    print("\n| stage | in process, least ms | in the worker, least ms | ratio | ratio of medians |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for stage, mine in stages["here"].items():
        theirs = stages["worker"][stage]
        least = f"{1e3 * min(mine):.1f} | {1e3 * min(theirs):.1f} | {min(theirs) / min(mine):.2f}"
        print(f"| {stage} | {least} | {statistics.median(theirs) / statistics.median(mine):.2f} |")


def _print_cpu(spent: dict[str, list[float]]) -> None:
    print("\n| CPU time of a job in | median ms |\n| --- | ---: |")
    for name, seconds in spent.items():
        print(f"| {name} | {1e3 * statistics.median(seconds):.1f} |")


def _row(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{1e3 * statistics.median(ordered):.1f} | {1e3 * p95:.1f}"


def _progress(what: str, count: int) -> Iterator[int]:
    return iter(tqdm(range(count), what, leave=False, disable=None))


if __name__ == "__main__":
    through_the_service(astronaut())
