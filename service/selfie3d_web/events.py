"""GET /v1/jobs/ID/events: a job's events as server-sent events whose ids are the events' numbers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason
from selfie3d_jobs.payload import to_json
from selfie3d_web.problem import Problem
from selfie3d_web.upstream import Upstream, metadata

RECONNECT_MS = 1000  # how long an EventSource waits before it comes again
ANSWER_SECONDS = 0.5  # so long an error of the call becomes the response's status, after it an event
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second: nginx, pass it on at once


async def event_stream(
    request: Request, upstream: Upstream, closing: asyncio.Event, heartbeat_seconds: float
) -> Response:
    """Events behind Last-Event-ID, `event: end` with the job as the last one. Raises Problem.

    204 when there is nothing behind Last-Event-ID: it tells an EventSource not to come again.
    """
    after = _after(request)
    watched = pb.WatchJobRequest(job_id=request.path_params["job_id"], after_event=after)
    messages = Messages(upstream.api.WatchJob(watched, metadata=metadata(request)), closing)
    try:
        first = await messages.next(ANSWER_SECONDS)
    except grpc.aio.AioRpcError as error:
        messages.cancel()
        raise Problem.of_call(error) from error
    if after and first is not None and not first.HasField("event"):
        messages.cancel()
        return Response(status_code=204, headers=HEADERS)
    return StreamingResponse(_lines(messages, first, heartbeat_seconds), headers=HEADERS, media_type=MEDIA_TYPE)


class Messages:
    """The messages of a stream, waited for without losing one when the wait ends early.

    closing : ends them when it is set
    """

    def __init__(self, call: Any, closing: asyncio.Event) -> None:
        self._call = call
        self._closing = asyncio.ensure_future(closing.wait())
        self._reading: asyncio.Task[Any] | None = None
        self.ended = False
        self.complete = False  # the call itself has ended, and well

    async def next(self, seconds: float) -> Any:
        """The next message; None after `seconds`, and at the end. Raises AioRpcError."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._call.read())
        waited = {self._reading, self._closing}
        done, _ = await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._reading not in done:
            self.ended = self._closing in done
            return None
        message, self._reading = self._reading.result(), None
        self.ended = self.complete = message is grpc.aio.EOF
        return None if self.ended else message

    def cancel(self) -> None:
        """Leave the stream."""
        self._closing.cancel()
        if self._reading is not None:
            self._reading.cancel()
        self._call.cancel()


async def _lines(messages: Messages, first: pb.WatchJobResponse | None, heartbeat_seconds: float) -> AsyncIterator[str]:
    try:
        yield f"retry: {RECONNECT_MS}\n\n"
        message = first
        while not messages.ended:
            yield _event(message) if message is not None else HEARTBEAT
            message = await messages.next(heartbeat_seconds)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:  # then the reader comes again by itself
            yield _block("problem", Problem.of_call(error).body())
    finally:
        messages.cancel()


def _event(message: pb.WatchJobResponse) -> str:
    event = message.event if message.HasField("event") else _last_event(message.job)
    shown = to_json(event)
    if not message.HasField("job"):
        return _block("progress", shown, event.number)
    return _block("end", shown | {"job": to_json(message.job)}, event.number)


def _last_event(job: pb.Job) -> pb.JobEvent:
    """What is known of the newest event of an ended job."""
    return pb.JobEvent(number=job.last_event, time=job.end_time, state=job.state, attempt=job.attempt, progress=1.0)


def _block(name: str, data: dict[str, Any], number: int | None = None) -> str:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _after(request: Request) -> int:
    """Last-Event-ID, or ?after= where no header can be set."""
    text = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < MAX_DIGITS):
        raise Problem.of_reason(Reason.REQUEST_MALFORMED, "Last-Event-ID must be an event's number.", field="after")
    return int(text)


HEARTBEAT = ": still here\n\n"
MEDIA_TYPE = "text/event-stream"
MAX_DIGITS = 19  # of a number that a uint64 surely holds
