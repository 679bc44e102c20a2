"""KEDA's questions to a real service over a real Redis, asked by a gRPC client with KEDA's own names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from selfie3d.types import Priority
from selfie3d_jobs import Store, administration, maintenance, queries
from selfie3d_jobs.maintenance import WorkerReport
from selfie3d_service import Server, ServiceConfig
from selfie3d_service.scaler import METRIC
from selfie3d_service.scaler import externalscaler_pb2 as pb
from selfie3d_service.scaler.externalscaler_pb2_grpc import ExternalScalerStub
from tests.certificates import Pems
from tests.faults.guarded import TokenBook
from tests.integration.conftest import served
from tests.integration.road import finish, new_job, start, submit
from tests.integration.test_service import refused
from tests.stack import BOUND, eventually_async

REF = pb.ScaledObjectRef(name="worker", namespace="selfie3d")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def asked(config: ServiceConfig, **changes: Any) -> AsyncIterator[Any]:
    """A stub of KEDA's to a service that answers it, with its `channel`."""
    async with served(replace(config, scaler=True, **changes)) as api:
        stub: Any = ExternalScalerStub(api.channel)  # type: ignore[no-untyped-call]
        stub.channel = api.channel
        yield stub


@pytest.fixture
async def scaler(service_config: ServiceConfig) -> AsyncIterator[Any]:
    async with asked(service_config) as stub:
        yield stub


async def jobs_of(scaler: Any) -> float:
    """The metric, the same in both of its fields."""
    [value] = (await scaler.GetMetrics(pb.GetMetricsRequest(scaled_object_ref=REF, metric_name=METRIC))).metric_values
    assert value.metric_name == METRIC
    assert value.metric_value == value.metric_value_float
    return float(value.metric_value_float)


async def test_queued_and_running_jobs_are_counted_as_they_are_at_that_moment(scaler: Any, store: Store) -> None:
    assert await jobs_of(scaler) == 0
    assert not (await scaler.IsActive(REF)).result
    jobs = [submit(store) for _ in range(5)]
    jobs.append(submit(store, new_job(priority=Priority.BULK)))
    assert await jobs_of(scaler) == 6
    start(store, jobs[0].id)
    assert await jobs_of(scaler) == 6
    finish(store, jobs[1].id)
    assert await jobs_of(scaler) == 5
    store.run(queries.cancel(jobs[2].id, queries.ANYONE))
    assert await jobs_of(scaler) == 4
    assert (await scaler.IsActive(REF)).result


async def test_jobs_of_a_paused_queue_want_no_worker_and_running_ones_keep_theirs(scaler: Any, store: Store) -> None:
    running, _ = (submit(store, new_job(priority=Priority.BULK)) for _ in range(2))
    start(store, running.id)
    submit(store)
    assert await jobs_of(scaler) == 3
    store.run(administration.pause(Priority.BULK, "ops"))
    assert await jobs_of(scaler) == 2
    store.run(administration.resume(Priority.BULK))
    assert await jobs_of(scaler) == 3


