"""Background work that outlives its own failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from selfie3d_service.metrics import Metrics

log = logging.getLogger(__name__)


FAILED_SECONDS = 1.0  # the least pause after a failure: one that lasts must not fill the log and the core


async def supervise(name: str, work: Callable[[], Awaitable[None]], metrics: Metrics, pause_seconds: float) -> None:
    """Do the work again and again until cancelled, with a pause in between. A failure is logged and counted."""
    while True:
        pause = pause_seconds
        try:
            await work()
        except Exception:
            log.exception("A background task failed; it goes on.", extra={"action": "background", "task": name})
            metrics.count_background_failure(name)
            pause = max(pause, FAILED_SECONDS)
        await asyncio.sleep(pause)


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or the time is over. `asyncio.wait_for` of Python 3.11 may miss a cancellation."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
