"""What N photos a second need, and what gives way first: python -m tests.benchmarks.capacity [RATE ...]

Workers are simulated as a queue: photos come at random, each worker takes one at a time. All else is reckoned from what
a job costs (`Costs`, measured by tests/benchmarks/costs.py). docs/scale.md has the answers, and how far to trust them.
"""

from __future__ import annotations

import functools
import heapq
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

GIB = 2**30
RATES = (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)  # photos a second
SIMULATED_JOBS = 10_000
LARGE_POOL = 300  # workers
SPREAD = 0.15  # of a job's time, as a share of it; of the astronaut's in another place and light each time
LATE = 0.95  # this share of the photos waits no longer than WAIT_SECONDS for a worker
WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Costs:
    """What things cost. Times are seconds of a core, sizes bytes.

    Attributes
    ----------
    worker, service, redis : a job, in each of the three parts
    service_record, redis_record : the same where photo and mesh do not pass through Redis
    events : of a job; each rings at every service
    ring_redis, ring_service : one ring at one service, for Redis and for that service
    idle_service, idle_worker : for Redis, what one more of them takes a second without jobs
    look_redis, look_service : for Redis and for the service, the share of one worker in a service's look at the
        deployment, which it takes once a second
    kept : bytes in Redis of an ended job; kept_record : without photo and mesh, where these lie in a bucket
    traffic : bytes into and out of Redis for a job; traffic_record : with a bucket
    bucket_writes, bucket_reads : requests to the bucket for a job's whole life, deletions counting as writes
    bucket_probes : requests to the bucket of a service, a second
    keep_seconds : how long a job is kept, deadline included
    """

    worker: float = 0.0
    service: float = 0.0
    redis: float = 0.0
    service_record: float = 0.0
    redis_record: float = 0.0
    events: int = 11
    ring_redis: float = 0.0
    ring_service: float = 0.0
    idle_service: float = 0.0
    idle_worker: float = 0.0
    look_redis: float = 0.0
    look_service: float = 0.0
    kept: float = 0.0
    kept_record: float = 0.0
    traffic: float = 0.0
    traffic_record: float = 0.0
    bucket_writes: float = 0.0
    bucket_reads: float = 0.0
    bucket_probes: float = 1.0
    keep_seconds: float = 3900.0


@dataclass(frozen=True)
class Bounds:
    """What one Redis and one process are good for. Shares are of one core: the rest is for bursts."""

    redis: float = 0.6
    service: float = 0.6
    redis_memory: float = 48 * GIB
    redis_traffic: float = 0.6 * 10e9 / 8  # bytes a second of a network of 10 Gbit/s
    bucket: bool = False
    bucket_writes: float = 0.6 * 3500  # a second, of what Amazon promises for a prefix
    bucket_reads: float = 0.6 * 5500


@dataclass(frozen=True)
class Plan:
    """What a rate needs of one Redis with its services and workers.

    use : share of each bound that is used up
    requests : to the bucket, a second
    """

    rate: float
    workers: int
    services: int
    use: dict[str, float]
    memory: float
    requests: float

    @property
    def fits(self) -> bool:
        """Whether nothing is used up."""
        return max(self.use.values()) <= 1

    @property
    def first(self) -> str:
        """What is used up first."""
        return max(self.use, key=lambda name: self.use[name])


def waits(arrivals: Sequence[float], work: Sequence[float], workers: int) -> Iterator[float]:
    """How long each job waits for a worker; s. First come, first served; each worker has a core of its own."""
    free = [0.0] * workers
    for arrival, seconds in zip(arrivals, work, strict=True):
        start = max(arrival, free[0])
        heapq.heapreplace(free, start + seconds)
        yield start - arrival


def ends(arrivals: Sequence[float], work: Sequence[float], workers: int, cores: float = math.inf) -> list[float]:
    """When the jobs end, in the order in which they do; s. Workers share the cores: more of them are slower.

    work : seconds with a core of its own
    """
    coming = list(zip(arrivals, work, strict=True))[::-1]
    running: list[float] = []  # seconds that are left
    waiting: list[float] = []
    now, found = 0.0, list[float]()
    while coming or running:
        speed = min(1.0, cores / max(len(running), 1))
        step = min(running) / speed if running else math.inf
        if coming and coming[-1][0] - now < step:
            step = max(coming[-1][0] - now, 0.0)
            waiting.append(coming.pop()[1])
        now += step
        left = [seconds - step * speed for seconds in running]
        running = [seconds for seconds in left if seconds > 1e-9]
        found += [now] * (len(left) - len(running))
        while waiting and len(running) < workers:
            running.append(waiting.pop(0))
    return found


@functools.cache
def workers_for(rate: float, seconds: float) -> int:
    """The fewest workers with which most photos wait as little as they should, by bisection.

    A large pool needs what it works, and little more: there the load and its square root are enough.
    """
    if rate * seconds > LARGE_POOL:
        return math.ceil(rate * seconds + math.sqrt(rate * seconds))
    dice = random.Random(0)
    arrivals, now = [], 0.0
    for _ in range(SIMULATED_JOBS):
        now += dice.expovariate(rate)
        arrivals.append(now)
    work = [max(0.2, dice.gauss(1.0, SPREAD)) * seconds for _ in arrivals]
    least = max(1, math.floor(rate * seconds))
    most = least + 4 * math.ceil(math.sqrt(least)) + 4
    while least < most:
        middle = (least + most) // 2
        late = sorted(waits(arrivals, work, middle))[int(LATE * len(arrivals))]
        least, most = (least, middle) if late <= WAIT_SECONDS else (middle + 1, most)
    return least