@pytest.mark.parametrize(("metadata", "target"), [({}, 1.0), ({"jobsPerReplica": "2.5"}, 2.5), ({"other": "x"}, 1.0)])
async def test_a_replica_is_for_as_many_jobs_as_the_trigger_says(
    scaler: Any, metadata: dict[str, str], target: float
) -> None:
    answer = await scaler.GetMetricSpec(pb.ScaledObjectRef(scaler_metadata=metadata))
    [spec] = answer.metric_specs
    assert (spec.metric_name, spec.target_size_float, spec.target_size) == (METRIC, target, -(-target // 1))


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", ""])
async def test_a_share_that_is_none_is_refused_by_its_name(scaler: Any, text: str) -> None:
    ref = pb.ScaledObjectRef(scaler_metadata={"jobsPerReplica": text})
    code, reason, _ = await refused(scaler.GetMetricSpec(ref))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED")


async def test_a_metric_that_there_is_not_is_refused(scaler: Any) -> None:
    code, reason, _ = await refused(scaler.GetMetrics(pb.GetMetricsRequest(metric_name="s0-other")))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED")


async def test_a_stream_says_how_it_is_at_once_and_then_each_change_alone(scaler: Any, store: Store) -> None:
    stream = scaler.StreamIsActive(REF)
    async with asyncio.timeout(BOUND):
        assert not (await stream.read()).result
        first, second = submit(store), submit(store)
        assert (await stream.read()).result
        finish(store, first.id)
        finish(store, second.id)
        assert not (await stream.read()).result  # and nothing in between
        submit(store)
        assert (await stream.read()).result
    stream.cancel()


async def test_a_service_that_goes_down_ends_its_streams_as_if_all_was_said(service_config: ServiceConfig) -> None:
    config = replace(service_config, scaler=True, drain_seconds=BOUND)
    async with Server(config) as server:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        scaler: Any = ExternalScalerStub(channel)  # type: ignore[no-untyped-call]
        stream = scaler.StreamIsActive(REF)
        assert not (await stream.read()).result
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK
    await channel.close()


async def test_without_the_setting_nobody_is_answered(service_config: ServiceConfig) -> None:
    assert not ServiceConfig().scaler
    async with served(service_config) as api:
        scaler: Any = ExternalScalerStub(api.channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await scaler.IsActive(REF)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_keda_needs_no_token_where_all_others_do_and_learns_two_numbers(
    service_config: ServiceConfig, tmp_path: Path
) -> None:
    book = TokenBook(tmp_path / "tokens.toml")
    book.add("anna", "submit", "read")
    async with asked(service_config, tokens=book.path) as scaler:
        assert await jobs_of(scaler) == 0
    names = {field.name for message in pb.DESCRIPTOR.message_types_by_name.values() for field in message.fields}
    assert not names & {"caller", "job", "id", "job_id"}


async def test_with_mutual_tls_keda_shows_a_certificate_like_everybody(
    service_config: ServiceConfig, tmp_path: Path
) -> None:
    pems = Pems.make(tmp_path)
    tls: dict[str, Any] = {"tls_certificate": pems.chain, "tls_key": pems.key, "tls_client_ca": pems.authorities}
    async with Server(replace(service_config, scaler=True, **tls)) as server:
        for pair, answered in (((pems.key, pems.chain), True), ((None, None), False)):
            shown = [path and path.read_bytes() for path in pair]
            credentials = grpc.ssl_channel_credentials(pems.authorities.read_bytes(), *shown)
            async with grpc.aio.secure_channel(f"localhost:{server.port}", credentials) as channel:
                stub: Any = ExternalScalerStub(channel)  # type: ignore[no-untyped-call]
                if answered:
                    assert await jobs_of(stub) == 0
                    continue
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await stub.IsActive(REF)
                assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_one_host_that_opens_streams_leaves_room_for_another_and_its_calls_do_not_grow(
    service_config: ServiceConfig,
) -> None:
    async with asked(service_config) as scaler:
        streams = [scaler.StreamIsActive(REF) for _ in range(8)]
        for stream in streams:
            await stream.read()
        code, reason, _ = await refused(scaler.IsActive(REF))
        assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STREAMS_BUSY")
        streams[0].cancel()

        async def answered() -> bool:
            try:
                return not (await scaler.IsActive(REF)).result
            except grpc.aio.AioRpcError:
                return False

        await eventually_async(answered, "a stream that ended makes room")
        for stream in streams:
            stream.cancel()


async def test_while_redis_is_away_questions_fail_and_a_stream_waits(service_config: ServiceConfig) -> None:
    away = replace(service_config.jobs, redis_url="redis://127.0.0.1:1/0")
    async with asked(service_config, jobs=away) as scaler:
        for call in (scaler.IsActive(REF), scaler.GetMetrics(pb.GetMetricsRequest(metric_name=METRIC))):
            code, reason, _ = await refused(call)
            assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        stream = scaler.StreamIsActive(REF)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await stream.read()


async def test_a_service_without_workers_accepts_jobs_and_says_so_by_name(
    service_config: ServiceConfig, store: Store
) -> None:
    """A probe that waited for a worker would keep a deployment at zero workers for ever."""
    async with asked(service_config) as scaler:
        health: Any = health_pb2_grpc.HealthStub(scaler.channel)

        async def states() -> list[int]:
            names = ("live", "accepting", "")
            return [(await health.Check(health_pb2.HealthCheckRequest(service=name))).status for name in names]

        async def says(*wanted: int) -> bool:
            return await states() == list(wanted)

        await eventually_async(lambda: says(SERVING, SERVING, NOT_SERVING), "it accepts and has no worker")
        store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
        await eventually_async(lambda: says(SERVING, SERVING, SERVING), "it has one")
    away = replace(service_config.jobs, redis_url="redis://127.0.0.1:1/0")
    async with asked(service_config, jobs=away) as scaler:
        health = health_pb2_grpc.HealthStub(scaler.channel)
        await eventually_async(lambda: says(SERVING, NOT_SERVING, NOT_SERVING), "it lives without Redis")


def test_names_and_numbers_are_those_that_keda_calls() -> None:
    """An independent statement of the contract: field numbers and types as KEDA publishes them."""
    published = {
        "ScaledObjectRef": {1: "name", 2: "namespace", 3: "scalerMetadata"},
        "IsActiveResponse": {1: "result"},
        "GetMetricSpecResponse": {1: "metricSpecs"},
        "MetricSpec": {1: "metricName", 2: "targetSize", 3: "targetSizeFloat"},
        "GetMetricsRequest": {1: "scaledObjectRef", 2: "metricName"},
        "GetMetricsResponse": {1: "metricValues"},
        "MetricValue": {1: "metricName", 2: "metricValue", 3: "metricValueFloat"},
    }
    ours = {
        name: {field.number: field.json_name for field in message.fields}
        for name, message in pb.DESCRIPTOR.message_types_by_name.items()
    }
    assert ours == published
    service = pb.DESCRIPTOR.services_by_name["ExternalScaler"]
    assert service.full_name == "externalscaler.ExternalScaler"
    streaming = {method.name: method.server_streaming for method in service.methods}
    assert streaming == {"IsActive": False, "StreamIsActive": True, "GetMetricSpec": False, "GetMetrics": False}
