"""Celery's consumer, but back within a second when Redis is: Celery's own waits grow to 30 s."""

from __future__ import annotations

import logging
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

log = logging.getLogger(__name__)

STEP_SECONDS, MAX_SECONDS = 0.2, 1.0  # between two tries


class QuickConsumer(Consumer):  # type: ignore[misc]
    """Set by the setting `worker_consumer`."""

    def ensure_connected(self, conn: Any) -> Any:
        """Try until it works or the worker is told to end."""
        return conn.ensure_connection(
            _tell,
            None,
            interval_start=STEP_SECONDS,
            interval_step=STEP_SECONDS,
            interval_max=MAX_SECONDS,
            callback=maybe_shutdown,
        )


def _tell(error: Exception, wait_seconds: float) -> None:
    extra = {"action": "connect", "why": type(error).__name__, "seconds": round(wait_seconds, 1)}
    log.warning("Redis does not answer; trying again.", extra=extra)