def plan(rate: float, costs: Costs, bounds: Bounds) -> Plan:
    """What the rate needs, whether or not one Redis is enough for it."""
    workers = workers_for(rate, costs.worker)
    service = costs.service_record if bounds.bucket else costs.service
    kept, traffic = (costs.kept_record, costs.traffic_record) if bounds.bucket else (costs.kept, costs.traffic)
    every = rate * costs.events * costs.ring_service + workers * costs.look_service  # of each service
    room = bounds.service - every
    services = max(2, math.ceil(rate * service / room)) if room > 0.05 * bounds.service else 2
    memory = rate * costs.keep_seconds * kept
    use = {
        "a service": (every + rate / services * service) / bounds.service,
        "Redis": _redis(rate, workers, services, costs, bounds) / bounds.redis,
        "memory": memory / bounds.redis_memory,
        "network": rate * traffic / bounds.redis_traffic,
    }
    writes, reads = rate * costs.bucket_writes, rate * costs.bucket_reads + services * costs.bucket_probes
    if not bounds.bucket:
        return Plan(rate, workers, services, use, memory, 0.0)
    use["the bucket"] = max(writes / bounds.bucket_writes, reads / bounds.bucket_reads)
    return Plan(rate, workers, services, use, memory, writes + reads)


def _redis(rate: float, workers: int, services: int, costs: Costs, bounds: Bounds) -> float:
    """The share of a core that Redis uses."""
    job = costs.redis_record if bounds.bucket else costs.redis
    idle = services * costs.idle_service + workers * costs.idle_worker
    looks = services * workers * costs.look_redis
    return rate * (job + costs.events * services * costs.ring_redis) + idle + looks


def cells_for(rate: float, costs: Costs, bounds: Bounds) -> tuple[int, Plan]:
    """How many separate deployments, each with its own Redis, share the rate, and what each of them needs."""
    cells = 1
    while not (found := plan(rate / cells, costs, bounds)).fits:
        cells = max(cells + 1, math.ceil(cells * min(found.use[found.first], 2.0) ** 0.5))
    while cells > 1 and (fewer := plan(rate / (cells - 1), costs, bounds)).fits:
        cells, found = cells - 1, fewer
    return cells, found


def most(costs: Costs, bounds: Bounds) -> dict[str, float]:
    """The rate at which each bound is reached, the others left out of account."""
    found: dict[str, float] = {}
    for name in plan(1.0, costs, bounds).use:
        low, high = 1e-3, 1e5
        while high / low > 1.02:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if plan(middle, costs, bounds).use[name] <= 1 else (low, middle)
        found[name] = low
    return found


# Least of two to five runs on 26 November 2026, two cores shared with other work (load 7 to 20); see docs/scale.md.
MEASURED = Costs(
    worker=0.58,
    service=0.030,
    redis=0.0138,
    service_record=0.036,
    redis_record=0.0046,
    events=11,
    ring_redis=1.4e-6,
    ring_service=29e-6,
    idle_service=0.73e-3,
    idle_worker=0.25e-3,
    look_redis=4.0e-6,
    look_service=4.3e-6,
    kept=1.406e6,
    kept_record=7e3,
    traffic=2.959e6,
    traffic_record=30e3,
    bucket_writes=6,
    bucket_reads=4,
)
REDIS, BUCKET = Bounds(), Bounds(bucket=True)
SMALL = Bounds(redis_memory=2 * GIB)  # as a deployment is that changes no setting


def table(rates: Sequence[float] = RATES, costs: Costs = MEASURED) -> str:
    """What each rate needs, in Markdown."""
    names = ("deployments", "workers", "services", "requests to buckets", "core of a Redis", "memory of a Redis")
    lines = [f"| photos a second | blobs in | {' | '.join(names)} | first to give way |"]
    lines.append("| ---: | --- |" + " ---: |" * len(names) + " --- |")
    for rate in rates:
        for name, bounds in (("Redis", REDIS), ("a bucket", BUCKET)):
            cells, one = cells_for(rate, costs, bounds)
            core, memory = one.use["Redis"] * bounds.redis, one.memory / GIB
            figures = [f"{rate:,g}", name, f"{cells:,}", f"{cells * one.workers:,}", f"{cells * one.services:,}"]
            figures.append(f"{cells * one.requests:,.0f}")
            lines.append(f"| {' | '.join(figures)} | {core:.0%} | {memory:.2g} GiB | {one.first} |")
    return "\n".join(lines)


def breaks(costs: Costs = MEASURED) -> str:
    """The rate at which one deployment's parts give way, in Markdown."""
    lines = ["| what gives way | 2 GiB in Redis | 48 GiB in Redis | a bucket |", "| --- | ---: | ---: | ---: |"]
    columns = [most(costs, bounds) for bounds in (SMALL, REDIS, BUCKET)]
    for name in columns[-1]:
        cells = [f"{column[name]:.2g}" if name in column else "" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    rates = [float(text) for text in sys.argv[1:]] or RATES
    print(f"{table(rates)}\n\n{breaks()}")


if __name__ == "__main__":
    main()
