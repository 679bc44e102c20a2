"""Publishing without holding up the event loop: kombu blocks, so one thread does it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from selfie3d_jobs import JobsConfig, Record
from selfie3d_jobs.broker import create_app, publish
from selfie3d_jobs.upkeep import Message
from selfie3d_service.requests import priority

log = logging.getLogger(__name__)


class Publisher:
    """Sends messages in order. A message that cannot be sent is only logged: the reaper finds its job."""

    def __init__(self, config: JobsConfig) -> None:
        self._app = create_app(config)
        self._thread = ThreadPoolExecutor(1, "publisher")

    def send(self, message: Message) -> None:
        """Send soon; does not wait."""
        self._thread.submit(self._publish, message)

    def send_job(self, record: Record) -> None:
        """Send the message of a new job."""
        self.send(Message(record.id, priority(record.settings), record.traceparent, record.create_time))

    async def close(self) -> None:
        """Send what is left and drop the connections."""
        await asyncio.to_thread(self._thread.shutdown)
        self._app.close()

    def _publish(self, message: Message) -> None:
        try:
            publish(self._app, message)
        except Exception as error:
            extra = {"action": "publish", "job_id": message.job_id, "why": type(error).__name__}
            log.warning("A job could not be published; the reaper will do it.", extra=extra)
