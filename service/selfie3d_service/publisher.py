"""Publishing without holding up the event loop: kombu blocks, so one thread does it."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor

from selfie3d.types import Priority
from selfie3d_jobs import JobsConfig, Record, Store
from selfie3d_jobs.broker import create_app, publish, warm_up
from selfie3d_jobs.maintenance import Message, bring_forward
from selfie3d_service.metrics import Metrics
from selfie3d_service.validation import priority

log = logging.getLogger(__name__)

TOLERATED_FAILURES = 2  # in a row; Redis may just have been restarted
NO_JOB = "0" * 32  # of a probe: workers drop the message of a job that is not there


class Publisher:
    """Sends messages in order. The job of a message that cannot be sent is found by the reaper."""

    def __init__(self, config: JobsConfig, metrics: Metrics) -> None:
        """Raises ConfigError when a module that publishing needs is missing."""
        self._app = create_app(config)
        self._store = Store(config, tries=0)
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, "publisher")
        self._failures = 0  # in a row
        self._probe: Future[None] | None = None

    def open(self) -> None:
        """Get ready for the first message, soon; does not wait."""
        self._thread.submit(warm_up, self._app)  # what it raises, the first message meets again, and counts

    @property
    def works(self) -> bool:
        """False once several messages in a row could not be sent."""
        return self._failures <= TOLERATED_FAILURES

    def send(self, message: Message) -> None:
        """Send soon; does not wait."""
        self._thread.submit(self._publish, message)

    def send_job(self, record: Record) -> None:
        """Send the message of a new job."""
        self.send(Message(record.id, priority(record.settings), record.traceparent, record.create_time))

    def probe(self) -> None:
        """After a failure, find out whether messages can be sent again, also when no job comes."""
        if self._failures and (self._probe is None or self._probe.done()):
            message = Message(NO_JOB, Priority.INTERACTIVE, "", time.time())
            self._probe = self._thread.submit(self._publish, message)

    async def close(self) -> None:
        """Send what is left and drop the connections."""
        await asyncio.to_thread(self._thread.shutdown)
        self._app.close()
        self._store.close()

    def _publish(self, message: Message) -> None:
        try:
            publish(self._app, message)
            if message.front:
                self._store.run(bring_forward(message))
            self._failures = 0
        except Exception as error:
            self._failures += 1
            self._metrics.count_background_failure("publisher")
            extra = {"action": "publish", "job_id": message.job_id, "why": f"{type(error).__name__}: {error}"}
            log.warning("A job could not be published; the reaper will do it.", extra=extra)
