"""What an operator said holds whatever is killed: a pause, its end, and who is seen to work."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from selfie3d import Client
from selfie3d.types import JobState, Priority, Stage
from selfie3d.v1 import admin_pb2 as pb
from selfie3d.v1 import reconstruction_pb2 as api
from selfie3d.v1.admin_pb2_grpc import AdminServiceStub
from selfie3d_jobs import administration
from tests.faults.farm import Farm
from tests.faults.guarded import TokenBook, bearer
from tests.stack import Process, eventually, free_port
from tests.tiny import network_runs

WAITING, LATER = 4, 3  # jobs that wait when the queue is paused, and that are accepted afterwards
CHILDREN = 4  # of the farm


class Desk:
    """A service of the farm that knows an operator's token, and shows metrics."""

    def __init__(self, farm: Farm, folder: Path) -> None:
        address, self._metrics = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        book = TokenBook(folder / "tokens.toml")
        self._shown = bearer(book.add("ops", "admin"))
        env = {"SELFIE3D_TOKENS": str(book.path), "SELFIE3D_METRICS_LISTEN": self._metrics}
        self.service = farm.make_service(address, **env)
        self._channel = grpc.insecure_channel(address, [("grpc.initial_reconnect_backoff_ms", 100)])
        self._stub: Any = AdminServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def ask(self, method: str, **fields: Any) -> Any:
        return getattr(self._stub, method)(getattr(pb, f"{method}Request")(**fields), **self._shown)

    def metric(self, line: str) -> bool:
        """Whether the metrics have that line."""
        with urllib.request.urlopen(f"http://{self._metrics}/metrics", timeout=10) as answer:
            return line in answer.read().decode().splitlines()

    def close(self) -> None:
        self._channel.close()
        self.service.end()


@pytest.fixture
def desk(farm: Farm, tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(farm, tmp_path)
    opened.service.start()
    opened.ask("ListQueues")  # waits until it answers
    yield opened
    opened.close()
    farm.redis.start()
    for queue in Priority:
        farm.store.run(administration.resume(queue))


def busy(farm: Farm, client: Client) -> list[str]:
    """A job in the network of every child."""
    jobs = [farm.submit(client, hold=Stage.NETWORK) for _ in range(CHILDREN)]
    for job_id in jobs:
        farm.await_stage(job_id, Stage.NETWORK)
    return jobs


def child_of(farm: Farm, job_id: str) -> int:
    return int(farm.record(job_id).worker.rpartition(":")[2])


def let_the_reaper_look(farm: Farm, job_ids: list[str]) -> None:
    """Two passes of it over jobs that seem to have lost their messages long ago."""
    farm.db.zadd("selfie3d:queued:interactive", dict.fromkeys(job_ids, 1))
    for _ in range(2):
        before = farm.db.get("selfie3d:life")
        eventually(lambda before=before: farm.db.get("selfie3d:life") != before, "a sign of life")  # type: ignore[misc]


def test_a_pause_outlasts_kills_of_everything_and_then_each_held_job_runs_once(farm: Farm, desk: Desk) -> None:
    with farm.client() as client:
        running = busy(farm, client)
        photos = [farm.new_photo() for _ in range(WAITING + LATER)]
        held = [farm.submit(client, photo) for photo in photos[:WAITING]]
        assert desk.ask("PauseQueue", priority=api.PRIORITY_INTERACTIVE).queue.paused_by == "ops"
        held += [farm.submit(client, photo) for photo in photos[WAITING:]]
        lost, *running = running
        os.kill(child_of(farm, lost), signal.SIGKILL)
        farm.release()
        farm.await_ends(running, 0)  # what runs goes on
        eventually(lambda: farm.record(lost).state is JobState.QUEUED, "the job of the killed child waits again")

        victims: list[Process] = [*farm.workers, *farm.services, desk.service]
        for victim in victims:
            victim.kill()
        farm.redis.kill()
        farm.restore()
        desk.service.start()
        let_the_reaper_look(farm, [lost, *held])
        other = farm.submit(client, priority=Priority.BULK)
        farm.await_ends([other], 0)  # the workers are back, and take what they may
        records = [farm.record(job_id) for job_id in [lost, *held]]
        assert {(record.state, record.queue_paused) for record in records} == {(JobState.QUEUED, True)}
        assert [record.attempt for record in records] == [1] + [0] * len(held)
        assert client.job(held[-1]).status().queue_paused
        [interactive, _] = desk.ask("ListQueues").queues
        assert (interactive.waiting, interactive.running, interactive.paused_by) == (len(held) + 1, 0, "ops")
        eventually(lambda: desk.metric('selfie3d_queue_paused{queue="interactive"} 1.0'), "the metrics show it")

        desk.ask("ResumeQueue", priority=api.PRIORITY_INTERACTIVE)
        farm.await_ends([lost, *held], 0)
    farm.audit.check([*running, lost, other, *held], SUCCEEDED=CHILDREN + 1 + len(held))
    assert [network_runs(farm.folder, photo) for photo in photos] == [1] * len(photos)
    eventually(lambda: desk.metric('selfie3d_queue_paused{queue="interactive"} 0.0'), "the metrics show the end of it")


def test_workers_are_seen_with_their_jobs_and_a_killed_one_vanishes_while_its_job_goes_elsewhere(
    farm: Farm, desk: Desk
) -> None:
    with farm.client() as client:
        job_id = farm.submit(client, hold=Stage.NETWORK)
        record = farm.await_stage(job_id, Stage.NETWORK)
        eventually(lambda: desk.metric('selfie3d_workers{state="busy"} 1.0'), "the metrics show one that works")
        workers = eventually(lambda: _only_living(desk), "workers that tests before this one killed have vanished")
        seen = {worker.name: worker for worker in workers}
        mine = seen[record.worker]
        assert (mine.job.id, mine.job.stage, mine.job.caller) == (job_id, api.STAGE_NETWORK, "anonymous")
        assert mine.job.start_time.ToMilliseconds() == round(record.start_time * 1000)
        assert [worker.name for worker in seen.values() if worker.HasField("job")] == [record.worker]
        assert {(worker.engine, worker.device, worker.verified) for worker in seen.values()} == {("numpy", "cpu", True)}
        assert all(worker.version and worker.host and worker.HasField("start_time") for worker in seen.values())

        parent = int(record.worker.split(":")[1])
        next(worker for worker in farm.workers if worker.pid == parent).end()

        def has_gone() -> bool:
            names = [worker.name for worker in desk.ask("ListWorkers").workers]
            return bool(names) and not any(f":{parent}:" in name for name in names)

        eventually(has_gone, "the killed worker is not listed any more")
        eventually(lambda: _is_elsewhere(desk, job_id, record.worker), "another worker has the job")
        farm.release()
        farm.await_ends([job_id], 0)
    farm.audit.check([job_id], SUCCEEDED=1)


def _only_living(desk: Desk) -> list[Any] | None:
    workers = list(desk.ask("ListWorkers").workers)
    return workers if len(workers) == CHILDREN else None


def _is_elsewhere(desk: Desk, job_id: str, before: str) -> bool:
    return any(worker.job.id == job_id and worker.name != before for worker in desk.ask("ListWorkers").workers)
