"""Exactly one result: idempotent creation, second deliveries, late workers, photos that kill."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from selfie3d.types import JobState, Stage
from selfie3d_jobs import JobsConfig, Record
from selfie3d_jobs.broker import create_app, publish
from selfie3d_jobs.maintenance import Message
from tests.faults.farm import Farm
from tests.stack import eventually
from tests.tiny import Command, network_runs

CLIENTS = 20
DROPPED, FENCED = "A delivery was dropped:", "The job is not ours any more."


@pytest.fixture(scope="module")
def killer(whole_farm: Farm) -> str:
    """A job whose photo kills; it is given up while the tests of this file go on."""
    whole_farm.restore()
    with whole_farm.client() as client:
        return whole_farm.submit(client, whole_farm.new_photo(command=Command.KILL))


def deliver_again(farm: Farm, job_id: str) -> None:
    """Publish the job's message once more."""
    with create_app(JobsConfig(redis_url=farm.redis.url)) as app:
        publish(app, Message(job_id, "interactive", "", farm.record(job_id).create_time))


def await_log(farm: Farm, job_id: str, sentence: str) -> None:
    """Wait until some worker has logged the sentence about the job."""

    def look() -> bool:
        lines = (line for log in farm.folder.glob("worker*.log") for line in log.read_text().splitlines())
        return any(job_id in line and sentence in line for line in lines)

    eventually(look, f"a worker logs {sentence!r} for {job_id}")


@pytest.mark.usefixtures("killer")
def test_one_request_id_from_many_clients_at_once_is_one_job(farm: Farm) -> None:
    photo, name, start = farm.new_photo(), uuid.uuid4().hex, threading.Barrier(CLIENTS)

    def create(number: int) -> str:
        with farm.client(number % 2) as client:
            client.job(uuid.uuid4().hex)
            start.wait()
            return farm.submit(client, photo, request_id=name)

    with ThreadPoolExecutor(CLIENTS) as pool:
        ids = set(pool.map(create, range(CLIENTS)))
    assert len(ids) == 1
    farm.audit.check(ids, SUCCEEDED=1)
    assert network_runs(farm.folder, photo) == 1
    kept = [record for record in all_records(farm) if record.settings.request_id == name]
    assert len(kept) == 1


@pytest.mark.usefixtures("killer")
def test_a_job_delivered_to_two_workers_runs_once(farm: Farm) -> None:
    with farm.client() as client:
        job_id = farm.submit(client, hold=Stage.NETWORK)
        farm.await_stage(job_id, Stage.NETWORK)
        deliver_again(farm, job_id)
        await_log(farm, job_id, DROPPED)
        farm.release()
    farm.audit.check([job_id], SUCCEEDED=1)
    assert farm.record(job_id).attempt == 1
    assert network_runs(farm.folder, farm.audit.photos[job_id]) == 1


@pytest.mark.usefixtures("killer")
def test_a_finished_job_stays_as_it_is(farm: Farm) -> None:
    with farm.client() as client:
        job_id = farm.submit(client)
        farm.audit.check([job_id], SUCCEEDED=1)
        deliver_again(farm, job_id)
        await_log(farm, job_id, DROPPED)
        assert client.job(job_id).cancel().state is JobState.SUCCEEDED
    farm.audit.check([job_id], SUCCEEDED=1)


@pytest.mark.usefixtures("killer")
def test_a_worker_that_stood_still_too_long_cannot_write_its_result(farm: Farm) -> None:
    with farm.client() as client:
        job_id = farm.submit(client, hold=Stage.STORE)
        first = farm.await_stage(job_id, Stage.STORE)
        late = int(first.worker.split(":")[2])
        os.kill(late, signal.SIGSTOP)
        try:
            farm.release()
            eventually(lambda: farm.record(job_id).state is JobState.SUCCEEDED, "another worker has done it")
            second = farm.record(job_id)
            assert second.attempt == first.attempt + 1
            farm.audit.check([job_id], SUCCEEDED=1)
        finally:
            os.kill(late, signal.SIGCONT)
        await_log(farm, job_id, FENCED)
    farm.audit.check([job_id], SUCCEEDED=1)
    assert farm.record(job_id) == second


def test_a_photo_that_kills_its_worker_is_given_up_and_the_others_go_on(
    farm: Farm, killer: str, figures: dict[str, float]
) -> None:
    with farm.client() as client:
        while not farm.record(killer).state.ended:
            farm.await_ends([farm.submit(client)], 0)
    record = farm.record(killer)
    others = [job for job in map(farm.record, farm.audit.photos) if record.create_time < job.end_time < record.end_time]
    assert record.error is not None
    assert (record.state, record.error.reason, record.attempt) == (JobState.FAILED, "POISON_INPUT", 3)
    assert network_runs(farm.folder, farm.audit.photos[killer]) == 3
    farm.audit.check([killer], FAILED=1)
    figures["jobs done beside a poisonous one"] = len(others)
    assert others
    farm.audit.check([job.id for job in others], SUCCEEDED=len(others))


def all_records(farm: Farm) -> list[Record]:
    ids = [name.decode().rpartition(":")[2] for name in farm.db.scan_iter("selfie3d:job:*")]
    return [farm.record(job_id) for job_id in ids]
