"""A pool child's life: load the model once, report, run jobs, leave."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from dataclasses import replace

from selfie3d import __version__
from selfie3d_jobs import JobsError, Store, logs, maintenance, trace
from selfie3d_jobs.blobs import WorkerBlobs
from selfie3d_jobs.heap import settle, take_one_heap
from selfie3d_jobs.maintenance import WorkerReport
from selfie3d_worker.config import WorkerConfig
from selfie3d_worker.heartbeat import Heartbeat
from selfie3d_worker.model import Reconstruct, load
from selfie3d_worker.runner import Runner

log = logging.getLogger(__name__)

HEARTBEAT_TRIES = 1  # repeats of a lost beat; the next beat comes soon


class ModelNotLoaded(Exception):  # noqa: N818 - what happened
    """The reason is logged and reported, and the whole worker ends."""


class PoolChild:
    """What lives as long as the process."""

    def __init__(self, config: WorkerConfig) -> None:
        """Load and verify the model, then report. Raises ModelNotLoaded."""
        take_one_heap()  # before the first thread
        logs.configure(config.log_level, config.log_format)
        self._host = socket.gethostname()
        self.name = f"{self._host}:{os.getppid()}:{os.getpid()}"
        self._config = config
        self._heartbeat_store = Store(config.jobs, HEARTBEAT_TRIES, config.jobs.renew_seconds)
        try:
            trace.export(config.otlp_endpoint, "selfie3d-worker")
            reconstruct = load(config)
        except Exception as error:
            self._give_up(error)
            raise ModelNotLoaded from error
        self._heartbeat = Heartbeat(self._heartbeat_store, self._report(reconstruct), config.jobs)
        self._store = Store(config.jobs)
        blobs = WorkerBlobs(config.jobs, self._store)
        self.runner = Runner(self.name, self._store, blobs, self._heartbeat, reconstruct, config.jobs.lease_seconds)
        self._heartbeat.start()
        settle()
        log.info(
            "Ready.",
            extra={"action": "ready", "worker": self.name, "model": reconstruct.name, "engine": reconstruct.engine},
        )

    def close(self) -> None:
        """Take the report back and drop the connections."""
        self._heartbeat.end()
        self._store.close()
        self._heartbeat_store.close()
        trace.close()

    def _report(self, model: Reconstruct) -> WorkerReport:
        return replace(
            self._report_of(model.name),
            verified=True,
            weights_sha256=model.weights_sha256,
            device=model.device,
            engine=model.engine,
            start_time=time.time(),
            model_process=bool(self._config.models),
        )

    def _report_of(self, model: str) -> WorkerReport:
        return WorkerReport(self.name, verified=False, model=model, host=self._host, version=__version__)

    def _give_up(self, error: Exception) -> None:
        """A model that cannot be loaded will not load the next time either: tell why and end the whole worker."""
        if getattr(error, "reason", ""):  # the message says what to do
            log.critical("The model cannot be loaded: %s", error, extra={"action": "load"})
        else:
            log.critical("The model cannot be loaded.", exc_info=error, extra={"action": "load"})
        try:
            failed = replace(self._report_of(self._config.model), error=f"{type(error).__name__}: {error}")
            self._heartbeat_store.run(maintenance.report(failed))
        except JobsError:
            log.warning("The failure could not be reported.")
        os.kill(os.getppid(), signal.SIGTERM)
