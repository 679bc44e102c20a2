"""One HTTP/1.1 POST to an address that was checked. Of the answer only the status is read.

No redirects, no proxies, no cookies, no reuse of connections: what a general client does beside this would have to be
switched off.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress

from selfie3d_service.webhooks.receiver import Receiver

MOST_HEAD = 16 * 1024  # bytes of an answer's head
MOST_REST = 16 * 1024  # bytes read of its body, so that a usual receiver ends without an error
REST_SECONDS = 0.5
STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
MOST_INTERIM = 5  # answers 1xx before the real one


class BadAnswer(Exception):  # noqa: N818 - named after what came
    """What answers is no HTTP/1 server, or says too much."""


async def post(
    receiver: Receiver, address: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext | None
) -> int:
    """Send the body; the answer's status. Raises OSError, BadAnswer; the caller bounds the time.

    tls : None: in the clear; else the certificate must be the receiver's
    """
    name = receiver.host if tls else None
    reader, writer = await asyncio.open_connection(
        address, receiver.port, ssl=tls, server_hostname=name, limit=MOST_HEAD
    )
    try:
        writer.write(_head(receiver, headers, len(body)) + body)
        await writer.drain()
        status = await _status(reader)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(REST_SECONDS):
                await reader.read(MOST_REST)
        return status
    finally:
        writer.transport.abort()


def _head(receiver: Receiver, headers: Mapping[str, str], size: int) -> bytes:
    lines = [f"POST {receiver.target} HTTP/1.1", f"host: {receiver.authority}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"content-length: {size}", "", ""]).encode("ascii")


async def _status(reader: asyncio.StreamReader) -> int:
    for _ in range(MOST_INTERIM):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise BadAnswer("it ended the connection without an answer") from error
        except asyncio.LimitOverrunError as error:
            raise BadAnswer(f"its answer's head has more than {MOST_HEAD} bytes") from error
        found = STATUS.match(head)
        if found is None:
            raise BadAnswer("it does not answer in HTTP/1.1")
        if not found[1].startswith(b"1"):
            return int(found[1])
    raise BadAnswer("it gives no final answer")
