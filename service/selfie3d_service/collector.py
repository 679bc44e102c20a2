"""Deletes objects that are garbage, and watches whether the bucket can be used."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from selfie3d_jobs import BlobsUnavailable, BlobTrouble, StoreFull, StoreUnavailable
from selfie3d_jobs.blobs import AsyncBlobs, AsyncBucket
from selfie3d_service.metrics import Metrics
from selfie3d_service.supervision import wait_at_most

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
MISSES = 2  # probes in a row that fail before the service says that it is not ready: one may be a slow answer


class Collector:
    """One process's share of the work. Without a bucket there is none."""

    def __init__(self, blobs: AsyncBlobs, bucket: AsyncBucket | None, metrics: Metrics) -> None:
        self._blobs = blobs
        self._bucket = bucket
        self._metrics = metrics
        self._woken = asyncio.Event()
        self._misses = 0
        self._last: BlobTrouble | None = None

    def wake(self) -> None:
        """Something was deleted: look at once."""
        self._woken.set()

    @property
    def trouble(self) -> BlobTrouble | None:
        """Why no photo can be taken or mesh be fetched, once it is sure."""
        return self._last if self._misses >= MISSES else None

    async def collect(self) -> None:
        """Delete what there is, then wait for more."""
        self._woken.clear()
        with suppress(StoreUnavailable, StoreFull, BlobsUnavailable):  # the reaper and the probe say so
            while count := await self._blobs.collect():
                log.debug("Objects were deleted.", extra={"action": "collect", "count": count})
        await wait_at_most(self._woken, LOOK_SECONDS)

    async def sweep(self) -> None:
        """Look for objects that nobody knows, when it is time."""
        with suppress(StoreUnavailable, StoreFull, BlobsUnavailable):  # in an hour, then
            await self._blobs.sweep()

    async def probe(self) -> None:
        """One look at the bucket, for health and metrics."""
        if self._bucket is None:
            return
        try:
            await self._bucket.probe()
        except BlobsUnavailable as error:
            self._note(error.trouble)
        else:
            self._note(None)

    def _note(self, trouble: BlobTrouble | None) -> None:
        self._misses = self._misses + 1 if trouble else 0
        self._metrics.blobs = (trouble,)
        if trouble is self._last:
            return
        self._last = trouble
        if trouble:
            log.warning("Photos and meshes: %s.", trouble, extra={"action": "blobs", "why": trouble.name})
        else:
            log.info("The store of photos and meshes can be used.", extra={"action": "blobs"})
