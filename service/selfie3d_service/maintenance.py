"""What every service process does once a second: the reaper's pass, health, and the numbers of the metrics."""

from __future__ import annotations

import logging

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from selfie3d_jobs import AsyncStore, JobsConfig, RedisTrouble, StoreFull, StoreUnavailable
from selfie3d_jobs.maintenance import Snapshot, reap, snapshot
from selfie3d_jobs.trouble import TroubleLog
from selfie3d_service.collector import Collector
from selfie3d_service.metrics import Metrics
from selfie3d_service.publisher import Publisher

log = logging.getLogger(__name__)

PASS_SECONDS = 1.0
SERVICES = ("", "selfie3d.v1.ReconstructionService")
LIVE = "live"  # health's name for: this process answers
ACCEPTING = "accepting"  # and for: jobs are accepted, whether or not there is a worker yet
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Maintenance:
    """Keeps the promises while the process runs. Any number of processes may do it at once."""

    def __init__(
        self,
        config: JobsConfig,
        store: AsyncStore,
        publisher: Publisher,
        health: aio.HealthServicer,
        metrics: Metrics,
        collector: Collector,
    ) -> None:
        self._config = config
        self._store = store
        self._publisher = publisher
        self._health = health
        self._metrics = metrics
        self._collector = collector
        self._said: tuple[str, str] | None = None  # nothing has been said yet
        self._unwritable: RedisTrouble | None = None
        self._troubles = TroubleLog(log)

    async def reap(self) -> None:
        """One pass of the reaper."""
        try:
            reaped = await self._store.run(reap(self._config))
        except (StoreUnavailable, StoreFull) as error:
            self._unwritable = _trouble(error)
            return
        self._unwritable = None
        for message in reaped.publish:
            self._publisher.send(message)
        if reaped.publish or reaped.requeued or reaped.ended:
            counts = {"published": len(reaped.publish), "requeued": reaped.requeued, "ended": reaped.ended}
            log.info("The reaper put jobs right.", extra={"action": "reap", **counts})

    async def check_health(self) -> None:
        """One look at the deployment, for health and metrics. What cannot be seen is not healthy."""
        seen, trouble = None, self._unwritable  # one that can only be read looks well here
        try:
            seen = await self._store.run(snapshot())
        except (StoreUnavailable, StoreFull) as error:
            trouble = _trouble(error)
        finally:
            self._metrics.snapshot, self._metrics.trouble = seen, trouble
            self._publisher.probe()
            self._troubles.note(trouble or (RedisTrouble.MEMORY if seen and seen.full else None))
            refusing = self._reason_not_to_accept(seen, trouble)
            workless = "" if seen and seen.ready else "no live worker with verified weights"
            await self._say(refusing, refusing or workless)

    def _reason_not_to_accept(self, seen: Snapshot | None, trouble: RedisTrouble | None) -> str:
        if trouble:
            return trouble.text
        if seen is None:
            return "it cannot be seen how the deployment stands"
        if blobs := self._collector.trouble:
            return blobs.text
        return "" if self._publisher.works else "jobs cannot be published"

    async def _say(self, refusing: str, why_not: str) -> None:
        if (refusing, why_not) == self._said:
            return
        self._said = (refusing, why_not)
        log.info(f"Not ready: {why_not}." if why_not else "Ready.")
        await self._health.set(ACCEPTING, NOT_SERVING if refusing else SERVING)
        for name in SERVICES:
            await self._health.set(name, NOT_SERVING if why_not else SERVING)


def _trouble(error: StoreUnavailable | StoreFull) -> RedisTrouble:
    return error.trouble if isinstance(error, StoreUnavailable) else RedisTrouble.MEMORY
