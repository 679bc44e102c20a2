"""A client for SELFIE3D_REDIS_URL, blocking or asyncio: of one Redis, or of the primary that sentinels name."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import redis
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.sentinel import Sentinel as BlockingSentinel

from selfie3d_jobs.primary_connection import (
    AsyncPrimaryConnection,
    AsyncPrimaryTlsConnection,
    PrimaryConnection,
    PrimaryTlsConnection,
)
from selfie3d_jobs.sentinel_url import SentinelUrl, is_sentinel_url

SENTINEL_SECONDS = 0.25  # a sentinel that has not answered by then is left out; half of what a caller waits at most
GLANCE_SECONDS = 0.05  # the same for one that has been silent for long, each time that a job is accepted
SILENT_SECONDS = 3.0  # until then one that does not answer may be the one that carries out a failover; others know then
FAILING_OVER = "failover_in_progress"  # flag of the one sentinel that carries it out
BLOCKING_SENTINEL_SECONDS = 0.5  # the same for workers, who ask one after the other

State = dict[str, Any]  # of a primary, as a sentinel knows it
SILENT: State = {"silent": True}


def connect(url: str, **options: Any) -> redis.Redis:
    """A blocking client; connects with its first command. options : as redis-py's connections take them."""
    if not is_sentinel_url(url):
        return redis.Redis.from_url(url, **options)
    target = SentinelUrl.of(url)
    asked = target.sentinel_options(BLOCKING_SENTINEL_SECONDS)
    sentinel = BlockingSentinel(target.sentinels, sentinel_kwargs=asked)
    kind = PrimaryTlsConnection if target.tls else PrimaryConnection
    whole = options | target.server_options  # the address has the last word, as with redis-py
    return sentinel.master_for(target.master, connection_class=kind, **whole)  # type: ignore[no-any-return]


def connect_async(url: str, **options: Any) -> aioredis.Redis:
    """A client for asyncio over a pool that waits for a free connection: `max_connections`, `timeout`."""
    if not is_sentinel_url(url):
        return aioredis.Redis.from_pool(aioredis.BlockingConnectionPool.from_url(url, **options))
    target = SentinelUrl.of(url)
    once_more = Retry(NoBackoff(), 1)  # at once: redis-py's own pauses last longer
    asked = target.sentinel_options(SENTINEL_SECONDS) | {"retry": once_more}
    sentinel = AllSentinels(target.sentinels, sentinel_kwargs=asked)
    kind = AsyncPrimaryTlsConnection if target.tls else AsyncPrimaryConnection
    whole = options | target.server_options
    return sentinel.master_for(  # type: ignore[no-any-return]
        target.master, connection_pool_class=BlockingSentinelPool, connection_class=kind, **whole
    )


async def disconnect(client: aioredis.Redis) -> None:
    """Drop the client's connections, those to the sentinels included."""
    await client.aclose()
    await client.connection_pool.disconnect()
    if isinstance(client.connection_pool, BlockingSentinelPool):
        await client.connection_pool.sentinel_manager.aclose()


class BlockingSentinelPool(SentinelConnectionPool, aioredis.BlockingConnectionPool):
    """Connections to the primary; who finds all of them in use waits."""

    async def release(self, connection: Any) -> None:
        """Take it back. One to a primary of before connects anew: redis-py drops only those that are idle then."""
        if (connection.host, connection.port) != self.master_address:
            await connection.disconnect(nowait=True)  # a server that hangs does not answer: its place would be lost
        await super().release(connection)

    async def find_primary(self) -> tuple[str, int]:
        """Ask the sentinels, and leave the primary of before. Raises MasterNotFoundError."""
        found: tuple[str, int] = await self.get_master_address()  # type: ignore[no-untyped-call]
        return found

    async def has_replaced(self, primary: tuple[str, int]) -> bool:
        """As `AllSentinels.has_replaced`."""
        sentinels: AllSentinels = self.sentinel_manager
        return await sentinels.has_replaced(self.service_name, primary)


class AllSentinels(Sentinel):
    """Asks all sentinels at once and believes the newest configuration.

    redis-py asks one after the other: one that was cut off together with the primary would take all the time that a
    caller waits, and one that comes back would still name the primary of before. While a failover is going on there is
    no primary: that of before may answer yet, but what it takes is lost.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self._silent_since: dict[int, float] = {}  # of each sentinel that did not answer the time it was first asked

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """The primary's host and port. Raises MasterNotFoundError."""
        known = await self._states(service_name, SENTINEL_SECONDS)
        if known and not any(map(_is_failing_over, known)):
            newest = max(known, key=_epoch)
            if self.check_master_state(newest, service_name):
                return _address(newest)
        raise MasterNotFoundError(
            f"{len(known)} of {len(self.sentinels)} sentinels know {service_name!r}, it is not up"
        )

    async def has_replaced(self, service_name: str, primary: tuple[str, int]) -> bool:
        """Whether another server is the primary now, or may be being made it.

        That is known by one sentinel alone at first, so one that does not answer in time counts as that one. A
        sentinel that is known to be away, or has been silent for long, objects to nothing.
        """
        numbers = range(len(self.sentinels))
        answers = await asyncio.gather(*(self._glance(number, service_name) for number in numbers))
        known = [state for state in answers if state and state is not SILENT]
        if any(state is SILENT for state in answers) or any(map(_is_failing_over, known)):
            return True
        return bool(known) and _address(max(known, key=_epoch)) != primary

    async def _glance(self, number: int, name: str) -> State | None:
        """What a sentinel knows; SILENT: it may be about to say something; None: it is away."""
        asked = time.monotonic()
        long_silent = asked - self._silent_since.get(number, asked) > SILENT_SECONDS
        try:
            state = await self._ask(self.sentinels[number], name, GLANCE_SECONDS if long_silent else SENTINEL_SECONDS)
        except (TimeoutError, redis.TimeoutError):
            self._silent_since.setdefault(number, asked)
            return None if long_silent else SILENT
        self._silent_since.pop(number, None)
        return state

    async def _states(self, name: str, seconds: float) -> list[State]:
        answers = await asyncio.gather(
            *(self._ask(sentinel, name, seconds) for sentinel in self.sentinels), return_exceptions=True
        )
        return [state for state in answers if isinstance(state, dict)]

    async def _ask(self, sentinel: aioredis.Redis, name: str, seconds: float) -> State | None:
        """None: it is away, or knows no such name. Raises TimeoutError of either kind."""
        try:
            async with asyncio.timeout(seconds):
                state: Any = await sentinel.sentinel_master(name)
                return dict(state)
        except (TimeoutError, redis.TimeoutError):
            raise
        except (RedisError, OSError):
            return None


def _is_failing_over(state: State) -> bool:
    return FAILING_OVER in state["flags"]


def _epoch(state: State) -> int:
    """Grows with each failover."""
    return int(state["config-epoch"])


def _address(state: State) -> tuple[str, int]:
    return state["ip"], state["port"]
