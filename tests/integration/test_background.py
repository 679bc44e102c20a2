"""What runs behind the service's calls outlives its own failures, and health says what it can do meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from selfie3d.types import JobState
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_jobs import Store, maintenance
from selfie3d_jobs.maintenance import WorkerReport
from selfie3d_service import Server, ServiceConfig, publisher
from selfie3d_service import maintenance as service_maintenance
from tests.integration.road import Keys, finish, get, new_job, submit
from tests.stack import BOUND, eventually_async
from tests.tiny import make_photo

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Served:
    """A server of this process, its API, and what it says of itself."""

    def __init__(self, server: Server, channel: grpc.aio.Channel) -> None:
        self.api: Any = rpc.ReconstructionServiceStub(channel)  # type: ignore[no-untyped-call]
        self._health = health_pb2_grpc.HealthStub(channel)
        self._metrics = server.metrics

    def failures(self, task: str) -> float:
        return self._metrics.registry.get_sample_value("selfie3d_background_failures_total", {"task": task}) or 0.0

    async def create(self) -> str:
        job_id: str = (await self.api.CreateJob(pb.CreateJobRequest(photo=make_photo()))).job.id
        return job_id

    async def await_health(self, status: int) -> None:
        async def is_so() -> bool:
            answer = await self._health.Check(health_pb2.HealthCheckRequest())
            return bool(answer.status == status)

        await eventually_async(is_so, f"health is {status}")

    async def until(self, look: Callable[[], Any]) -> None:
        await eventually_async(lambda: asyncio.to_thread(look), "what the test waits for")


@pytest.fixture
async def served(service_config: ServiceConfig) -> AsyncIterator[Served]:
    config = dataclasses.replace(service_config, jobs=dataclasses.replace(service_config.jobs, lease_seconds=1.0))
    async with Server(config) as server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Served(server, channel)


def break_once(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    """The next call of the function raises what nobody expects; later ones work."""
    whole = getattr(module, name)

    def broken(*_: Any) -> Any:
        monkeypatch.setattr(module, name, whole)
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(module, name, broken)


async def test_the_reaper_goes_on_after_a_failure(
    served: Served, store: Store, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_once(monkeypatch, service_maintenance, "reap")
    await served.until(lambda: served.failures("reaper") == 1)
    job_id = submit(store, new_job()).id
    keys.pass_deadline(job_id)
    await served.until(lambda: get(store, job_id).state is JobState.EXPIRED)


async def test_what_cannot_be_looked_at_is_not_healthy_and_the_next_look_heals(
    served: Served, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
    await served.await_health(SERVING)
    with monkeypatch.context() as patch:
        patch.setattr(service_maintenance, "snapshot", lambda: 1 / 0)
        await served.await_health(NOT_SERVING)
        assert served.failures("health") >= 1
    await served.await_health(SERVING)


async def test_a_message_on_the_event_channel_that_is_none_of_ours_costs_no_watcher_an_event(
    served: Served, store: Store, keys: Keys
) -> None:
    job_id = await served.create()
    watch = served.api.WatchJob(pb.WatchJobRequest(job_id=job_id))
    assert (await anext(aiter(watch))).event.number == 1
    await served.until(lambda: keys.client.publish(f"{keys.prefix}doorbell", b"not one of ours"))
    await served.until(lambda: served.failures("events") == 1)
    await asyncio.to_thread(finish, store, job_id)
    assert [answer.event.number async for answer in watch] == [2, 3]


async def test_a_service_that_cannot_publish_is_not_serving_and_heals_without_a_new_job(
    served: Served, store: Store, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
    await served.await_health(SERVING)

    def broken(*_: Any) -> None:
        raise ModuleNotFoundError("No module named 'packaging'")

    with monkeypatch.context() as patch:
        patch.setattr(publisher, "publish", broken)
        job_id = await served.create()
        await served.await_health(NOT_SERVING)
        assert served.failures("publisher") > publisher.TOLERATED_FAILURES
    store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
    await served.await_health(SERVING)
    messages = f"{keys.prefix}interactive"
    await served.until(lambda: any(job_id.encode() in text for text in keys.client.lrange(messages, 0, -1)))


@pytest.mark.parametrize("process", ["selfie3d_service", "selfie3d_worker"])
def test_a_missing_module_of_the_transport_ends_the_process_with_its_name(
    process: str, worker_environment: dict[str, str]
) -> None:
    code = f"import sys; sys.modules['packaging'] = None; from {process}.main import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=worker_environment | {"SELFIE3D_LISTEN": "127.0.0.1:0"},
        capture_output=True,
        text=True,
        timeout=BOUND,
    )
    assert ended.returncode == 2
    [sentence] = ended.stderr.splitlines()
    assert "the module packaging" in sentence
    assert f"'.[{process.removeprefix('selfie3d_')}]'" in sentence
