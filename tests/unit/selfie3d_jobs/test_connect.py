"""The pool of connections to a primary that sentinels name."""

from __future__ import annotations

import asyncio
from typing import Any

from selfie3d_jobs.connect import BlockingSentinelPool, connect_async, disconnect


class HungWriter:
    """Of a TLS connection whose server does not say that it has ended it, too."""

    def close(self) -> None:
        pass

    async def wait_closed(self) -> None:
        await asyncio.Event().wait()


async def test_a_connection_to_a_hung_primary_of_before_leaves_its_place_in_the_pool() -> None:
    url = "redis+sentinel://127.0.0.1/heads/0"
    client = connect_async(url, max_connections=1, timeout=0.05, socket_connect_timeout=0.05)
    pool: Any = client.connection_pool
    assert isinstance(pool, BlockingSentinelPool)
    pool.master_address = ("127.0.0.2", 6379)
    connection = pool.get_available_connection()
    connection.host, connection.port = "127.0.0.1", 6379
    connection._reader, connection._writer = object(), HungWriter()
    await pool.release(connection)
    assert pool.get_available_connection() is connection
    assert not connection.is_connected
    await pool.release(connection)
    await disconnect(client)
