"""What a caller is told lies on a replica, too, where sentinels may put a replica in the primary's place."""

from __future__ import annotations

import logging
from typing import Any, Self

import redis.asyncio as aioredis

from selfie3d_jobs.command import Arg
from selfie3d_jobs.connect import BlockingSentinelPool
from selfie3d_jobs.errors import StoreUnavailable
from selfie3d_jobs.trouble import RedisTrouble

log = logging.getLogger(__name__)

WAIT_MILLISECONDS = 400  # for one replica; a command as a whole has twice as long
ALONE_MILLISECONDS = 40  # the same while there is none: one that has come meanwhile answers sooner
LIVE_SECONDS = 10  # a replica that was silent for longer counts as gone, as with Redis's min-replicas-max-lag
FENCE = "fence"  # channel that nobody listens to


class Confirmation:
    """Sends commands and returns their replies once a replica has what they wrote."""

    def __init__(self, client: aioredis.Redis, pool: BlockingSentinelPool, prefix: str) -> None:
        self._client = client
        self._pool = pool
        self._fence = prefix + FENCE
        self._alone = False  # whether the primary had no replica the last time

    @classmethod
    def of(cls, client: aioredis.Redis, prefix: str) -> Self | None:
        """None: the client knows no sentinels, and whether there is a replica is nobody's promise."""
        pool = client.connection_pool
        return cls(client, pool, prefix) if isinstance(pool, BlockingSentinelPool) else None

    async def send(self, args: tuple[Arg, ...]) -> Any:
        """The reply. Raises StoreUnavailable when nobody can say yet that it lasts; the command was done.

        WAIT waits for what its own connection wrote. A command that finds its work done, as the second one with a
        request id, writes nothing; the message behind it is what a replica must have seen then, after all before it.
        """
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.connection = connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            asked = (connection.host, connection.port)  # what the pool calls the primary may be another one by now
            pipe.execute_command(*args)
            pipe.execute_command("PUBLISH", self._fence, "")
            pipe.execute_command("WAIT", 1, ALONE_MILLISECONDS if self._alone else WAIT_MILLISECONDS)
            reply, _, confirmed = await pipe.execute(raise_on_error=False)
        if isinstance(reply, Exception):
            raise reply
        is_confirmed = isinstance(confirmed, int) and confirmed > 0
        self._note(alone=not is_confirmed and await self._is_alone())
        if not (is_confirmed or self._alone) or await self._has_been_replaced(asked):
            raise StoreUnavailable(RedisTrouble.REPLICAS)
        return reply

    async def _is_alone(self) -> bool:
        """Whether this primary has no replica. After a failover there may be none left, and the service goes on.

        Redis itself can forbid that: min-replicas-to-write.
        """
        replicas = await self._client.info("replication")
        return not any(map(_is_live, replicas.values()))

    async def _has_been_replaced(self, primary: tuple[str, int]) -> bool:
        """Whether the sentinels have another one, or will have. One of before still has the replicas that do not know
        it yet, and their word counts for nothing."""
        return await self._pool.has_replaced(primary)

    def _note(self, alone: bool) -> None:
        if alone and not self._alone:
            text = "The primary of Redis has no replica: what it accepts now is lost if it is lost."
            log.warning(text, extra={"action": "redis", "why": "ALONE"})
        self._alone = alone


def _is_live(replica: Any) -> bool:
    """Whether a value of INFO replication is a replica that was heard of lately; one that still loads never was."""
    if not isinstance(replica, dict) or replica.get("state") != "online":
        return False
    return int(replica["lag"]) <= LIVE_SECONDS and int(replica["offset"]) > 0
