"""What one job costs each part, for docs/scale.md: python -m tests.benchmarks.costs [JOBS]

CPU seconds are those that the kernel counts for each process, so that a busy machine changes them little. Everything is
counted between two looks; what runs without jobs, too, is measured first and taken off.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import redis

from selfie3d import Client, Face
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import AsyncStore, JobsConfig, Store, maintenance
from selfie3d_jobs.keys import DOORBELL
from selfie3d_jobs.maintenance import WorkerReport
from selfie3d_jobs.record import parse_ring
from tests.benchmarks.request_counter import RequestCounter
from tests.buckets import Nanio, use_credentials
from tests.photos import astronaut
from tests.stack import BOUND, Process, Stack, eventually
from tests.tiny import make_photo

JOBS, WARM = 60, 5
IDLE_SECONDS = 10.0
TICKS = os.sysconf("SC_CLK_TCK")
FAKE_WORKERS, LOOKS = 2000, 50
COUNT, LISTENERS = range(5000), (1, 11)
ONE_THREAD = {"SELFIE3D_THREADS": "1", "SELFIE3D_MAX_JOBS_PER_CALLER": "10000"}


def cpu_seconds(*pids: int) -> float:
    """That these processes have used since they began."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICKS


@dataclass
class Look:
    """What has been used up to a moment: CPU seconds by part, and Redis's own counts."""

    time: float
    seconds: dict[str, float]
    commands: Counter[str]
    received: int
    sent: int

    @classmethod
    def at(cls, stack: Stack, db: redis.Redis) -> Self:
        """Now."""
        info: Any = db.info("all")
        calls = {name: each["calls"] for name, each in info.items() if name.startswith("cmdstat_")}
        parts = {"service": stack.services, "worker": stack.workers}
        seconds = {part: cpu_seconds(*pids_of(processes)) for part, processes in parts.items()}
        seconds["redis"] = info["used_cpu_sys"] + info["used_cpu_user"]
        sizes = info["total_net_input_bytes"], info["total_net_output_bytes"]
        return cls(time.monotonic(), seconds, Counter(calls), *sizes)


@dataclass
class Use:
    """Between two looks. `rates` are a second."""

    seconds: float
    cpu: dict[str, float]
    commands: float
    received: float
    sent: float
    by_command: dict[str, int] = field(default_factory=dict)

    @classmethod
    def between(cls, before: Look, after: Look) -> Self:
        """What was used in the meantime."""
        cpu = {part: after.seconds[part] - before.seconds[part] for part in after.seconds}
        calls = after.commands - before.commands
        return cls(
            after.time - before.time,
            cpu,
            sum(calls.values()),
            after.received - before.received,
            after.sent - before.sent,
            dict(calls.most_common(12)),
        )

    def less(self, idle: Use, jobs: int) -> dict[str, float]:
        """For each job, without what is used by idling for as long."""
        share = self.seconds / idle.seconds
        found = {f"cpu_{part}": (self.cpu[part] - idle.cpu[part] * share) / jobs for part in self.cpu}
        found["redis_commands"] = (self.commands - idle.commands * share) / jobs
        found["redis_received"] = (self.received - idle.received * share) / jobs
        found["redis_sent"] = (self.sent - idle.sent * share) / jobs
        return found

    def a_second(self) -> dict[str, float]:
        """What idling takes."""
        found = {f"cpu_{part}": taken / self.seconds for part, taken in self.cpu.items()}
        return found | {"redis_commands": self.commands / self.seconds}


def pids_of(processes: list[Process]) -> list[int]:
    """Theirs and their children's."""
    return [pid for process in processes for pid in (process.pid, *process.children())]


