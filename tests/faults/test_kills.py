"""kill -9 of a worker child, a worker parent and a service, with a job held at each stage."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from selfie3d import Client
from selfie3d.types import JobState, Stage
from tests.faults.farm import RUNNING_STAGES, Farm
from tests.stack import Process, eventually


@pytest.fixture(scope="module")
def wide(whole_farm: Farm) -> Iterator[Process]:
    """A third worker, with a child for each stage."""
    worker = whole_farm.make_worker("wide", SELFIE3D_CONCURRENCY=str(len(RUNNING_STAGES)))
    yield worker
    worker.end()


def jobs_at_each_stage(farm: Farm, client: Client, worker: Process) -> dict[Stage, str]:
    """Fill all workers with jobs, and have the ones of `worker` wait before one stage each; the others end."""
    requests = [uuid.uuid4().hex for _ in range(len(RUNNING_STAGES) + 4)]  # 4: children of the two other workers
    jobs = {farm.submit(client, hold=Stage.DECODE, request_id=name): name for name in requests}
    records = [farm.await_stage(job_id, Stage.DECODE) for job_id in jobs]
    mine = [record.id for record in records if record.worker.split(":")[1] == str(worker.pid)]
    assert len(mine) == len(RUNNING_STAGES)
    placed = dict(zip(RUNNING_STAGES, mine, strict=True))
    for stage, job_id in placed.items():
        farm.hold(jobs[job_id], stage)
    for stage, job_id in placed.items():
        farm.await_stage(job_id, stage)
    farm.release(*(name for job_id, name in jobs.items() if job_id not in mine))
    return placed


@pytest.mark.parametrize("victim", ["child", "parent"])
def test_jobs_of_a_killed_worker_end_on_another(
    farm: Farm, wide: Process, victim: str, figures: dict[str, float]
) -> None:
    if not wide.running:
        wide.start()
    eventually(lambda: farm.is_listening(wide), "the third worker is ready")
    with farm.client() as client:
        placed = jobs_at_each_stage(farm, client, wide)
        before = {job_id: farm.record(job_id) for job_id in placed.values()}
        children = [int(record.worker.split(":")[2]) for record in before.values()]
        if victim == "child":
            for pid in children:
                os.kill(pid, signal.SIGKILL)
        else:
            wide.kill()
        killed = time.monotonic()
        for pid in children:
            eventually(partial(has_ended, pid), f"child {pid} of the killed worker has ended")
        farm.release()
        figures[f"slowest recovery after kill -9 of a worker {victim}, s"] = farm.await_ends(placed.values(), killed)
    for job_id, record in before.items():
        after = farm.record(job_id)
        assert after.state is JobState.SUCCEEDED
        assert after.attempt == record.attempt + 1
        assert after.worker != record.worker
    farm.audit.check(placed.values(), SUCCEEDED=len(placed))


def test_jobs_and_watchers_outlive_a_killed_service(farm: Farm, figures: dict[str, float]) -> None:
    """Whatever stage a job is at; the caller notices nothing, its client goes on at the next service."""
    with farm.client(0, 1) as client, ThreadPoolExecutor(len(RUNNING_STAGES)) as pool:
        names = {stage: uuid.uuid4().hex for stage in RUNNING_STAGES}
        jobs = {stage: farm.submit(client, hold=stage, request_id=name) for stage, name in names.items()}
        results = {stage: pool.submit(client.job(job_id).result) for stage, job_id in jobs.items()}
        killed = 0.0
        for stage, job_id in jobs.items():
            farm.await_stage(job_id, stage)
            victim = farm.services[0]
            victim.kill()
            killed = time.monotonic()
            farm.release(names[stage])
            job = results[stage].result().job
            assert job
            assert job.attempt == 1
            victim.start()
        figures["last result after kill -9 of a service, s"] = time.monotonic() - killed
    farm.audit.check(jobs.values(), SUCCEEDED=len(jobs))


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
