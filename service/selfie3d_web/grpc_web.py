"""POST /selfie3d.v1.ReconstructionService/METHOD: gRPC-Web, binary and as text, passed on to the service as it comes.

The protocol is that of grpc/doc/PROTOCOL-WEB.md: one message in, any number of messages and then the trailers out. The
door reads no message; it takes the frames apart and puts them together.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason
from selfie3d_jobs.reasons import DOMAIN
from selfie3d_web.body import MAX_OVERHEAD, MAX_PHOTO_BYTES
from selfie3d_web.events import Messages
from selfie3d_web.grpc_frames import DETAILS, Trailers, data_frame, one_message, timeout_seconds
from selfie3d_web.problem import Problem
from selfie3d_web.upstream import CALL_SECONDS, Upstream, metadata

SERVICE = pb.DESCRIPTOR.services_by_name["ReconstructionService"]
PATH = f"/{SERVICE.full_name}/{{method}}"
METHODS = {method.name: method for method in SERVICE.methods}
BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text+proto"
MEDIA_TYPES = {BINARY: BINARY, "application/grpc-web": BINARY, TEXT: TEXT, "application/grpc-web-text": TEXT}
CREATING = ("CreateJob", "Reconstruct")  # their message holds a photo, which gRPC wants whole
MAX_SMALL_BYTES = 64 * 1024
PHOTOS_AT_ONCE = 8  # held here whole; more are told to come again
WAIT_SECONDS = 3600.0  # for the next message of a stream; its end and ours come in between
BASE64_CHUNK = re.compile(rb"[A-Za-z0-9+/]+={0,2}")  # padding ends one, and another may follow


class GrpcWeb:
    """The calls. `photos` counts those that are held here whole until the service has them."""

    def __init__(self) -> None:
        self.photos = 0

    async def answer(self, request: Request, upstream: Upstream, closing: asyncio.Event, seconds: float) -> Response:
        """Pass a call on. Raises Problem for what is no gRPC-Web; all else is told in the trailers.

        seconds : wait for the next piece of the request
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in MEDIA_TYPES:
            raise Problem(415, f"gRPC-Web is {BINARY} or {TEXT}.")
        wrap = base64.b64encode if MEDIA_TYPES[kind] == TEXT else bytes
        try:
            call = await self._start(request, upstream, seconds, is_text=MEDIA_TYPES[kind] == TEXT)
        except Unanswered as refusal:
            return Response(wrap(refusal.trailers.frame()), headers=HEADERS, media_type=MEDIA_TYPES[kind])
        frames = _frames(Messages(call, closing), wrap)
        return StreamingResponse(frames, headers=HEADERS, media_type=MEDIA_TYPES[kind])

    async def _start(self, request: Request, upstream: Upstream, seconds: float, *, is_text: bool) -> Any:
        """The call, on its way to the service. Raises Unanswered, Problem."""
        name = str(request.path_params["method"])
        if name not in METHODS or METHODS[name].client_streaming:
            raise Unanswered(Trailers(grpc.StatusCode.UNIMPLEMENTED.value[0], f"{name} is no method of gRPC-Web."))
        timeout = timeout_seconds(request.headers.get("grpc-timeout", ""))
        if not METHODS[name].server_streaming:
            timeout = min(timeout or CALL_SECONDS, CALL_SECONDS)
        send = partial(upstream.raw(f"/{SERVICE.full_name}/{name}"), metadata=metadata(request), timeout=timeout)
        if name not in CREATING:
            return send(await _message(request, seconds, MAX_SMALL_BYTES, is_text=is_text))
        with self._photo():
            call = send(await _message(request, seconds, MAX_PHOTO_BYTES + MAX_OVERHEAD, is_text=is_text))
            await call.initial_metadata()  # it comes when the service has the photo
            return call

    @contextmanager
    def _photo(self) -> Iterator[None]:
        if self.photos >= PHOTOS_AT_ONCE:
            raise refused(Reason.UPLOADS_BUSY)
        self.photos += 1
        try:
            yield
        finally:
            self.photos -= 1


class Unanswered(Exception):  # noqa: N818 - it is an answer
    """A call that the door itself answers."""

    def __init__(self, trailers: Trailers) -> None:
        super().__init__(trailers.message)
        self.trailers = trailers


def refused(reason: Reason, message: str | None = None) -> Unanswered:
    """With the status that the service would give."""
    status = status_pb2.Status(code=reason.code, message=message or reason.text)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason.name, domain=DOMAIN))
    return Unanswered(Trailers(status.code, status.message, ((DETAILS, status.SerializeToString()),)))


async def _frames(messages: Messages, wrap: Callable[[bytes], bytes]) -> AsyncIterator[bytes]:
    """The answer's messages as they come, then the trailers, each wrapped."""
    try:
        while True:
            message = await messages.next(WAIT_SECONDS)
            if message is not None:
                yield wrap(data_frame(message))
            elif messages.ended:
                break
        end = Trailers() if messages.complete else refused(Reason.SHUTTING_DOWN).trailers
        yield wrap(end.frame())
    except grpc.aio.AioRpcError as error:
        more = tuple(error.trailing_metadata() or ())
        yield wrap(Trailers(error.code().value[0], error.details() or "", more).frame())
    finally:
        messages.cancel()


async def _message(request: Request, seconds: float, most: int, *, is_text: bool) -> bytes:
    """The request's message. Raises Unanswered."""
    body = await _read(request, seconds, most * 4 // 3 + MAX_OVERHEAD if is_text else most)
    try:
        return one_message(_from_text(body) if is_text else body)
    except ValueError as error:
        raise refused(Reason.REQUEST_MALFORMED, str(error)) from error


async def _read(request: Request, seconds: float, most: int) -> bytes:
    """The body. Raises Unanswered."""
    body = bytearray()
    pieces = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(seconds):
                body += await anext(pieces)
        except StopAsyncIteration:
            return bytes(body)
        except TimeoutError as error:
            raise refused(Reason.UPLOAD_STALLED) from error
        if len(body) > most:
            raise refused(Reason.PHOTO_TOO_LARGE if most > MAX_PHOTO_BYTES else Reason.REQUEST_MALFORMED)


def _from_text(body: bytes) -> bytes:
    """Base64, of which several pieces may stand one behind the other. Raises ValueError."""
    try:
        return b"".join(base64.b64decode(piece, validate=True) for piece in BASE64_CHUNK.findall(body))
    except binascii.Error as error:
        raise ValueError("The request is no base64.") from error


HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