def of_jobs(folder: Path, jobs: int, photo: bytes, module: str) -> None:
    """One service and one worker of one thread, and a caller that creates, follows and downloads."""
    env: dict[str, Any] = {**ONE_THREAD, "redis": RedisServer(folder / "redis", port=0), "worker_module": module}
    with Stack(folder, **env) as stack, Client(stack.addresses[0], timeout=BOUND) as client:
        db = redis.Redis.from_url(stack.redis.url)
        for _ in range(WARM):
            client.reconstruct(photo)
        before = Look.at(stack, db)
        time.sleep(IDLE_SECONDS)
        idle = Use.between(before, Look.at(stack, db))
        memory = int(db.info("memory")["used_memory"])  # type: ignore[index, call-overload]
        before = Look.at(stack, db)
        for _ in range(jobs):
            result = client.reconstruct(photo)
        use = Use.between(before, Look.at(stack, db))
        mesh = len(result.faces[0].mesh.data)
        kept = (int(db.info("memory")["used_memory"]) - memory) / jobs  # type: ignore[index, call-overload]
        preview = preview_size(result.faces[0])
        records = [key for kind in ("job", "events", "request") for key in db.scan_iter(f"selfie3d:{kind}:*")]
        record = sum(int(db.memory_usage(key) or 0) for key in records) / (jobs + WARM)  # type: ignore[arg-type]
        events = sum(1 for _ in client.job(result.job.id).watch()) if result.job else 0
    show("a job", use.less(idle, jobs))
    show("a second without jobs, one service and one worker", idle.a_second())
    blobs = {"photo": len(photo), "mesh": mesh, "preview": preview}
    show("sizes", {**blobs, "kept_in_redis": kept, "record": record, "events": events})
    show("commands of a job and of idling", {name: count / jobs for name, count in use.by_command.items()})


def of_bucket(folder: Path, jobs: int, photo: bytes) -> None:
    """The same jobs with photo and mesh in an S3 server's bucket, which counts requests, to their deletion."""
    use_credentials()
    (folder / "nanio").mkdir()
    with Nanio(folder / "nanio") as nanio, RequestCounter(nanio.port) as counter:
        place = nanio.setting("costs", counter.port)
        env: dict[str, Any] = {**ONE_THREAD, "redis": RedisServer(folder / "redis", port=0), "SELFIE3D_BLOBS": place}
        with Stack(folder, **env) as stack, Client(stack.addresses[0], timeout=BOUND) as client:
            db = redis.Redis.from_url(stack.redis.url)
            made = [client.reconstruct(photo) for _ in range(WARM)]
            await_rest(db)
            before = Look.at(stack, db)
            time.sleep(IDLE_SECONDS)
            idle = Use.between(before, Look.at(stack, db))
            seen, sizes = Counter(counter.seen), (counter.received, counter.sent)
            before = Look.at(stack, db)
            made += [client.reconstruct(photo) for _ in range(jobs)]
            await_rest(db)
            use = Use.between(before, Look.at(stack, db))
            to_the_end = counter.seen - seen
            traffic = {"received": (counter.received - sizes[0]) / jobs, "sent": (counter.sent - sizes[1]) / jobs}
            seen = Counter(counter.seen)
            for result in made:
                client.job(str(result.job and result.job.id)).delete()
            await_rest(db)
            deleted = counter.seen - seen
    show("a job", use.less(idle, jobs))
    show("bytes of the bucket for a job", traffic)
    show("requests to the bucket to a job's end", {name: count / jobs for name, count in to_the_end.items()})
    show("requests for its deletion", {name: count / len(made) for name, count in deleted.items()})


def await_rest(db: redis.Redis) -> None:
    """Until no object is on its way into the bucket or out of it."""
    eventually(lambda: not db.exists("selfie3d:uploads", "selfie3d:garbage"), "the bucket is at rest")


def of_idling(folder: Path) -> None:
    """What one more service and one more worker cost Redis while nothing comes."""
    found: dict[tuple[int, int], float] = {}
    for services, workers in ((1, 1), (1, 5), (5, 1)):
        env: dict[str, Any] = {"services": services, "workers": workers, "worker_module": "tests.tiny"}
        home = folder / f"idle-{services}-{workers}"
        home.mkdir()
        with Stack(home, redis=RedisServer(home / "redis", port=0), **env) as stack:
            db = redis.Redis.from_url(stack.redis.url)
            before = Look.at(stack, db)
            time.sleep(IDLE_SECONDS)
            use = Use.between(before, Look.at(stack, db))
            found[services, workers] = use.cpu["redis"] / use.seconds
    one = found[1, 1]
    show("idling, a second", {"redis_worker": (found[1, 5] - one) / 4, "redis_service": (found[5, 1] - one) / 4})


def preview_size(face: Face) -> int:
    """Bytes of the head's picture; 0: the worker drew none."""
    try:
        return face.preview.size
    except ValueError:
        return 0


