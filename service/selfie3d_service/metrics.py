"""Prometheus metrics: the deployment's, from the counters in Redis, and this process's calls.

Every service process shows the same deployment-wide numbers: take `max`, not `sum`, over instances.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from selfie3d.address import split_address
from selfie3d.types import Priority, Stage
from selfie3d_jobs import BlobTrouble, ConfigError, RedisTrouble, counters
from selfie3d_jobs.maintenance import Snapshot, WorkerState


class Metrics(Collector):
    """What this process shows; `snapshot` is the newest look at the deployment, None while Redis is away."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.snapshot: Snapshot | None = None
        self.trouble: RedisTrouble | None = None  # why Redis cannot be used
        self.blobs: tuple[BlobTrouble | None] | None = None  # why the bucket cannot be used; None: there is none
        self._server: WSGIServer | None = None
        self._calls = Counter("selfie3d_calls", "Calls answered.", ["method", "reason"], registry=self.registry)
        self._seconds = Histogram(
            "selfie3d_call_seconds",
            "Time to the end of a call; streams last as long as they are followed.",
            ["method"],
            buckets=counters.BOUNDS,
            registry=self.registry,
        )
        self._background_failures = Counter(
            "selfie3d_background_failures",
            "Failures of this process's background tasks.",
            ["task"],
            registry=self.registry,
        )
        self._blob_seconds = Histogram(
            "selfie3d_blob_seconds",
            "Time of an operation of the bucket.",
            ["operation"],
            buckets=counters.BOUNDS,
            registry=self.registry,
        )
        self._blob_failures = Counter(
            "selfie3d_blob_failures",
            "Operations of the bucket that failed.",
            ["operation", "why"],
            registry=self.registry,
        )
        self.registry.register(self)

    def observe_call(self, method: str, reason: str, seconds: float) -> None:
        """Count a call. `reason`: OK, CANCELLED (by the caller), or one of the error table."""
        self._calls.labels(method, reason).inc()
        self._seconds.labels(method).observe(seconds)

    def observe_blobs(self, operation: str, seconds: float, trouble: BlobTrouble | None) -> None:
        """Count an operation of the bucket."""
        self._blob_seconds.labels(operation).observe(seconds)
        if trouble:
            self._blob_failures.labels(operation, trouble.name.lower()).inc()

    def count_background_failure(self, task: str) -> None:
        """Count a failure of the reaper, the health check, the event broadcaster, the webhooks or the publisher."""
        self._background_failures.labels(task).inc()

    def collect(self) -> Iterator[Metric]:
        """The deployment's numbers."""
        up = self.snapshot is not None and self.trouble is None
        yield GaugeMetricFamily("selfie3d_store_up", "This process can use Redis.", float(up))
        why = GaugeMetricFamily("selfie3d_store_trouble", "Why Redis cannot be used.", labels=["why"])
        for trouble in RedisTrouble:
            why.add_metric([trouble.name.lower()], float(self.trouble is trouble))
        yield why
        if self.blobs is not None:
            yield from _bucket(self.blobs[0])
        if self.snapshot is not None:
            yield from _sizes(self.snapshot)
            yield from _counts(self.snapshot)
            yield from _times(self.snapshot)
            yield from _batches(self.snapshot)

    def serve(self, listen: str) -> None:
        """Answer GET /metrics on HOST:PORT from a thread, until `close`. Raises ConfigError."""
        host, port = split_address(listen)
        try:
            self._server, _ = start_http_server(port, host, self.registry)
        except OSError as error:
            raise ConfigError(f"SELFIE3D_METRICS_LISTEN={listen}: {error.strerror}") from error

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _bucket(trouble: BlobTrouble | None) -> Iterator[Metric]:
    yield GaugeMetricFamily("selfie3d_blobs_up", "This process can use the bucket.", float(trouble is None))
    why = GaugeMetricFamily("selfie3d_blobs_trouble", "Why the bucket cannot be used.", labels=["why"])
    for each in BlobTrouble:
        why.add_metric([each.name.lower()], float(trouble is each))
    yield why


