"""The stack that fault tests work on: tiny workers, and jobs held where wanted."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from selfie3d import Client, Retry
from selfie3d.types import JobState, Stage
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import JobsConfig, Record, Store
from selfie3d_jobs.connect import connect
from selfie3d_jobs.queries import ANYONE, get
from tests.faults.audit import Audit
from tests.stack import BOUND, Process, Stack, eventually, is_serving
from tests.tiny import make_photo

RUNNING_STAGES = tuple(Stage)
PATIENT = Retry(attempts=60, first=0.1, largest=1.0)


class Farm(Stack):
    """Two services, two workers with two tiny children each, unless told otherwise."""

    def __init__(self, folder: Path, *, services: int = 2, workers: int = 2, redis: Any = None, **env: str) -> None:
        settings = {
            "SELFIE3D_CONCURRENCY": "2",
            "SELFIE3D_MODEL": str(folder),
            "TEST_BREAKPOINT": "*:hold",
            "SELFIE3D_MAX_JOBS_PER_CALLER": "1000",
            "SELFIE3D_INTERACTIVE_TURNS": "1000",  # no bulk job's turn comes by chance; test_turns.py has a few
            **env,
        }
        super().__init__(
            folder,
            services=services,
            workers=workers,
            redis=redis or RedisServer(folder / "redis", port=0),
            worker_module="tests.tiny",
            **settings,
        )
        self.db = connect(self.redis.url)
        self.store = Store(JobsConfig(redis_url=self.redis.url))
        self.audit = Audit(*self.addresses)
        self._seeds = iter(range(10**9))

    def client(self, *services: int, retry: Retry = PATIENT) -> Client:
        """A client that knows the given services, or all."""
        known = [self.addresses[i] for i in services] or self.addresses
        return Client(f"ipv4:{','.join(known)}", retry=retry, timeout=BOUND)

    def new_photo(self, **kind: Any) -> bytes:
        return make_photo(next(self._seeds), **kind)

    def submit(self, client: Client, photo: bytes | None = None, *, hold: Stage | None = None, **options: Any) -> str:
        """Create a job, remember it for the audit, and let it wait before the stage `hold`."""
        photo = photo or self.new_photo()
        request_id = options.pop("request_id", uuid.uuid4().hex)
        if hold:
            self.hold(request_id, hold)
        job = client.submit(photo, request_id=request_id, **options)
        self.audit.photos[job.id] = photo
        return job.id

    def hold(self, request_id: str, stage: Stage) -> None:
        """Let the job of that request wait before the stage."""
        self.db.set(f"hold:{request_id}", stage.value)

    def release(self, *request_ids: str) -> None:
        """Let these jobs go on, or all."""
        keys = [f"hold:{name}" for name in request_ids] or list(self.db.scan_iter("hold:*"))
        if keys:
            self.db.delete(*keys)

    def record(self, job_id: str) -> Record:
        """The job as Redis has it."""
        return self.store.run(get(job_id, ANYONE))

    def await_stage(self, job_id: str, stage: Stage) -> Record:
        """The record once the job is at the stage (when held: waits before it)."""

        def look() -> Record | None:
            record = self.record(job_id)
            return record if record.state is JobState.RUNNING and record.stage is stage else None

        return eventually(look, f"job {job_id} is at {stage}: {self.record(job_id)}")

    def await_ends(self, job_ids: Iterable[str], since: float, bound: float = BOUND) -> float:
        """Wait until all have ended; the seconds from `since` (time.monotonic) to the last end."""
        for job_id in job_ids:
            eventually(partial(self.has_ended, job_id), f"job {job_id} has ended", bound)
        return time.monotonic() - since

    def has_ended(self, job_id: str) -> bool:
        return self.record(job_id).state.ended

    def restore(self) -> None:
        """Everything runs, answers and is released."""
        self.redis.start()
        self.release()

        def is_well() -> bool:
            self.revive()  # also what was still going down a moment ago
            return all(map(is_serving, channels)) and all(map(self.is_listening, self.workers))

        channels = [grpc.insecure_channel(address) for address in self.addresses]
        eventually(is_well, f"services are SERVING and workers report in; logs in {self.folder}")
        for channel in channels:
            channel.close()

    def is_listening(self, worker: Process) -> bool:
        """Whether all children of the worker have reported."""
        names = [str(name, "utf-8") for name in self.db.hkeys("selfie3d:workers") if isinstance(name, bytes)]
        mine = {int(name.split(":")[2]) for name in names if name.split(":")[1] == str(worker.pid)}
        return len(mine & set(worker.children())) == int(worker.env["SELFIE3D_CONCURRENCY"])

    def open_files(self, pid: int) -> int:
        """File descriptors of a process."""
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    def contents(self) -> dict[str, bytes]:
        """Every key and what it holds, as bytes; of photos and meshes only that they are there."""
        readers: dict[bytes, Callable[[bytes], Any]] = {
            b"string": self.db.get,
            b"hash": self.db.hgetall,
            b"zset": lambda key: self.db.zrange(key, 0, -1),
            b"set": self.db.smembers,
            b"list": lambda key: self.db.lrange(key, 0, -1),
            b"stream": self.db.xrange,
        }
        found = {}
        for key in self.db.scan_iter("*"):
            kind = self.db.type(key)
            if kind in readers:
                is_blob = key.startswith((b"selfie3d:photo:", b"selfie3d:mesh:", b"selfie3d:preview:"))
                found[key.decode()] = b"" if is_blob else repr(readers[kind](key)).encode()
        return found

    def traces(self, *words: str) -> list[str]:
        """Keys whose name or content holds one of the words."""
        contents = self.contents()
        return [k for k, v in contents.items() if any(word in k or word.encode() in v for word in words)]

    def contradictions(self) -> list[str]:
        """What does not fit together in Redis once every job has ended; empty when all is well."""

        def size(pattern: str) -> int:
            return sum(self.db.strlen(key) for key in self.db.scan_iter(f"selfie3d:{pattern}"))

        kept, stored = int(self.db.get("selfie3d:bytes") or 0), size("mesh:*") + size("preview:*") + size("photo:*")
        problems = [f"{kept} bytes counted, {stored} stored"] if kept != stored else []
        for key in ("active", "leases", "deadlines", "queued:interactive", "queued:bulk", "interactive"):
            if self.db.exists(f"selfie3d:{key}"):
                problems.append(f"{key} is not empty")
        for pattern in ("photo:*", "mesh:*", "preview:*", "events:*"):
            problems += [f"{k} stays" for k in self.db.scan_iter(f"selfie3d:{pattern}") if self.db.ttl(k) < 0]
        return problems
