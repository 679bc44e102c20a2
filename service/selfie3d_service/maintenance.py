"""What every service process does once a second: the reaper's pass, health, and the numbers of the metrics."""

from __future__ import annotations

import logging
from contextlib import suppress

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from selfie3d_jobs import AsyncStore, JobsConfig, StoreFull, StoreUnavailable
from selfie3d_jobs.maintenance import Snapshot, reap, snapshot
from selfie3d_service.metrics import Metrics
from selfie3d_service.publisher import Publisher

log = logging.getLogger(__name__)

PASS_SECONDS = 1.0
SERVICES = ("", "selfie3d.v1.ReconstructionService")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Maintenance:
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
        """One pass of the reaper."""
        with suppress(StoreUnavailable, StoreFull):
            reaped = await self._store.run(reap(self._config))
            for message in reaped.publish:
                self._publisher.send(message)
            if reaped.publish or reaped.requeued or reaped.ended:
                counts = {"published": len(reaped.publish), "requeued": reaped.requeued, "ended": reaped.ended}
                log.info("The reaper put jobs right.", extra={"action": "reap", **counts})

    async def check_health(self) -> None:
        """One look at the deployment, for health and metrics. What cannot be seen is not healthy."""
        seen = None
        try:
            with suppress(StoreUnavailable, StoreFull):
                seen = await self._store.run(snapshot())
        finally:
            self._metrics.snapshot = seen
            self._publisher.probe()
            await self._say(self._reason_not_to_serve(seen))

    def _reason_not_to_serve(self, seen: Snapshot | None) -> str:
        if seen is None:
            return "no Redis"
        if not seen.ready:
            return "no live worker with verified weights"
        return "" if self._publisher.works else "jobs cannot be published"

    async def _say(self, why_not: str) -> None:
        serving = not why_not
        if serving is not self._serving:
            self._serving = serving
            log.info("Ready." if serving else f"Not ready: {why_not}.")
            for name in SERVICES:
                await self._health.set(name, SERVING if serving else NOT_SERVING)
