"""Celery as service and worker share it: queues, transport, and publishing. A message is a job id and trace headers."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from celery import Celery
from kombu.entity import Queue

from selfie3d.types import Priority
from selfie3d_jobs.config import JobsConfig
from selfie3d_jobs.connect import BLOCKING_SENTINEL_SECONDS
from selfie3d_jobs.errors import ConfigError
from selfie3d_jobs.maintenance import Message
from selfie3d_jobs.sentinel_url import SentinelUrl, is_sentinel_url

TASK = "selfie3d.reconstruct"
HARD_LIMIT_SECONDS = 15.0  # after the soft limit the child is killed
VISIBILITY_SECONDS = 600.0  # kombu's own redelivery; leases are faster, this only clears what is left over


def create_app(config: JobsConfig, queue_order: Any = "priority", **settings: Any) -> Celery:
    """A Celery app on the job store's Redis. Raises ConfigError.

    queue_order : kombu's `queue_order_strategy`, and `settings` : Celery's; both are the worker's own
    """
    _import_transport()
    app = Celery("selfie3d", set_as_current=False)
    app.conf.update(
        broker_url=broker_url(config.redis_url),
        broker_transport_options=_transport(config, queue_order),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_queues=[Queue(priority.value) for priority in Priority],
        task_default_queue=Priority.INTERACTIVE.value,
        task_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_publish_retry_policy={"max_retries": 2, "interval_start": 0, "interval_step": 0.1},  # then the reaper does
        worker_send_task_events=False,
        task_send_sent_event=False,
        **settings,
    )
    return app


def _import_transport() -> None:
    """Import now what kombu would import with the first message, so that a missing module ends the process at once."""
    try:
        import_module("kombu.transport.redis")
    except ImportError as error:
        raise ConfigError(
            f"Celery's Redis transport needs the module {error.name}, which is not installed: "
            "`pip install '.[service]'`, or '.[worker]' where a worker runs, brings it."
        ) from error


def warm_up(app: Celery) -> None:
    """Do now what Celery does with a thread's first message: connect, import, read all packages' entry points; 35 ms.

    Blocks, as long as publishing would; raises kombu's errors when Redis is away, and the first message does the rest.
    """
    _made_when_asked_for = app.backend, app.amqp.send_task_message
    with app.producer_or_acquire() as producer:
        producer.connection.transport_options.update(app.conf.task_publish_retry_policy)  # bounds the tries
        for queue in app.amqp.queues.values():
            producer.maybe_declare(queue)


def publish(app: Celery, message: Message) -> None:
    """Put the job into its queue. Blocks; raises kombu's errors, after which the reaper will do it."""
    headers: dict[str, Any] = {"published": round(message.time * 1000)}  # ms, as the reaper compares it
    if message.traceparent:
        headers["traceparent"] = message.traceparent
    app.send_task(
        TASK, args=(message.job_id,), task_id=message.job_id, queue=message.queue, headers=headers, ignore_result=True
    )


def broker_url(redis_url: str) -> str:
    """kombu's spelling of a Redis URL: other names for Unix sockets and sentinels, and TLS that always checks."""
    if is_sentinel_url(redis_url):
        return SentinelUrl.of(redis_url).for_kombu()
    parts = urlsplit(redis_url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "unix":
        credentials = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return f"redis+socket://{credentials}{parts.path}?{urlencode({'virtual_host': query.get('db', '0')})}"
    if parts.scheme == "rediss":
        query.setdefault("ssl_cert_reqs", "required")
    return parts._replace(query=urlencode(query)).geturl()


def _transport(config: JobsConfig, queue_order: Any) -> dict[str, Any]:
    return {
        "global_keyprefix": config.prefix,
        "queue_order_strategy": queue_order,  # of one BRPOP over both queues
        "priority_steps": [0],  # one list per queue
        "visibility_timeout": max(VISIBILITY_SECONDS, 2 * (config.time_limit_seconds + HARD_LIMIT_SECONDS)),
        "health_check_interval": 5,  # seconds; a half-open connection is noticed after about 11
        "socket_timeout": 5.0,
        "socket_connect_timeout": 1.0,
        "socket_keepalive": True,
        **_sentinels(config.redis_url),
    }


def _sentinels(redis_url: str) -> dict[str, Any]:
    if not is_sentinel_url(redis_url):
        return {}
    target = SentinelUrl.of(redis_url)
    return {"master_name": target.master, "sentinel_kwargs": target.sentinel_options(BLOCKING_SENTINEL_SECONDS)}
