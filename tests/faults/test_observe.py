"""One can see what happens: metrics, logs, traces, health, against real processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client.parser import text_string_to_metric_families

from selfie3d import Client, QuotaExceeded, Retry
from selfie3d.types import Stage
from selfie3d_jobs import ConfigError
from selfie3d_jobs.maintenance import ALIVE_SECONDS
from selfie3d_jobs.trace import export
from tests.stack import BOUND, Process, Stack, eventually, free_port
from tests.tiny import make_photo

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
PATIENT = Retry(attempts=60, first=0.1, largest=1.0)


class Collector(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc]
    """An OTLP endpoint that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []  # (service.name, span)
        self._server = grpc.server(futures.ThreadPoolExecutor(1))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        del context
        for resource in request.resource_spans:
            names = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(names["service.name"], span) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def of(self, trace_id: str) -> list[tuple[str, Any]]:
        return [(process, span) for process, span in self.spans if span.trace_id.hex() == trace_id]

    def close(self) -> None:
        self._server.stop(0).wait()


@dataclass(frozen=True)
class Seen:
    """A service and a worker that show all they can."""

    stack: Stack
    collector: Collector
    metrics_url: str

    @property
    def service(self) -> Process:
        return self.stack.services[0]

    @property
    def worker(self) -> Process:
        return self.stack.workers[0]

    @property
    def db(self) -> Any:
        return redis.Redis.from_url(self.stack.redis.url)

    def client(self, **options: Any) -> Client:
        return Client(self.stack.addresses[0], timeout=BOUND, **{"retry": PATIENT, **options})

    def metrics(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """(name, label values in the order of their names) -> value."""
        with urllib.request.urlopen(self.metrics_url, timeout=BOUND) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return {
            (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def shows(self, name: str, *labels: str) -> float:
        return self.metrics().get((name, labels), 0.0)

    def health(self) -> list[int]:
        """What health says of the server and of the service."""
        with self.stack.channel() as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            names = ("", "selfie3d.v1.ReconstructionService")
            return [check(health_pb2.HealthCheckRequest(service=name), timeout=BOUND).status for name in names]


def lines(process: Process) -> list[dict[str, Any]]:
    """The JSON lines of a log; Celery prints a few that are none at its start and end."""
    return [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder, metrics = tmp_path_factory.mktemp("seen"), f"127.0.0.1:{free_port()}"
    collector = Collector()
    env: dict[str, Any] = {
        "SELFIE3D_METRICS_LISTEN": metrics,
        "SELFIE3D_MODEL": str(folder),
        "SELFIE3D_MAX_QUEUED": "2",
        "TEST_BREAKPOINT": "decode:hold",
        "SELFIE3D_LEASE_SECONDS": "3",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",  # ms
        "GRPC_VERBOSITY": "ERROR",
    }
    with Stack(folder, worker_module="tests.tiny", **env) as stack:
        yield Seen(stack, collector, f"http://{metrics}/metrics")
    collector.close()


def test_metrics_tell_of_a_job_that_succeeded(seen: Seen) -> None:
    before = seen.metrics()
    with seen.client() as client:
        client.submit(make_photo(1)).result()

    def grown(name: str, *labels: str) -> float:
        return seen.shows(name, *labels) - before.get((name, labels), 0.0)

    eventually(lambda: grown("selfie3d_jobs_ended_total", "", "SUCCEEDED") == 1, "one more job succeeded")
    assert grown("selfie3d_jobs_created_total", "interactive") == 1
    assert grown("selfie3d_attempts_total") == 1
    assert grown("selfie3d_queue_seconds_count") == 1
    assert grown("selfie3d_queue_seconds_sum") > 0
    for stage in set(Stage) - {Stage.STORE}:
        assert grown("selfie3d_stage_seconds_count", stage) == 1
        assert grown("selfie3d_stage_seconds_sum", stage) > 0
    assert grown("selfie3d_stored_bytes") > 0
    eventually(lambda: grown("selfie3d_calls_total", "CreateJob", "OK") == 1, "one more call was answered")
    assert seen.shows("selfie3d_workers_alive", "true") == 1
    assert seen.shows("selfie3d_store_up") == 1


def test_metrics_tell_of_queues_refusals_losses_and_other_ends(seen: Seen) -> None:
    before = seen.metrics()

    def grown(name: str, *labels: str) -> float:
        return seen.shows(name, *labels) - before.get((name, labels), 0.0)

    with seen.client() as client:
        with held(seen):
            running = client.submit(make_photo(2))
            eventually(lambda: seen.shows("selfie3d_jobs_running") == 1, "the job is running")
            waiting, late = client.submit(make_photo(3)), client.submit(make_photo(4), job_timeout=0.1)
            eventually(lambda: grown("selfie3d_jobs_ended_total", "DEADLINE_PASSED", "EXPIRED") == 1, "one expired")
            assert late.status().error is not None
            queued = client.submit(make_photo(5), priority="bulk")
            eventually(lambda: seen.shows("selfie3d_queue_depth", "interactive") == 1, "one waits")
            eventually(lambda: seen.shows("selfie3d_queue_depth", "bulk") == 1, "one waits among the bulk")
            # The expired job leaves the queue with its message, so there is room for one more, but not for two.
            eventually(lambda: seen.db.llen("selfie3d:interactive") == 1, "the message of the expired job is gone")
            last = client.submit(make_photo(6))
            with seen.client(retry=Retry(attempts=1)) as hasty, pytest.raises(QuotaExceeded):
                hasty.submit(make_photo(7))
            eventually(lambda: grown("selfie3d_calls_total", "CreateJob", "QUEUE_FULL") == 1, "one was refused")
            os.kill(int(running_on(seen).rpartition(b":")[2]), signal.SIGKILL)
            eventually(lambda: grown("selfie3d_redeliveries_total", "lost") >= 1, "the lost job was delivered again")
            waiting.cancel()
            eventually(lambda: grown("selfie3d_jobs_ended_total", "", "CANCELLED") == 1, "one was cancelled")
        for job in (running, queued, last):
            job.result()
    eventually(lambda: grown("selfie3d_jobs_ended_total", "", "SUCCEEDED") == 3, "the others succeeded")
    assert grown("selfie3d_attempts_total") >= 4


def running_on(seen: Seen) -> bytes:
    """The name of the worker's child: host, process id of the worker, its own."""
    [name] = seen.db.zrange("selfie3d:seen", 0, -1)
    return bytes(name)


@contextmanager
def held(seen: Seen) -> Iterator[None]:
    """Every job waits before its first stage meanwhile."""
    seen.db.set("hold", "1")
    try:
        yield
    finally:
        seen.db.delete("hold")


def test_one_job_is_followed_through_the_logs_of_service_and_worker(seen: Seen) -> None:
    with seen.client() as client:
        job = client.submit(make_photo(8))
        job.result()

    def told(process: Process) -> list[dict[str, Any]]:
        return [line for line in lines(process) if line.get("job_id") == job.id]

    [accepted] = told(seen.service)
    succeeded = eventually(lambda: [line for line in told(seen.worker) if line["action"] == "succeed"], "it is logged")
    assert (accepted["action"], accepted["level"], accepted["bytes"]) == ("accept", "info", len(make_photo(8)))
    assert succeeded[0]["trace_id"] == accepted["trace_id"]
    assert set(succeeded[0]["seconds"]) == set(Stage) - {Stage.STORE}
    for line in (accepted, *succeeded):
        assert {"time", "level", "logger", "message"} <= set(line)
    assert all(line.startswith("{") for line in seen.service.log.read_text().splitlines())


def test_a_trace_goes_from_the_client_through_the_queue_to_the_stages(seen: Seen) -> None:
    tracer = TracerProvider().get_tracer("caller")
    with tracer.start_as_current_span("caller") as caller, seen.client() as client:
        client.submit(make_photo(9)).result()
        context = caller.get_span_context()
    trace_id = trace.format_trace_id(context.trace_id)
    wanted = {"CreateJob", "attempt", *(set(Stage) - {Stage.STORE})}

    def arrived() -> dict[str, tuple[str, Any]] | None:
        spans = {span.name: (process, span) for process, span in seen.collector.of(trace_id)}
        return spans if wanted <= set(spans) else None

    spans = eventually(arrived, "all spans arrive at the collector")
    (service, create), (worker, attempt) = spans["CreateJob"], spans["attempt"]
    assert (service, worker) == ("selfie3d-service", "selfie3d-worker")
    assert create.parent_span_id.hex() == trace.format_span_id(context.span_id)
    assert attempt.parent_span_id == create.span_id
    for stage in set(Stage) - {Stage.STORE}:
        process, span = spans[stage]
        assert process == "selfie3d-worker"
        assert span.parent_span_id == attempt.span_id
        assert create.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano


def test_health_turns_when_no_worker_has_reported_for_ten_seconds_and_back(seen: Seen) -> None:
    assert ALIVE_SECONDS == 10
    eventually(lambda: seen.health() == [SERVING, SERVING], "a worker reports in")
    os.killpg(seen.worker.pid, signal.SIGSTOP)
    try:
        forget(seen, ALIVE_SECONDS + 0.001)  # instead of waiting for as long
        eventually(lambda: seen.health() == [NOT_SERVING, NOT_SERVING], "nobody reported in")
        assert seen.shows("selfie3d_workers_alive", "true") == 0
        assert seen.shows("selfie3d_store_up") == 1
    finally:
        os.killpg(seen.worker.pid, signal.SIGCONT)
    eventually(lambda: seen.health() == [SERVING, SERVING], "the worker reports in again")


def forget(seen: Seen, seconds: float) -> None:
    """The last report of every worker is so old."""
    now, _ = seen.db.time()
    for name in seen.db.zrange("selfie3d:seen", 0, -1):
        seen.db.zadd("selfie3d:seen", {name: (now - seconds) * 1000}, xx=True)


def test_without_the_extra_an_endpoint_for_traces_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"\.\[otel\]"):
        export("http://127.0.0.1:4317", "selfie3d-service")


def test_a_metrics_address_that_cannot_be_bound_is_told(seen: Seen, tmp_path: Path) -> None:
    taken = seen.metrics_url.removeprefix("http://").removesuffix("/metrics")
    env = {"SELFIE3D_REDIS_URL": seen.stack.redis.url, "SELFIE3D_LISTEN": f"127.0.0.1:{free_port()}"}
    process = Process(["serve"], tmp_path / "log", **env, SELFIE3D_METRICS_LISTEN=taken).start()
    assert process.wait(BOUND) == 2
    assert f"SELFIE3D_METRICS_LISTEN={taken}: Address already in use" in process.log.read_text()
