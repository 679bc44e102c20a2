"""Prometheus metrics: the deployment's, from the counters in Redis, and this process's calls.

Every service process shows the same deployment-wide numbers: take `max`, not `sum`, over instances.
"""

from __future__ import annotations

from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from selfie3d_jobs import ConfigError, counters
from selfie3d_jobs.states import Priority, Stage
from selfie3d_jobs.upkeep import Pulse
from selfie3d_service.config import split_address


class Metrics(Collector):
    """What this process shows; `pulse` is the newest look at the deployment, None while Redis is away."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.pulse: Pulse | None = None
        self._server: WSGIServer | None = None
        self._calls = Counter("selfie3d_calls", "Calls answered.", ["method", "reason"], registry=self.registry)
        self._seconds = Histogram(
            "selfie3d_call_seconds",
            "Time to the end of a call; streams last as long as they are followed.",
            ["method"],
            buckets=counters.BOUNDS,
            registry=self.registry,
        )
        self.registry.register(self)

    def observe_call(self, method: str, reason: str, seconds: float) -> None:
        """Count a call. `reason`: OK, CANCELLED (by the caller), or one of the error table."""
        self._calls.labels(method, reason).inc()
        self._seconds.labels(method).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """The deployment's numbers."""
        yield GaugeMetricFamily("selfie3d_store_up", "Redis answers this process.", float(self.pulse is not None))
        if self.pulse is not None:
            yield from _sizes(self.pulse)
            yield from _counts(self.pulse)
            yield from _times(self.pulse)

    def serve(self, listen: str) -> None:
        """Answer GET /metrics on HOST:PORT from a thread, until `close`. Raises ConfigError."""
        host, port = split_address("SELFIE3D_METRICS_LISTEN", listen)
        try:
            self._server, _ = start_http_server(port, host, self.registry)
        except OSError as error:
            raise ConfigError(f"SELFIE3D_METRICS_LISTEN={listen}: {error.strerror}") from error

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _sizes(pulse: Pulse) -> Iterator[Metric]:
    sizes = pulse.sizes
    depth = GaugeMetricFamily("selfie3d_queue_depth", "Jobs that wait for a worker.", labels=["queue"])
    for queue in Priority:
        depth.add_metric([queue], sizes[f"queued:{queue}"])
    yield depth
    yield GaugeMetricFamily("selfie3d_jobs_running", "Jobs that a worker holds.", sizes["running"])
    yield GaugeMetricFamily("selfie3d_jobs_kept", "Jobs in the store.", sizes["kept"])
    yield GaugeMetricFamily("selfie3d_stored_bytes", "Photos and meshes in the store.", sizes["bytes"])
    alive = GaugeMetricFamily("selfie3d_workers_alive", "Worker children heard of lately.", labels=["verified"])
    for verified in (True, False):
        alive.add_metric([str(verified).lower()], sum(w.verified is verified for w in pulse.workers))
    yield alive


def _counts(pulse: Pulse) -> Iterator[Metric]:
    yield _labelled(pulse, "created", "selfie3d_jobs_created", "Jobs accepted.", ["queue"])
    yield _labelled(pulse, "ended", "selfie3d_jobs_ended", "Jobs ended.", ["state", "reason"])
    yield _labelled(pulse, "requeued", "selfie3d_redeliveries", "Jobs put back into their queue.", ["cause"])
    counts = pulse.counters
    yield CounterMetricFamily("selfie3d_attempts", "Times a worker took a job.", counts.get("attempts", 0))
    yield CounterMetricFamily("selfie3d_republished", "Lost messages replaced.", counts.get("republished", 0))


def _labelled(pulse: Pulse, counter: str, name: str, text: str, labels: list[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in counters.labelled(pulse.counters, counter).items():
        family.add_metric(values, count)
    return family


def _times(pulse: Pulse) -> Iterator[Metric]:
    waits = HistogramMetricFamily("selfie3d_queue_seconds", "From being queued to being taken.")
    queue = counters.histogram(pulse.counters, "queue")
    waits.add_metric([], queue.buckets, queue.total_seconds)
    yield waits
    stages = HistogramMetricFamily("selfie3d_stage_seconds", "Time of a stage of a job.", labels=["stage"])
    for stage in Stage:
        times = counters.histogram(pulse.counters, f"stage:{stage}")
        stages.add_metric([stage], times.buckets, times.total_seconds)
    yield stages
