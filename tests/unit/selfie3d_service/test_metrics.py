from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from selfie3d_jobs import BlobTrouble
from selfie3d_jobs.maintenance import Snapshot, WorkerReport
from selfie3d_service.metrics import Metrics

SIZES = {"queued:interactive": 3, "queued:bulk": 1, "running": 2, "kept": 9, "bytes": 1000, "used": 1, "limit": 0}
PAUSED = {"paused:interactive": 0, "paused:bulk": 1}
SIZES |= {"outside_bytes": 7, "webhooks": 2, "webhook_age": 61_500}
COUNTERS = {
    "ended:FAILED:NO_FACE": 4.0,
    "requeued:lost": 1.0,
    "webhooks:delivered": 7.0,
    "webhooks:given_up": 1.0,
    "queue:le:0.01": 2.0,
    "queue:sum": 0.012,
    "attempts": 6.0,
    "cancelled_by_operator": 5.0,
    "batch:1": 3.0,
    "batch:2": 4.0,
    "batch:5": 5.0,
    "batch_wait": 0.25,
}


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_deployment_and_the_process_are_shown() -> None:
    metrics = Metrics()
    metrics.observe_call("GetJob", "JOB_NOT_FOUND", 0.003)
    workers = [
        WorkerReport("a", True),
        WorkerReport("b", False),
        WorkerReport("c", True),
        WorkerReport("d", True, model_process=True),
    ]
    metrics.snapshot = Snapshot(workers, COUNTERS, SIZES | PAUSED, frozenset({"c", "gone"}))
    shown = samples(metrics)
    assert shown["selfie3d_queue_depth", ("interactive",)] == 3
    assert shown["selfie3d_jobs_ended_total", ("NO_FACE", "FAILED")] == 4
    assert shown["selfie3d_redeliveries_total", ("lost",)] == 1
    assert shown["selfie3d_attempts_total", ()] == 6
    assert shown["selfie3d_webhooks_total", ("delivered",)] == 7
    assert shown["selfie3d_webhooks_total", ("given_up",)] == 1
    assert shown["selfie3d_webhooks_waiting", ()] == 2
    assert shown["selfie3d_webhook_oldest_seconds", ()] == 61.5
    assert shown["selfie3d_queue_seconds_bucket", ("0.01",)] == 2
    assert shown["selfie3d_queue_seconds_sum", ()] == 0.012
    assert (shown["selfie3d_workers_alive", ("true",)], shown["selfie3d_workers_alive", ("false",)]) == (3, 1)
    assert [shown["selfie3d_workers", (state,)] for state in ("idle", "busy", "failed")] == [2, 1, 1]
    assert [shown["selfie3d_queue_paused", (queue,)] for queue in ("interactive", "bulk")] == [0, 1]
    assert shown["selfie3d_admin_cancellations_total", ()] == 5
    assert shown["selfie3d_calls_total", ("GetJob", "JOB_NOT_FOUND")] == 1
    assert shown["selfie3d_store_up", ()] == 1
    sizes = [shown["selfie3d_batch_size_bucket", (bound,)] for bound in ("1", "2", "4", "8", "+Inf")]
    assert sizes == [3, 7, 7, 12, 12]
    assert shown["selfie3d_batch_size_sum", ()] == 3 + 8 + 25
    assert shown["selfie3d_batch_wait_seconds_total", ()] == 0.25
    assert shown["selfie3d_workers_batching", ()] == 1


def test_without_redis_only_the_process_is_shown() -> None:
    shown = samples(Metrics())
    assert shown["selfie3d_store_up", ()] == 0
    assert not any(name.startswith("selfie3d_queue") for name, _ in shown)


def test_a_bucket_is_shown_where_there_is_one() -> None:
    metrics = Metrics()
    assert not [name for name, _ in samples(metrics) if name.startswith("selfie3d_blobs")]
    metrics.blobs = (None,)
    assert samples(metrics)["selfie3d_blobs_up", ()] == 1
    metrics.observe_blobs("get", 0.02, None)
    metrics.observe_blobs("put", 0.9, BlobTrouble.SILENT)
    metrics.blobs = (BlobTrouble.SILENT,)
    metrics.snapshot = Snapshot([], COUNTERS, SIZES | PAUSED | {"uploads": 3, "garbage": 4}, frozenset())
    shown = samples(metrics)
    assert shown["selfie3d_blobs_up", ()] == 0
    assert (shown["selfie3d_blobs_trouble", ("silent",)], shown["selfie3d_blobs_trouble", ("busy",)]) == (1, 0)
    assert shown["selfie3d_blob_seconds_bucket", ("0.025", "get")] == 1
    assert shown["selfie3d_blob_failures_total", ("put", "silent")] == 1
    assert (shown["selfie3d_blobs_uploading", ()], shown["selfie3d_blobs_garbage", ()]) == (3, 4)
    assert (shown["selfie3d_stored_bytes", ()], shown["selfie3d_blobs_bytes", ()]) == (1000, 7)
