"""Two thin faces of the same commands: `Store` for workers, `AsyncStore` for the service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    NoScriptError,
    ResponseError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)
from redis.retry import Retry

from selfie3d_jobs import connect
from selfie3d_jobs.command import Arg, Command, ignore
from selfie3d_jobs.config import JobsConfig
from selfie3d_jobs.confirmation import Confirmation
from selfie3d_jobs.errors import StoreFull, StoreUnavailable
from selfie3d_jobs.trouble import RedisTrouble, trouble_of

T = TypeVar("T")

ANSWER_SECONDS = 0.8  # the service answers UNAVAILABLE when Redis has not answered by then
BULKY_SECONDS = 5.0  # the same for a photo or a mesh
POOL_SIZE = 64  # connections of one service process
HEALTH_SECONDS = 10  # a connection silent for so long is asked whether it lives
WORKER_TRIES = 60  # about a minute, growing to a second between two: a worker keeps a finished result for so long
WORKER_ANSWER_SECONDS = 5.0
REPLACED = (RedisTrouble.READ_ONLY, RedisTrouble.REPLICAS, RedisTrouble.PRIMARY)


class Store:
    """Blocking; outlasts an absence of Redis of about a minute, because every call may be repeated."""

    def __init__(
        self, config: JobsConfig, tries: int = WORKER_TRIES, answer_seconds: float = WORKER_ANSWER_SECONDS
    ) -> None:
        """Connect lazily. A call takes up to 1 + `tries` times `answer_seconds`, and the waits between."""
        self._prefix = config.prefix
        pauses = ExponentialBackoff(cap=1.0, base=0.05)
        self._until_replaced = Retry(pauses, tries, supported_errors=(NotThePrimary,))
        self._client = connect.connect(
            config.redis_url,
            protocol=2,
            socket_timeout=answer_seconds,
            socket_connect_timeout=1.0,
            retry=Retry(pauses, tries),
            retry_on_error=[RedisConnectionError, RedisTimeoutError],
        )

    def run(self, command: Command[T]) -> T:
        """Send it and read the reply. Raises StoreUnavailable, StoreFull and what the command's parse raises."""
        with _translated():
            reply = self._until_replaced.call_with_retry(lambda: self._execute(command), self._leave)
        return command.parse(reply)

    def _execute(self, command: Command[Any]) -> Any:
        with _naming_replaced():
            try:
                return self._client.execute_command(*command.args(self._prefix))
            except NoScriptError:
                return self._client.execute_command(*command.args_with_source(self._prefix))

    def _leave(self, _error: Exception) -> None:
        """The next connection may lead to another server."""
        self._client.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()


class AsyncStore:
    """For asyncio; gives up within a second, because a caller waits."""

    def __init__(self, config: JobsConfig) -> None:
        """Connect lazily."""
        self._prefix = config.prefix
        self._client = connect.connect_async(
            config.redis_url,
            max_connections=POOL_SIZE,
            timeout=ANSWER_SECONDS,
            protocol=2,
            socket_timeout=None,  # `run` bounds every call as a whole
            socket_connect_timeout=ANSWER_SECONDS,
            retry=AsyncRetry(NoBackoff(), 1),  # a connection that died with the old Redis
            health_check_interval=HEALTH_SECONDS,
        )
        self._confirmation = Confirmation.of(self._client, config.prefix)

    async def run(self, command: Command[T]) -> T:
        """Send it and read the reply. Raises StoreUnavailable, StoreFull and what the command's parse raises."""
        with _translated():
            async with asyncio.timeout(BULKY_SECONDS if command.bulky else ANSWER_SECONDS):
                try:
                    with _naming_replaced():
                        reply = await self._execute(command)
                except NotThePrimary:  # the next connection may lead to another server
                    await self._client.connection_pool.disconnect(inuse_connections=False)
                    raise
        return command.parse(reply)

    async def _execute(self, command: Command[Any]) -> Any:
        send = self._confirmation.send if self._confirmation and command.lasting else self._send
        try:
            return await send(command.args(self._prefix))
        except NoScriptError:
            return await send(command.args_with_source(self._prefix))

    async def _send(self, args: tuple[Arg, ...]) -> Any:
        return await self._client.execute_command(*args)

    async def confirm(self) -> None:
        """Return once a replica has all that was read before, where that counts. Raises StoreUnavailable."""
        if self._confirmation:
            await self.run(Command("PING", (), ignore, keyed=False, lasting=True))

    async def follow_primary(self) -> None:
        """Leave a primary that the sentinels have replaced: it may not know that yet, and still answers."""
        pool = self._client.connection_pool
        if isinstance(pool, connect.BlockingSentinelPool):
            with suppress(RedisConnectionError):  # there is none now
                await pool.find_primary()

    def subscription(self, *channels: str) -> tuple[aioredis.client.PubSub, list[str]]:
        """A subscription of its own connection, and the channels' full names, which are to be subscribed to."""
        return self._client.pubsub(ignore_subscribe_messages=True), [f"{self._prefix}{channel}" for channel in channels]

    async def close(self) -> None:
        """Drop the connections."""
        await connect.disconnect(self._client)


class NotThePrimary(ResponseError):  # noqa: N818
    """A server that takes no writes, or not alone: another one may be in its place."""


@contextmanager
def _naming_replaced() -> Iterator[None]:
    try:
        yield
    except ResponseError as error:
        if trouble_of(error) in REPLACED:
            raise NotThePrimary(*error.args) from error
        raise


@contextmanager
def _translated() -> Iterator[None]:
    """Redis's errors to ours, once."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, TimeoutError, OSError) as error:
        raise StoreUnavailable(trouble_of(error)) from error
    except ResponseError as error:
        trouble = trouble_of(error)
        if trouble is RedisTrouble.MEMORY:
            raise StoreFull from error
        if trouble is RedisTrouble.BROKEN:  # Redis answers, and says what nobody expects
            raise
        raise StoreUnavailable(trouble) from error
