"""A thread of the child that says that it lives and renews the lease of its job."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from selfie3d_jobs import (
    JobsConfig,
    JobsError,
    Record,
    RedisTrouble,
    Store,
    StoreFull,
    StoreUnavailable,
    execution,
    maintenance,
)
from selfie3d_jobs.maintenance import WorkerReport
from selfie3d_jobs.pulse import ProcessKind, Pulse
from selfie3d_jobs.trouble import TroubleLog
from selfie3d_worker.memory import SpareMemory

log = logging.getLogger(__name__)


class Heartbeat(threading.Thread):
    """Beats four times a lease. The store it gets should give up quickly, so that no beat delays the next for long.

    memory : what jobs leave behind; looked at between two jobs
    """

    def __init__(
        self, store: Store, report: WorkerReport, config: JobsConfig, memory: SpareMemory | None = None
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._store = store
        self._report = report
        self._lease_seconds = config.lease_seconds
        self._beat_seconds = config.renew_seconds
        self._job: Record | None = None
        self._ended = threading.Event()
        self._troubles = TroubleLog(log)
        self._memory = memory or SpareMemory()

    @contextmanager
    def holding(self, job: Record) -> Iterator[None]:
        """Renew the job's lease meanwhile."""
        self._job = job
        try:
            yield
        finally:
            self._memory.job_ended()
            self._job = None

    def run(self) -> None:
        """Beat until `end`."""
        with Pulse(ProcessKind.CHILD) as pulse:
            while True:
                pulse.beat()
                self._beat()
                if self._ended.wait(self._beat_seconds):
                    return

    def end(self) -> None:
        """Stop, and take the report back."""
        self._ended.set()
        self.join()
        try:
            self._store.run(maintenance.leave(self._report.name))
        except JobsError:
            log.debug("The report stays until it is too old.")

    def _beat(self) -> None:
        job = self._job
        if job is None:
            self._memory.look()
        try:
            self._store.run(maintenance.report(self._report))
            if job and not self._store.run(execution.renew(job, self._lease_seconds)):
                log.info("The lease could not be renewed: the job ended or went elsewhere.", extra={"job_id": job.id})
            self._troubles.note(None)
        except StoreUnavailable as error:
            self._troubles.note(error.trouble)
        except StoreFull:
            self._troubles.note(RedisTrouble.MEMORY)
        except Exception:
            log.exception("A heartbeat failed.")
