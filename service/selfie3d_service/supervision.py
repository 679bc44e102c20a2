"""Background work that outlives its own failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from selfie3d_service.metrics import Metrics

log = logging.getLogger(__name__)


async def supervise(name: str, work: Callable[[], Awaitable[None]], metrics: Metrics, pause_seconds: float) -> None:
    """Do the work again and again until cancelled, with a pause in between. A failure is logged and counted."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("A background task failed; it goes on.", extra={"action": "background", "task": name})
            metrics.count_background_failure(name)
        await asyncio.sleep(pause_seconds)


async def wait_at_most(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or the time is over. `asyncio.wait_for` of Python 3.11 may miss a cancellation."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
