"""What Redis holds of finished jobs whose photos and meshes lie outside: `python -m tests.benchmarks.memory [JOBS]`.

Real records: the reconstruction of the astronaut with its 68 landmarks, a request id for each job, all stages told. The
bucket is left out: objects are announced and recorded, and not put. Prints bytes a job, and the most it was.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from pathlib import Path

import redis

from selfie3d.types import Priority, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import JobsConfig, Store, admission, execution, maintenance
from selfie3d_jobs.blobs import garbage, names
from selfie3d_worker.config import WorkerConfig
from selfie3d_worker.model import load
from tests.photos import astronaut

JOBS = 100_000
LEASE = 60.0  # s
WORKER = "selfie3d-worker-7bdb64d9c-x2x4z:12345:12389"
WIDE = admission.AdmissionLimits(max_queued=10**7, max_active=10**7)
SECONDS = {stage.value: 0.0123456 for stage in list(Stage)[:-1]}


def real_result() -> execution.ExecutionResult:
    """What a worker hands in for the astronaut."""
    output = load(WorkerConfig(device="cpu"))(astronaut(), pb.Options(), lambda *_: None)
    return execution.ExecutionResult(output.faces, output.files, SECONDS, output.previews)


def finish_one(store: Store, result: execution.ExecutionResult) -> None:
    """One job from its photo to its end."""
    settings = pb.JobSettings(request_id=secrets.token_hex(16), options=pb.Options(format="MESH_FORMAT_GLB"))
    new = admission.NewJob(
        id=admission.new_id(),
        owner="anna",
        settings=settings,
        priority=Priority.INTERACTIVE,
        photo_sizes=(800_000,),
        photo_sha256s=(secrets.token_hex(32),),
        timeout_seconds=3600.0,
        retention_seconds=86400.0,
        traceparent=f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
    )
    store.run(garbage.announce([names.photo(new.id)], 900.0))
    store.run(admission.create_outside(new, WIDE))
    job = store.run(execution.claim(new.id, WORKER, secrets.token_hex(16), LEASE))
    assert job is not None
    for number, stage in enumerate(Stage):
        store.run(execution.advance(job, stage, round(number / len(Stage), 4), LEASE))
    meshes = [names.mesh(job.id, 1, face, ".glb") for face in range(len(result.files))]
    pictures = [names.preview(job.id, 1, face) for face in range(len(result.previews))]
    store.run(garbage.announce_result(job, [*meshes, *pictures], 900.0))
    size = sum(map(len, [*result.files, *result.previews]))
    store.run(execution.succeed_outside(job, result, execution.Objects([*meshes, *pictures], ".glb", size)))


def main(jobs: int = JOBS) -> None:
    """Measure and print."""
    result = real_result()
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder) / "redis") as server:
        db, store = redis.Redis.from_url(server.url), Store(JobsConfig(redis_url=server.url))
        finish_one(store, result)  # its scripts stay
        before = db.info("memory")["used_memory"]
        for _ in range(jobs):
            finish_one(store, result)
            if taken := store.run(garbage.take_garbage()):  # the reaper's part
                store.run(garbage.forget(taken))
        memory = db.info("memory")
        used = memory["used_memory"] - before
        print(f"{jobs} finished jobs: {used / 1e6:.1f} MB, {used / jobs:.0f} bytes a job")
        print(f"of the process: {memory['used_memory_rss'] / 1e6:.1f} MB; bytes counted: {db.get('selfie3d:bytes')!r}")
        print(f"jobs kept: {store.run(maintenance.snapshot()).sizes['kept']}")
        for kind in ("job", "ended", "request", "events"):
            key = next(db.scan_iter(f"selfie3d:{kind}:*", count=1000), None)
            if key:
                print(f"{kind}: {db.memory_usage(key)} bytes, {db.object('encoding', key).decode()}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
