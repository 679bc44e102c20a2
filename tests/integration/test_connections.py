"""Connections end: those without a call, those that never speak, and old ones where the settings say so."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_service import Server, ServiceConfig
from selfie3d_service.listening import NEVER, options
from tests.integration.conftest import served
from tests.integration.test_service import create

BOUND = 60.0  # seconds after which a connection that is still there is a failure, on a machine however slow
READY, IDLE = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE


ALONE = [("grpc.use_local_subchannel_pool", 1)]  # no connection shared with another channel of this process


async def ended(channel: grpc.aio.Channel) -> grpc.ChannelConnectivity:
    """What becomes of a channel's connection."""
    async with asyncio.timeout(BOUND):
        await channel.wait_for_state_change(READY)
    return channel.get_state()


async def ask(channel: grpc.aio.Channel) -> None:
    """A call that is answered at once."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    await stub.Check(health_pb2.HealthCheckRequest())


async def test_a_connection_without_a_call_ends_and_the_next_call_opens_another(service_config: ServiceConfig) -> None:
    async with served(replace(service_config, max_idle_seconds=0.2)) as api:
        await ask(api.channel)
        assert api.channel.get_state() is READY
        assert await ended(api.channel) is IDLE
        await ask(api.channel)


async def test_a_connection_with_a_call_is_not_idle(service_config: ServiceConfig) -> None:
    async with (
        Server(replace(service_config, max_idle_seconds=0.2)) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as busy,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", ALONE) as other,
    ):
        api: Any = rpc.ReconstructionServiceStub(busy)  # type: ignore[no-untyped-call]
        job = await create(api)
        watch = api.WatchJob(pb.WatchJobRequest(job_id=job.id))
        assert (await watch.read()).event.number == 1
        await ask(other)
        assert await ended(other) is IDLE, "a younger connection has ended meanwhile"
        assert busy.get_state() is READY
        await api.CancelJob(pb.CancelJobRequest(job_id=job.id))
        assert (await watch.read()).job.state == pb.JOB_STATE_CANCELLED


async def test_an_old_connection_takes_no_new_calls_and_lets_the_running_ones_end(
    service_config: ServiceConfig,
) -> None:
    async with served(replace(service_config, max_connection_seconds=0.2)) as api:
        job = await create(api)
        watch = api.WatchJob(pb.WatchJobRequest(job_id=job.id))
        assert (await watch.read()).event.number == 1
        assert await ended(api.channel) is IDLE
        await api.CancelJob(pb.CancelJobRequest(job_id=job.id))  # over a new connection
        assert (await watch.read()).job.state == pb.JOB_STATE_CANCELLED  # over the old one


async def test_a_connection_that_never_speaks_is_ended(service_config: ServiceConfig) -> None:
    async with Server(replace(service_config, handshake_seconds=0.2)) as server, asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await reader.read()  # until its end
        writer.close()


def test_what_is_told_to_grpc_are_the_settings() -> None:
    told = dict(options(ServiceConfig(keepalive_seconds=40.0, keepalive_timeout_seconds=7.5)))
    assert (told["grpc.keepalive_time_ms"], told["grpc.keepalive_timeout_ms"]) == (40_000, 7_500)
    assert (told["grpc.max_connection_idle_ms"], told["grpc.max_connection_age_ms"]) == (300_000, NEVER)
    never = dict(options(ServiceConfig(max_idle_seconds=0.0)))
    assert never["grpc.max_connection_idle_ms"] == NEVER
