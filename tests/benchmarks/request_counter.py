"""A proxy in front of an S3 server that counts requests as a provider bills them."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from selfie3d_jobs.blobs.async_bucket import PROBE
from tests.faults.proxy_thread import ProxyThread

PIECE = 64 * 1024  # bytes


class RequestCounter(ProxyThread):
    """Between a free port of ours and `port`, both on loopback.

    seen : requests by kind (see `kind_of`)
    received, sent : bytes of what the server was sent and of what it answered, heads included
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._target = port
        self.seen: Counter[str] = Counter()
        self.received = self.sent = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        answers = asyncio.create_task(self._pass_answers(from_server, writer))
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._pass_request(reader, to_server)
        finally:
            answers.cancel()
            to_server.close()
            writer.close()

    async def _pass_request(self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        """Raises IncompleteReadError at the end of the connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert "transfer-encoding" not in fields, "a body whose length is not told"
        self.seen[kind_of(*first.split(" ")[:2])] += 1
        request = head + await reader.readexactly(int(fields.get("content-length", 0)))
        self.received += len(request)
        to_server.write(request)
        await to_server.drain()

    async def _pass_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(PIECE):
            self.sent += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()


def kind_of(method: str, target: str) -> str:
    """What the request is: the method, LIST for a GET of names, DELETE for a POST that deletes, or the probe."""
    path, _, query = target.partition("?")
    if path.endswith(f"/{PROBE}"):
        return "probe"
    if method == "POST" and query.startswith("delete"):
        return "DELETE"
    return "LIST" if method == "GET" and "list-type=" in query else method
