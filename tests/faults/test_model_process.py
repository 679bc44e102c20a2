"""The process that runs the networks of a worker's children is killed under jobs."""

from __future__ import annotations

import os
import signal
import time
import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from selfie3d import Client
from selfie3d.types import JobState, Stage
from selfie3d_jobs import JobsConfig, Record, Store, maintenance
from selfie3d_jobs.queries import ANYONE, get
from tests.photos import astronaut
from tests.stack import Process, Stack, eventually

CHILDREN = 2
HOLD: dict[str, Any] = {
    "TEST_BREAKPOINT": "*:hold",
    "SELFIE3D_MODEL_PROCESS": "on",
    "SELFIE3D_CONCURRENCY": str(CHILDREN),
}


def model_process_of(worker: Process) -> int:
    """Its process id; 0 while there is none. It is a child of whichever thread started it, and no child of Celery's."""
    for children in Path(f"/proc/{worker.pid}/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            with suppress(FileNotFoundError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"from multiprocessing.spawn" in command:
                    return pid
    return 0


def test_jobs_outlive_the_process_that_runs_their_networks(tmp_path: Path, figures: dict[str, float]) -> None:
    """Killed with a job before its detection and another before its network: both end at their first attempt."""
    with (
        Stack(tmp_path, workers=1, worker_module="tests.held_worker", **HOLD) as stack,
        Client(stack.addresses[0]) as client,
    ):
        undisturbed = client.reconstruct(astronaut())
        store, [worker] = Store(JobsConfig(redis_url=stack.redis.url)), stack.workers
        requests = {uuid.uuid4().hex: stage for stage in (Stage.DETECT, Stage.NETWORK)}
        for request_id, stage in requests.items():
            store._client.set(f"hold:{request_id}", stage.value)
        jobs = {client.submit(astronaut(), request_id=request_id): stage for request_id, stage in requests.items()}

        def record(job_id: str) -> Record:
            return store.run(get(job_id, ANYONE))

        def is_at(job_id: str, stage: Stage) -> bool:
            return record(job_id).stage is stage

        for job, stage in jobs.items():
            eventually(partial(is_at, job.id, stage), f"a job is at {stage}")
        first = model_process_of(worker)
        os.kill(first, signal.SIGKILL)
        killed = time.monotonic()
        store._client.delete(*(f"hold:{request_id}" for request_id in requests))
        results = [job.result() for job in jobs]
        figures["jobs whose model process was killed, s from the kill to their meshes"] = time.monotonic() - killed
        assert [(record(job.id).state, record(job.id).attempt) for job in jobs] == [(JobState.SUCCEEDED, 1)] * 2
        assert model_process_of(worker) not in (0, first)
        for result in results:
            np.testing.assert_allclose(result.mesh.size_mm, undisturbed.mesh.size_mm, atol=0.01)
        snapshot = store.run(maintenance.snapshot())
        assert [report.model_process for report in snapshot.workers] == [True] * CHILDREN
        assert snapshot.counters["batch:1"] > 0
        store.close()


def test_the_model_process_ends_with_its_worker_however_that_ends(tmp_path: Path) -> None:
    for end in (Process.stop, Process.kill):
        with Stack(tmp_path, workers=1, worker_module="tests.held_worker", **HOLD) as stack:
            [worker] = stack.workers
            models = model_process_of(worker)
            assert models
            end(worker)
            eventually(partial(has_ended, models), "it has ended")


def has_ended(pid: int) -> bool:
    """Whether there is no such process, or nobody but its parent has still to hear of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
