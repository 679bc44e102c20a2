"""Two thin faces of the same commands: `Store` for workers, `AsyncStore` for the service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
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

from selfie3d_jobs.command import Command
from selfie3d_jobs.config import JobsConfig
from selfie3d_jobs.errors import StoreFull, StoreUnavailable
from selfie3d_jobs.trouble import RedisTrouble, trouble_of

T = TypeVar("T")

ANSWER_SECONDS = 0.8  # the service answers UNAVAILABLE when Redis has not answered by then
BULKY_SECONDS = 5.0  # the same for a photo or a mesh
POOL_SIZE = 64  # connections of one service process
HEALTH_SECONDS = 10  # a connection silent for so long is asked whether it lives
WORKER_TRIES = 60  # about a minute, growing to a second between two: a worker keeps a finished result for so long
WORKER_ANSWER_SECONDS = 5.0


class Store:
    """Blocking; outlasts an absence of Redis of about a minute, because every call may be repeated."""

    def __init__(
        self, config: JobsConfig, tries: int = WORKER_TRIES, answer_seconds: float = WORKER_ANSWER_SECONDS
    ) -> None:
        """Connect lazily. A call takes up to 1 + `tries` times `answer_seconds`, and the waits between."""
        self._prefix = config.prefix
        self._client = redis.Redis.from_url(
            config.redis_url,
            protocol=2,
            socket_timeout=answer_seconds,
            socket_connect_timeout=1.0,
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), tries),
            retry_on_error=[RedisConnectionError, RedisTimeoutError],
        )

    def run(self, command: Command[T]) -> T:
        """Send it and read the reply. Raises StoreUnavailable, StoreFull and what the command's parse raises."""
        with _translated():
            try:
                reply = self._client.execute_command(*command.args(self._prefix))
            except NoScriptError:
                reply = self._client.execute_command(*command.args_with_source(self._prefix))
        return command.parse(reply)

    def close(self) -> None:
        """Drop the connections."""
        self._client.close()


class AsyncStore:
    """For asyncio; gives up within a second, because a caller waits."""

    def __init__(self, config: JobsConfig) -> None:
        """Connect lazily."""
        self._prefix = config.prefix
        pool = aioredis.BlockingConnectionPool.from_url(
            config.redis_url,
            max_connections=POOL_SIZE,
            timeout=ANSWER_SECONDS,
            protocol=2,
            socket_timeout=None,  # `run` bounds every call as a whole
            socket_connect_timeout=ANSWER_SECONDS,
            retry=AsyncRetry(NoBackoff(), 1),  # a connection that died with the old Redis
            health_check_interval=HEALTH_SECONDS,
        )
        self._client = aioredis.Redis.from_pool(pool)

    async def run(self, command: Command[T]) -> T:
        """Send it and read the reply. Raises StoreUnavailable, StoreFull and what the command's parse raises."""
        with _translated():
            async with asyncio.timeout(BULKY_SECONDS if command.bulky else ANSWER_SECONDS):
                reply = await self._execute(command)
        return command.parse(reply)

    async def _execute(self, command: Command[Any]) -> Any:
        try:
            return await self._client.execute_command(*command.args(self._prefix))
        except NoScriptError:
            return await self._client.execute_command(*command.args_with_source(self._prefix))

    def doorbell(self, channel: str) -> tuple[aioredis.client.PubSub, str]:
        """A subscription of its own connection, and the channel's full name."""
        return self._client.pubsub(ignore_subscribe_messages=True), f"{self._prefix}{channel}"

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.aclose()
        await self._client.connection_pool.disconnect()


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
