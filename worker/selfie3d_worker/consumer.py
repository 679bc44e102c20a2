"""Celery's consumer where it would stand still: back within a second when Redis is, and never stuck on a lost ack."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.transport import redis, virtual

from selfie3d_jobs.heap import settle
from selfie3d_jobs.pulse import BEAT_SECONDS, ProcessKind, Pulse, beat_in_background
from selfie3d_jobs.trouble import TroubleLog, trouble_of

log = logging.getLogger(__name__)

troubles = TroubleLog(log)  # of this process's connection

STEP_SECONDS, MAX_SECONDS = 0.2, 1.0  # between two tries; Celery's own waits grow to 30 s


class ForgetfulQoS(redis.QoS):
    """Counts a message as done also when Redis could not be told.

    kombu keeps it in the prefetch window for ever, so that a worker with one child never fetches again and, because
    it does not fetch, never sees that the connection broke. A second delivery of the message does no harm here: the
    job's record knows better.
    """

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except self.channel.connection_errors as error:
            virtual.QoS.ack(self, delivery_tag)
            log.warning("A message could not be acknowledged.", extra={"action": "ack", "why": type(error).__name__})


class QuickConsumer(Consumer):  # type: ignore[misc]
    """Set by the setting `worker_consumer`. Its pulse is that of the event loop, or of the wait for Redis."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._pulse = Pulse(ProcessKind.WORKER)
        atexit.register(self._pulse.close)  # Celery tells nobody when a worker has waited for its last job
        signals.worker_shutting_down.connect(self._beat_to_the_end)

    def register_with_event_loop(self, hub: Any) -> None:
        """Once for each time that the loop begins; Celery forgets the timer when the loop ends."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(BEAT_SECONDS, self._pulse.beat)
        settle()

    def _beat_to_the_end(self, **_: Any) -> None:
        """The loop ends, and the running jobs are waited for: as long as they may take, which others bound."""
        beat_in_background(self._pulse)

    def _wait_for_redis(self) -> None:
        self._pulse.beat()
        maybe_shutdown()

    def ensure_connected(self, conn: Any) -> Any:
        """Try until it works or the worker is told to end."""
        connected = conn.ensure_connection(
            lambda error, _: troubles.note(trouble_of(error)),
            None,
            interval_start=STEP_SECONDS,
            interval_step=STEP_SECONDS,
            interval_max=MAX_SECONDS,
            callback=self._wait_for_redis,
        )
        troubles.note(None)
        connected.default_channel.QoS = ForgetfulQoS  # before its first use, which is when the event loop gets it
        return connected

    def update_strategies(self) -> None:
        """A message that Celery cannot read is discarded; some of them would end the whole worker."""
        super().update_strategies()
        self.strategies.update({name: _careful(receive) for name, receive in self.strategies.items()})


def _careful(receive: Callable[..., None]) -> Callable[..., None]:
    def receive_carefully(*message: Any, **more: Any) -> None:
        try:
            receive(*message, **more)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidTaskError(f"not a message of ours: {type(error).__name__}") from error

    return receive_carefully
