"""What Redis holds of finished jobs whose photos and meshes lie outside: `python -m tests.benchmarks.memory [JOBS]`.

Real records: the reconstruction of the astronaut with its 68 landmarks, a request id for each job, all stages told. The
bucket is left out: objects are announced and recorded, and not put.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from selfie3d.types import Priority, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import JobsConfig, admission, execution
from selfie3d_jobs.blobs import garbage, names
from selfie3d_jobs.command import Command
from selfie3d_worker.config import WorkerConfig
from selfie3d_worker.model import load
from tests.photos import astronaut

JOBS = 100_000
LEASE = GRACE = 900.0  # s
BATCH = 500  # jobs at a time
WORKER = "selfie3d-worker-7bdb64d9c-x2x4z:12345:12389"
WIDE = admission.AdmissionLimits(max_queued=10**7, max_active=10**7)
SECONDS = {stage.value: 0.0123456 for stage in list(Stage)[:-1]}


def real_result() -> execution.ExecutionResult:
    """What a worker hands in for the astronaut."""
    output = load(WorkerConfig(device="cpu"))(astronaut(), pb.Options(), lambda *_: None, lambda _: None)
    return execution.ExecutionResult(output.faces, output.files, SECONDS, output.previews)


class Road:
    """Jobs from their photos to their ends, many at a time."""

    def __init__(self, url: str, result: execution.ExecutionResult) -> None:
        self._prefix = JobsConfig().prefix
        self._redis, self._result = redis.Redis.from_url(url), result

    def finish(self, count: int) -> None:
        """So many more jobs that have ended."""
        new = [new_job() for _ in range(count)]
        self._send([garbage.announce([names.photo(job.id)], GRACE) for job in new])
        self._send([admission.create_outside(job, WIDE) for job in new])
        jobs = self._send([execution.claim(job.id, WORKER, secrets.token_hex(16), LEASE) for job in new])
        for number, stage in enumerate(Stage):
            progress = round(number / len(Stage), 4)
            self._send([execution.advance(job, stage, progress, LEASE) for job in jobs])
        self._send([garbage.announce_result(job, self._objects(job).names, GRACE) for job in jobs])
        self._send([execution.succeed_outside(job, self._result, self._objects(job)) for job in jobs])
        while taken := self._send([garbage.take_garbage()])[0]:  # the reaper's part
            self._send([garbage.forget(taken)])

    def _objects(self, job: Any) -> execution.Objects:
        meshes = [names.mesh(job.id, 1, face, ".glb") for face in range(len(self._result.files))]
        pictures = [names.preview(job.id, 1, face) for face in range(len(self._result.previews))]
        size = sum(map(len, [*self._result.files, *self._result.previews]))
        return execution.Objects([*meshes, *pictures], ".glb", size)

    def _send(self, commands: Sequence[Command[Any]]) -> list[Any]:
        if commands[0].script:
            self._redis.script_load(commands[0].script.source)
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command.args(self._prefix))
        return [command.parse(reply) for command, reply in zip(commands, pipeline.execute(), strict=True)]


def new_job() -> admission.NewJob:
    """As a client's that retries: with a request id."""
    return admission.NewJob(
        id=admission.new_id(),
        owner="anna",
        settings=pb.JobSettings(request_id=secrets.token_hex(16), options=pb.Options(format="MESH_FORMAT_GLB")),
        priority=Priority.INTERACTIVE,
        photo_sizes=(800_000,),
        photo_sha256s=(secrets.token_hex(32),),
        timeout_seconds=3600.0,
        retention_seconds=86400.0,
        traceparent=f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
    )


def main(jobs: int = JOBS) -> None:
    """Measure and print."""
    result = real_result()
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder) / "redis") as server:
        db, road = redis.Redis.from_url(server.url), Road(server.url, result)
        road.finish(1)  # its scripts stay
        before = db.info("memory")["used_memory"]
        for start in range(0, jobs, BATCH):
            road.finish(min(BATCH, jobs - start))
        memory = db.info("memory")
        used = memory["used_memory"] - before
        print(f"{jobs} finished jobs: {used / 1e6:.1f} MB, {used / jobs:.0f} bytes a job")
        print(f"of the process: {memory['used_memory_rss'] / 1e6:.1f} MB; jobs kept: {db.zcard('selfie3d:expiry')}")
        for kind in ("job", "ended", "request"):
            key = next(iter(db.scan_iter(f"selfie3d:{kind}:*", count=1000)))
            print(f"{kind}: {db.memory_usage(key)} bytes, {db.object('encoding', key).decode()}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
