"""A TCP proxy in a thread that cuts one connection at a chosen moment."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from enum import StrEnum

from tests.faults.proxy_thread import ProxyThread


class Half(StrEnum):
    """Where to cut: half of the request passes; all of it passes, but not its reply."""

    REQUEST = "request"
    REPLY = "reply"


@dataclass
class Cut:
    """Cut the next connection on which `pattern` is sent. `done` when it was."""

    pattern: bytes
    half: Half
    done: threading.Event


class Proxy(ProxyThread):
    """Between a free port of ours and `port`, both on loopback."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._target = port
        self._cuts: list[Cut] = []
        self._open: set[asyncio.StreamWriter] = set()

    def cut(self, pattern: bytes, half: Half) -> Cut:
        """Set a trap."""
        cut = Cut(pattern, half, threading.Event())
        self._cuts.append(cut)
        return cut

    def drop(self) -> None:
        """Break all connections at once, as if the machine on the near side had vanished."""
        for writer in set(self._open):
            self._loop.call_soon_threadsafe(writer.transport.abort)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, upstream_writer}
        sprung: list[Cut] = []
        replies = asyncio.create_task(self._pass_replies(upstream_reader, writer, sprung))
        try:
            await self._pass_requests(reader, upstream_writer, sprung, replies)
        except ConnectionError:
            pass
        finally:
            replies.cancel()
            self._open -= {writer, upstream_writer}
            writer.close()
            upstream_writer.close()

    async def _pass_requests(
        self,
        reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
        sprung: list[Cut],
        replies: asyncio.Task[None],
    ) -> None:
        while data := await reader.read(1 << 20):
            cut = next((cut for cut in self._cuts if cut.pattern in data), None)
            if cut:
                self._cuts.remove(cut)
                sprung.append(cut)
            if cut and cut.half is Half.REQUEST:
                upstream.write(data[: len(data) // 2])
                await upstream.drain()
                cut.done.set()
                return
            upstream.write(data)
            await upstream.drain()
            if cut:
                await replies
                return

    async def _pass_replies(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, sprung: list[Cut]
    ) -> None:
        while data := await upstream.read(1 << 20):
            if sprung:
                sprung[0].done.set()
                return
            writer.write(data)
            await writer.drain()
        writer.close()
