"""The whole service in one object: what it is made of, how it starts and how it goes down."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Self

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio

from selfie3d.v1 import admin_pb2_grpc
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_jobs import AsyncStore, StoreFull, StoreUnavailable
from selfie3d_jobs.blobs import AsyncBlobs, AsyncBucket
from selfie3d_jobs.maintenance import refuse_cluster
from selfie3d_service import listening, reflection
from selfie3d_service.admin_servicer import AdminServicer
from selfie3d_service.broadcaster import RECONNECT_SECONDS, EventBroadcaster
from selfie3d_service.collector import Collector
from selfie3d_service.config import ServiceConfig
from selfie3d_service.interceptor import ServiceInterceptor
from selfie3d_service.maintenance import ACCEPTING, LIVE, NOT_SERVING, PASS_SECONDS, SERVICES, SERVING, Maintenance
from selfie3d_service.metrics import Metrics
from selfie3d_service.publisher import Publisher
from selfie3d_service.scaler import ScalerServicer
from selfie3d_service.scaler import externalscaler_pb2_grpc as scaler_rpc
from selfie3d_service.servicer import ReconstructionServicer
from selfie3d_service.supervision import supervise
from selfie3d_service.tokens import TokenFile
from selfie3d_service.webhooks import Courier, Signer

log = logging.getLogger(__name__)

SWEEP_PAUSE_SECONDS = 60.0  # between two looks whether it is time
SCALER = "externalscaler.ExternalScaler"
REFLECTED = ("selfie3d.v1.ReconstructionService", "selfie3d.v1.AdminService", "grpc.health.v1.Health")


class Server:
    """One service process. `async with Server(config) as server: ...` serves until the block ends."""

    def __init__(self, config: ServiceConfig) -> None:
        """Nothing is opened yet. Raises ConfigError."""
        self._config = config
        self.metrics = Metrics()
        self._store = AsyncStore(config.jobs)
        place = config.jobs.place
        bucket = AsyncBucket(place, self.metrics.observe_blobs) if place else None
        blobs = AsyncBlobs(config.jobs, self._store, bucket)
        self._collector = Collector(blobs, bucket, self.metrics)
        self._broadcaster = EventBroadcaster(self._store)
        self._publisher = Publisher(config.jobs, self.metrics)
        self._health = aio.HealthServicer()
        tokens = TokenFile(config.tokens) if config.tokens else None
        signer = Signer(config.webhooks, tokens)
        self._courier = Courier(config.webhooks, self._store, signer)
        self._servicer = ReconstructionServicer(
            config, self._store, blobs, self._collector.wake, self._broadcaster, self._publisher, signer
        )
        self._admin = AdminServicer(config.jobs, self._store, self._publisher)
        self._scaler = ScalerServicer(self._store)
        self._maintenance = Maintenance(
            config.jobs, self._store, self._publisher, self._health, self.metrics, self._collector
        )
        self._interceptor = ServiceInterceptor(config, self.metrics, tokens)
        self._tasks: list[asyncio.Task[None]] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        """Bind and serve. Raises ConfigError when the address cannot be bound, or Redis is a cluster."""
        try:
            await self._start()
        except BaseException:
            await self._publisher.close()
            await self._store.close()
            raise
        return self

    async def _start(self) -> None:
        await self._refuse_cluster()
        self._publisher.open()
        for name in (*SERVICES, ACCEPTING):
            await self._health.set(name, NOT_SERVING)
        await self._health.set(LIVE, SERVING)
        self._server = grpc.aio.server(interceptors=[self._interceptor], options=listening.options(self._config))
        rpc.add_ReconstructionServiceServicer_to_server(self._servicer, self._server)  # type: ignore[no-untyped-call]
        admin_pb2_grpc.add_AdminServiceServicer_to_server(self._admin, self._server)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self._config.scaler:
            scaler_rpc.add_ExternalScalerServicer_to_server(self._scaler, self._server)  # type: ignore[no-untyped-call]
        if self._config.reflection:
            reflection.enable(self._server, *REFLECTED, *([SCALER] if self._config.scaler else []))
        self.port = listening.bind(self._server, self._config)
        if self._config.metrics_listen:
            self.metrics.serve(self._config.metrics_listen)
        await self._server.start()
        background = (
            ("reaper", self._maintenance.reap, PASS_SECONDS),
            ("health", self._maintenance.check_health, PASS_SECONDS),
            ("blobs", self._collector.collect, 0.0),
            ("sweep", self._collector.sweep, SWEEP_PAUSE_SECONDS),
            ("probe", self._collector.probe, PASS_SECONDS),
            ("events", self._broadcaster.listen, RECONNECT_SECONDS),
            ("webhooks", self._courier.run, PASS_SECONDS),
            ("primary", self._store.follow_primary, PASS_SECONDS),
        )
        self._tasks = [
            asyncio.create_task(supervise(name, work, self.metrics, pause)) for name, work, pause in background
        ]
        log.info("Serving.", extra={"action": "start", "listen": self._config.listen, "tls": self._is_secure})

    async def __aexit__(self, *_: object) -> None:
        """Drain: health says no, watchers go elsewhere, the other calls may end."""
        log.info("Going down.", extra={"action": "stop"})
        await self._health.enter_graceful_shutdown()
        self._broadcaster.close()
        self._scaler.close()
        await self._server.stop(self._config.drain_seconds)
        await asyncio.to_thread(self.metrics.close)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._courier.close()
        await self._servicer.close()
        await self._publisher.close()
        await self._store.close()

    async def _refuse_cluster(self) -> None:
        """A Redis that is away now may come later; health then says what it is."""
        with suppress(StoreUnavailable, StoreFull):
            await self._store.run(refuse_cluster())

    @property
    def _is_secure(self) -> bool:
        return self._config.tls_certificate is not None
