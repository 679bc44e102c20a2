"""Sends the webhooks of the outbox while the process runs. Any number of processes may do it at once.

A webhook that is taken and not settled, because its process died, is due again after the lease: each is delivered at
least once. Slots are shared out among owners and receivers, so that a slow one holds up only its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

from selfie3d.pem import PemError, read_authorities
from selfie3d_jobs import AsyncStore, ConfigError, StoreFull, StoreUnavailable
from selfie3d_jobs.webhooks import Settled, Webhook, settle, take
from selfie3d_service.supervision import wait_at_most
from selfie3d_service.webhooks.config import WebhookConfig
from selfie3d_service.webhooks.post import BadAnswer, post
from selfie3d_service.webhooks.receiver import Receiver, ReceiverRefused, receiver_of, resolve
from selfie3d_service.webhooks.signing import Signer, body_of

log = logging.getLogger(__name__)

SLOTS = 32  # webhooks that one process sends at once
LANE_SLOTS = 4  # of them to one receiver of one owner
LOOK_SECONDS = 1.0  # how often the outbox is looked at when nothing else is a reason to
GROWTH = 3.0  # of the pause from try to try
LONGEST_PAUSE = 3 * 3600.0  # seconds
JITTER = 0.25  # a pause is so much longer or shorter at most
GONE = 410  # HTTP: the receiver wants no more of them


class Courier:
    """One process's share of the work.

    resolve : receiver to addresses; blocks, and raises as `receiver.resolve` does
    """

    def __init__(
        self,
        config: WebhookConfig,
        store: AsyncStore,
        signer: Signer,
        resolve: Callable[[Receiver], list[str]] = resolve,
    ) -> None:
        """Raises ConfigError for authorities that cannot be used."""
        self._config = config
        self._store = store
        self._signer = signer
        self._resolve = resolve
        self._tls = _tls(config)
        self._lookups = ThreadPoolExecutor(SLOTS, "webhook-lookup")
        self._tasks: dict[asyncio.Task[None], Webhook] = {}
        self._freed = asyncio.Event()

    async def run(self) -> None:
        """Take and send, until cancelled."""
        while True:
            self._freed.clear()
            await self._take()
            await wait_at_most(self._freed, LOOK_SECONDS)

    async def close(self) -> None:
        """Give up what is being sent: another process, or the next one, does it after the lease."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lookups.shutdown(wait=False, cancel_futures=True)

    @property
    def _lease_seconds(self) -> float:
        return 2 * self._config.timeout_seconds + 5

    async def _take(self) -> None:
        sending = self._tasks.values()
        room = SLOTS - len(sending)
        if not room:
            return
        lanes, owners = Counter(hook.lane for hook in sending), Counter(hook.job.owner for hook in sending)
        with suppress(StoreUnavailable, StoreFull):  # the reaper says so
            for webhook in await self._store.run(take(room, LANE_SLOTS, self._lease_seconds, lanes, owners)):
                task = asyncio.create_task(self._send(webhook))
                self._tasks[task] = webhook
                task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._freed.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("A webhook could not be sent.", exc_info=error, extra={"action": "webhook"})

    async def _send(self, webhook: Webhook) -> None:
        """One try, and what it gave to the outbox and to the log."""
        about = {"action": "webhook", "job_id": webhook.job.id, "attempt": webhook.attempt}
        about["receiver"] = webhook.lane.partition(" ")[0]  # the path may hold a secret
        status, why = await self._try(webhook)
        delivered, pause = 200 <= status < 300, pause_after(webhook.attempt, self._config.retry_seconds)
        command = settle(webhook, delivered=delivered, hopeless=status == GONE, pause_seconds=pause)
        try:
            settled = await self._store.run(command)
        except (StoreUnavailable, StoreFull):  # due again after the lease
            log.warning("How a webhook went could not be noted.", extra=about | {"status": status})
            return
        if delivered:
            log.info("A webhook was delivered.", extra=about | {"status": status})
        elif settled is Settled.GIVEN_UP:
            log.error("A webhook was given up.", extra=about | {"why": why})
        else:
            log.warning("A webhook was not delivered.", extra=about | {"why": why})

    async def _try(self, webhook: Webhook) -> tuple[int, str]:
        """The receiver's status, 0 without one, and what was wrong."""
        try:
            receiver = receiver_of(webhook.job.settings.webhook_url, self._config.listed)
            loop = asyncio.get_running_loop()
            addresses = await loop.run_in_executor(self._lookups, self._resolve, receiver)
            async with asyncio.timeout(self._config.timeout_seconds):
                status = await self._post(webhook, receiver, addresses)
        except TimeoutError:
            return 0, f"no answer within {self._config.timeout_seconds:g} s"
        except (ReceiverRefused, BadAnswer, Unsigned) as error:
            return 0, str(error)
        except OSError as error:
            return 0, error.strerror or str(error)
        return status, f"it answered with {status}"

    async def _post(self, webhook: Webhook, receiver: Receiver, addresses: list[str]) -> int:
        """To the first address that takes a connection. Raises OSError, BadAnswer, Unsigned."""
        body = body_of(webhook.job)
        headers = self._signer.headers(webhook.job, body, datetime.now(UTC))
        if headers is None:
            raise Unsigned
        refused: OSError | None = None
        for address in addresses:
            try:
                return await post(receiver, address, headers, body, self._tls if receiver.secure else None)
            except OSError as error:
                refused = error
        raise refused or OSError("it has no address")


class Unsigned(Exception):  # noqa: N818
    """The caller has no secret any more."""

    def __init__(self) -> None:
        super().__init__("the caller has no webhook_secret any more")


def pause_after(attempt: int, first_seconds: float) -> float:
    """Seconds until the next try: three times as many from try to try, up to three hours, spread by a quarter."""
    pause = min(first_seconds * GROWTH ** min(attempt - 1, 30), LONGEST_PAUSE)
    return pause * random.uniform(1 - JITTER, 1 + JITTER)


def _tls(config: WebhookConfig) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if config.authorities:
        try:
            context.load_verify_locations(cadata=read_authorities(config.authorities).decode())
        except (PemError, ValueError) as error:
            raise ConfigError(f"SELFIE3D_WEBHOOK_CA: {error}.") from error
    return context
