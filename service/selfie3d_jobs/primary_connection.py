"""Connections to whichever server the sentinels name, that ask again whenever they have to connect anew.

redis-py's own ask when they connect for the first time. One that breaks below a command is connected again by that
command's next try, and with redis-py at the address of before: all its tries go to a server that is gone.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import connection as asyncio_connection
from redis.asyncio import sentinel as asyncio_sentinel
from redis.connection import SSLConnection
from redis.sentinel import SentinelManagedConnection


class PrimaryConnection(SentinelManagedConnection):
    """For threads."""

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send it. Raises redis-py's errors."""
        if not self._sock:
            self.connect_to(self.connection_pool.get_master_address())  # type: ignore[no-untyped-call]
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]


class PrimaryTlsConnection(PrimaryConnection, SSLConnection):
    """The same over TLS."""


class AsyncPrimaryConnection(asyncio_sentinel.SentinelManagedConnection):
    """For asyncio."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send it. Raises redis-py's errors."""
        if not self.is_connected:
            await self.connect_to(await self.connection_pool.get_master_address())  # type: ignore[no-untyped-call]
        await super().send_packed_command(command, check_health)


class AsyncPrimaryTlsConnection(AsyncPrimaryConnection, asyncio_connection.SSLConnection):
    """The same over TLS."""
