"""Redis killed, stopped, and nearly full."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
import redis

from selfie3d import QuotaExceeded, Retry
from selfie3d.types import JobState, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_cli.redis_server import RedisServer
from tests.faults.farm import Farm
from tests.stack import eventually, open_api

PHOTO_BYTES = 8 << 20
STOPPED_SECONDS = {"quick": 8, "soak": 30}  # above the lease of 6 s, so that every running job's lease runs out


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "alone") as running:
        yield running


def test_what_redis_acknowledged_is_in_its_file_whatever_the_disk_does(server: RedisServer) -> None:
    """A large write keeps the next sync busy; a server that waits for it holds the writes behind it in memory."""
    client = redis.Redis.from_url(server.url)
    with server.append_log.files()[-1].open("rb") as file:
        for turn in range(6):
            client.set("photo", os.urandom(PHOTO_BYTES))
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                word = uuid.uuid4().hex.encode()
                client.set(f"last:{turn}", word)
                file.seek(-64, os.SEEK_END)
                assert word in file.read(), f"acknowledged, but only in memory (turn {turn})"
    server.kill()
    server.start()
    assert redis.Redis.from_url(server.url).get("last:5") == word


def test_the_file_is_synced_to_the_disk_also_after_a_rewrite(server: RedisServer) -> None:
    client = redis.Redis.from_url(server.url)
    client.set("a", "b")
    client.bgrewriteaof()
    eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"], "the file was rewritten")
    assert server._syncer is not None
    server.append_log.sync()
    assert server._syncer.is_alive()
    server.check()


def test_a_killed_redis_comes_back_with_queued_running_and_finished_jobs(farm: Farm, figures: dict[str, float]) -> None:
    with farm.client() as client:
        finished = [farm.submit(client) for _ in range(4)]
        farm.await_ends(finished, 0)
        farm.audit.check(finished, SUCCEEDED=4)
        stages = (Stage.DECODE, Stage.NETWORK, Stage.ENCODE, Stage.STORE)
        running = [farm.submit(client, hold=stage) for stage in stages]
        for job_id, stage in zip(running, stages, strict=True):
            farm.await_stage(job_id, stage)
        queued = [farm.submit(client) for _ in range(6)]
        assert {farm.record(job_id).state for job_id in queued} == {JobState.QUEUED}
        farm.redis.kill()
        killed = time.monotonic()
        farm.redis.start()
        farm.release()
        figures["slowest recovery after kill -9 of Redis, s"] = farm.await_ends(running + queued, killed)
    farm.audit.check(finished + running + queued, SUCCEEDED=14)


@pytest.mark.parametrize("length", ["quick", pytest.param("soak", marks=pytest.mark.soak)])
def test_jobs_outlive_a_redis_that_stood_still(farm: Farm, length: str, figures: dict[str, float]) -> None:
    with farm.client() as client, farm.channel() as channel:
        running = [farm.submit(client, hold=Stage.NETWORK) for _ in range(4)]
        for job_id in running:
            farm.await_stage(job_id, Stage.NETWORK)
        queued = [farm.submit(client) for _ in range(6)]
        pid = farm.redis.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        api = open_api(channel)
        refusals = []
        while time.monotonic() < stopped + STOPPED_SECONDS[length]:
            with pytest.raises(grpc.RpcError) as error:
                api.CreateJob(pb.CreateJobRequest(photo=farm.new_photo()), timeout=20)
            refusals.append(error.value.code())
        os.kill(pid, signal.SIGCONT)
        continued = time.monotonic()
        farm.release()
        figures[f"recovery after {STOPPED_SECONDS[length]} s of SIGSTOP of Redis, s"] = farm.await_ends(
            running + queued, continued
        )
    assert set(refusals) == {grpc.StatusCode.UNAVAILABLE}
    farm.audit.check(running + queued, SUCCEEDED=10)


@pytest.fixture
def memory(farm: Farm) -> Iterator[Callable[[int], None]]:
    """Leaves Redis so many bytes (negative: has it over its limit); no limit again at the end."""

    def leave(room: int) -> None:
        farm.db.config_set("maxmemory", farm.db.info("memory")["used_memory"] + room)

    yield leave
    farm.db.config_set("maxmemory", 0)


def test_a_nearly_full_redis_refuses_photos_and_ends_the_accepted_jobs(
    farm: Farm, memory: Callable[[int], None]
) -> None:
    with farm.client(retry=Retry(attempts=1)) as client:
        accepted = [farm.submit(client, hold=Stage.NETWORK) for _ in range(4)]
        for job_id in accepted:
            farm.await_stage(job_id, Stage.NETWORK)
        accepted += [farm.submit(client) for _ in range(4)]
        memory(4 << 20)
        with pytest.raises(QuotaExceeded) as refused:
            client.submit(farm.new_photo())
        assert refused.value.reason == "STORAGE_FULL"
        assert refused.value.retry_after
        farm.release()
        assert farm.audit.check(accepted, SUCCEEDED=8).most_attempts == 1


def test_a_redis_without_any_room_ends_the_running_jobs_and_loses_none(
    farm: Farm, memory: Callable[[int], None]
) -> None:
    """Celery's workers may end here, as they can acknowledge nothing: their supervisor starts them again."""
    with farm.client(retry=Retry(attempts=1)) as client:
        running = [farm.submit(client, hold=Stage.NETWORK) for _ in range(4)]
        for job_id in running:
            farm.await_stage(job_id, Stage.NETWORK)
        queued = [farm.submit(client) for _ in range(4)]
        memory(-100_000)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            farm.db.set("anything", "at all")
        farm.release()
        farm.audit.check(running, SUCCEEDED=4)
        with pytest.raises(QuotaExceeded):
            client.submit(farm.new_photo())
        memory(1 << 30)
        farm.restore()
        farm.audit.check(queued, SUCCEEDED=4)