def of_size(folder: Path) -> None:
    """What grows with the deployment: a look at many workers, and a ring that many services hear."""
    with RedisServer(folder / "large", port=0) as server:
        config = JobsConfig(redis_url=server.url)
        db, store = redis.Redis.from_url(server.url), Store(config)
        alone = seconds_of(db, lambda: [store.run(maintenance.snapshot()) for _ in range(LOOKS)])
        for number in range(FAKE_WORKERS):
            store.run(maintenance.report(WorkerReport(f"host-{number}:1:2", True, "default", "0" * 64, "cpu")))
            db.zadd("selfie3d:leases", {f"{number:032x}": 9e12})
        own = time.process_time()
        many = seconds_of(db, lambda: [store.run(maintenance.snapshot()) for _ in range(LOOKS)])
        own = time.process_time() - own
        reports = seconds_of(
            db, lambda: [store.run(maintenance.report(WorkerReport("a:1:2", True))) for _ in range(FAKE_WORKERS)]
        )
        grown = {"redis_look": alone / LOOKS, "redis_look_each_worker": (many - alone) / LOOKS / FAKE_WORKERS}
        show("what grows", grown | {"service_look_each_worker": own / LOOKS / FAKE_WORKERS})
        show("a worker's sign of life", {"redis": reports / FAKE_WORKERS})
        heard = {count: of_rings(db, config, count) for count in LISTENERS}
        few, more = (heard[count] for count in LISTENERS)
        apart = (more[0] - few[0]) / (LISTENERS[1] - LISTENERS[0])
        show("a ring", {"redis_each_listener": apart, "listener": few[1]})
        store.close()


def of_rings(db: redis.Redis, config: JobsConfig, listeners: int) -> tuple[float, float]:
    """CPU seconds of Redis for one ring, and of a service that reads it."""
    ring = b"0" * 32 + b" 3 time 1790000000000 state RUNNING stage network attempt 1 progress 0.5"
    others = [db.pubsub() for _ in range(listeners - 1)]
    for other in others:
        other.subscribe(f"{config.prefix}{DOORBELL}")
    before = redis_seconds(db)
    listener = asyncio.run(_listen(config, lambda: [db.publish(f"{config.prefix}{DOORBELL}", ring) for _ in COUNT]))
    taken = (redis_seconds(db) - before) / len(COUNT)
    for other in others:
        other.close()
    return taken, listener


async def _listen(config: JobsConfig, ring: Callable[[], object]) -> float:
    """CPU seconds for each ring of this thread, which reads them as the broadcaster does."""
    store = AsyncStore(config)
    bell, channels = store.subscription(DOORBELL)
    await bell.subscribe(*channels)
    await bell.get_message(timeout=1)
    await asyncio.to_thread(ring)
    start, read = time.thread_time(), 0
    while read < len(COUNT):
        message = await bell.get_message(timeout=10)
        if message:
            parse_ring(message["data"])
            read += 1
    used = time.thread_time() - start
    await bell.aclose()
    await store.close()
    return used / len(COUNT)


def redis_seconds(db: redis.Redis) -> float:
    info: Any = db.info("cpu")
    return float(info["used_cpu_sys"] + info["used_cpu_user"])


def seconds_of(db: redis.Redis, work: Any) -> float:
    """CPU seconds of Redis while the work is done."""
    before = redis_seconds(db)
    work()
    return redis_seconds(db) - before


def show(what: str, figures: dict[str, float]) -> None:
    print(f"\n{what}")
    for name, value in figures.items():
        print(f"  {name} {value:.6g}")


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    with tempfile.TemporaryDirectory() as folder:
        of_size(Path(folder))
        of_idling(Path(folder))
        for name, photo, module in (("real", astronaut(), "selfie3d_cli"), ("tiny", make_photo(), "tests.tiny")):
            print(f"\n== {name} photos and meshes; of tiny ones the record is what costs")
            (Path(folder) / name).mkdir()
            of_jobs(Path(folder) / name, jobs, photo, module)
        print("\n== real photos and meshes in a bucket")
        (Path(folder) / "bucket").mkdir()
        of_bucket(Path(folder) / "bucket", jobs, astronaut())


if __name__ == "__main__":
    main()