def _sizes(snapshot: Snapshot) -> Iterator[Metric]:
    sizes = snapshot.sizes
    depth = GaugeMetricFamily("selfie3d_queue_depth", "Jobs that wait for a worker.", labels=["queue"])
    for queue in Priority:
        depth.add_metric([queue], sizes[f"queued:{queue}"])
    yield depth
    paused = GaugeMetricFamily("selfie3d_queue_paused", "1: no job of the queue is taken.", labels=["queue"])
    for queue in Priority:
        paused.add_metric([queue], sizes[f"paused:{queue}"])
    yield paused
    yield GaugeMetricFamily("selfie3d_jobs_running", "Jobs that a worker holds.", sizes["running"])
    yield GaugeMetricFamily("selfie3d_jobs_kept", "Jobs in the store.", sizes["kept"])
    yield GaugeMetricFamily("selfie3d_stored_bytes", "Photos and meshes in Redis.", sizes["bytes"])
    yield GaugeMetricFamily("selfie3d_webhooks_waiting", "Webhooks not delivered yet.", sizes["webhooks"])
    age = sizes["webhook_age"] / 1000
    yield GaugeMetricFamily("selfie3d_webhook_oldest_seconds", "Time since the end of the oldest one's job.", age)
    yield GaugeMetricFamily("selfie3d_blobs_uploading", "Objects on their way to the bucket.", sizes.get("uploads", 0))
    yield GaugeMetricFamily("selfie3d_blobs_bytes", "Photos and meshes in the bucket.", sizes.get("outside_bytes", 0))
    yield GaugeMetricFamily("selfie3d_blobs_garbage", "Objects that wait to be deleted.", sizes.get("garbage", 0))
    alive = GaugeMetricFamily("selfie3d_workers_alive", "Worker children heard of lately.", labels=["verified"])
    for verified in (True, False):
        alive.add_metric([str(verified).lower()], sum(w.verified is verified for w in snapshot.workers))
    yield alive
    workers = GaugeMetricFamily("selfie3d_workers", "The same worker children by what they do.", labels=["state"])
    states = collections.Counter(map(snapshot.state_of, snapshot.workers))
    for state in WorkerState:
        workers.add_metric([state], states[state])
    yield workers


def _counts(snapshot: Snapshot) -> Iterator[Metric]:
    yield _labelled(snapshot, "created", "selfie3d_jobs_created", "Jobs accepted.", ["queue"])
    yield _labelled(snapshot, "ended", "selfie3d_jobs_ended", "Jobs ended.", ["state", "reason"])
    yield _labelled(snapshot, "requeued", "selfie3d_redeliveries", "Jobs put back into their queue.", ["cause"])
    yield _labelled(snapshot, "webhooks", "selfie3d_webhooks", "Webhooks done with.", ["outcome"])
    counts = snapshot.counters
    yield CounterMetricFamily("selfie3d_attempts", "Times a worker took a job.", counts.get("attempts", 0))
    yield CounterMetricFamily("selfie3d_republished", "Lost messages replaced.", counts.get("republished", 0))
    cancelled = counts.get("cancelled_by_operator", 0)
    yield CounterMetricFamily("selfie3d_admin_cancellations", "Jobs that operators cancelled by caller.", cancelled)


def _batches(snapshot: Snapshot) -> Iterator[Metric]:
    sizes = counters.batches(snapshot.counters)
    family = HistogramMetricFamily(
        "selfie3d_batch_size", "Runs in one batch, for each run of a network in a process of models."
    )
    family.add_metric([], sizes.buckets, sizes.total)
    yield family
    waited = snapshot.counters.get("batch_wait", 0)
    yield CounterMetricFamily("selfie3d_batch_wait_seconds", "Time that runs waited for their batch.", waited)
    processes = sum(worker.model_process for worker in snapshot.workers)
    yield GaugeMetricFamily(
        "selfie3d_workers_batching", "Worker children whose networks a model process runs.", processes
    )


def _labelled(snapshot: Snapshot, counter: str, name: str, text: str, labels: list[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in counters.labelled(snapshot.counters, counter).items():
        family.add_metric(values, count)
    return family


def _times(snapshot: Snapshot) -> Iterator[Metric]:
    waits = HistogramMetricFamily("selfie3d_queue_seconds", "From being queued to being taken.")
    queue = counters.histogram(snapshot.counters, "queue")
    waits.add_metric([], queue.buckets, queue.total)
    yield waits
    stages = HistogramMetricFamily("selfie3d_stage_seconds", "Time of a stage of a job.", labels=["stage"])
    for stage in Stage:
        times = counters.histogram(snapshot.counters, f"stage:{stage}")
        stages.add_metric([stage], times.buckets, times.total)
    yield stages
