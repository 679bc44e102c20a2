"""A proxy in front of an S3 server, in a thread, that passes requests on or fails them in a chosen way."""

from __future__ import annotations

import asyncio
from enum import StrEnum

from tests.faults.proxy_thread import ProxyThread

PIECE = 16 * 1024  # bytes
SLOW_SECONDS = 0.02  # a piece, when slow: 0.8 MB a second
BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
BUSY_ANSWER = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
    % (len(BUSY), BUSY)
)


class Mode(StrEnum):
    """What becomes of requests, also on connections that are open already."""

    PASS = "pass"
    SLOW = "slow"  # passed on, a piece at a time
    REFUSE = "refuse"  # connections are reset as soon as they are made
    CUT = "cut"  # after half of the first piece
    HANG = "hang"  # nothing is passed on, and nothing answered
    BUSY = "busy"  # 503, as a store that wants fewer requests


class BucketProxy(ProxyThread):
    """Between a free port of ours and `port`, both on loopback. `mode` may be set at any time."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._target = port
        self.mode = Mode.PASS

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.REFUSE:
            writer.transport.abort()
            return
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        answers = asyncio.create_task(self._pass_on(upstream_reader, writer))
        try:
            await self._take(reader, writer, upstream_writer)
        except OSError:
            pass
        finally:
            answers.cancel()
            writer.close()
            upstream_writer.close()

    async def _take(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(PIECE):
            if self.mode in (Mode.REFUSE, Mode.CUT):
                upstream.write(data[: len(data) // 2])
                await upstream.drain()
                writer.transport.abort()
                return
            if self.mode is Mode.BUSY:
                writer.write(BUSY_ANSWER)
                await writer.drain()
                return
            if self.mode is Mode.HANG:
                continue
            if self.mode is Mode.SLOW:
                await asyncio.sleep(SLOW_SECONDS)
            upstream.write(data)
            await upstream.drain()

    async def _pass_on(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await upstream.read(PIECE):
                if self.mode is Mode.SLOW:
                    await asyncio.sleep(SLOW_SECONDS)
                if self.mode is not Mode.HANG:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        writer.close()
