"""What every service process does once a second: the reaper's pass, health, and the numbers of the metrics."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from selfie3d_jobs import AsyncStore, JobsConfig, StoreFull, StoreUnavailable, upkeep
from selfie3d_service.metrics import Metrics
from selfie3d_service.publisher import Publisher

log = logging.getLogger(__name__)

PASS_SECONDS = 1.0
SERVICES = ("", "selfie3d.v1.ReconstructionService")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Keeper:
    """Keeps the promises while the process runs. Any number of processes may do it at once."""

    def __init__(
        self, config: JobsConfig, store: AsyncStore, publisher: Publisher, health: aio.HealthServicer, metrics: Metrics
    ) -> None:
        self._config = config
        self._store = store
        self._publisher = publisher
        self._health = health
        self._metrics = metrics
        self._serving: bool | None = None

    async def reap(self) -> None:
        """Pass after pass, until cancelled."""
        while True:
            with suppress(StoreUnavailable, StoreFull):
                reaped = await self._store.run(upkeep.reap(self._config))
                for message in reaped.publish:
                    self._publisher.send(message)
                if reaped.publish or reaped.requeued or reaped.ended:
                    counts = {"published": len(reaped.publish), "requeued": reaped.requeued, "ended": reaped.ended}
                    log.info("The reaper put jobs right.", extra={"action": "reap", **counts})
            await asyncio.sleep(PASS_SECONDS)

    async def look(self) -> None:
        """Health and metrics, until cancelled."""
        while True:
            try:
                self._metrics.pulse = await self._store.run(upkeep.pulse())
            except (StoreUnavailable, StoreFull):
                self._metrics.pulse = None
            await self._say(self._metrics.pulse is not None and self._metrics.pulse.ready)
            await asyncio.sleep(PASS_SECONDS)

    async def _say(self, serving: bool) -> None:
        if serving is not self._serving:
            self._serving = serving
            log.info("Ready." if serving else "Not ready: no Redis or no live worker with verified weights.")
            for name in SERVICES:
                await self._health.set(name, SERVING if serving else NOT_SERVING)
