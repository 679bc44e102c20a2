"""What the client asks of the outside world, apart from how it is done.

The core (`_core.py`) is written once, as generators that yield the effects below and are sent what came of them: the
answer, or a Failure. A `Driver` performs them over a blocking channel or an asyncio one; nothing else differs between
`Client` and `AsyncClient`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc

from selfie3d.v1.reconstruction_pb2_grpc import ReconstructionServiceStub

T = TypeVar("T")


@dataclass(frozen=True)
class Unary:
    """Make a call with one answer; answered with it. `request` makes the message or the stream of messages anew."""

    rpc: str
    request: Callable[[], Any]
    timeout: float | None


@dataclass(frozen=True)
class OpenStream:
    """Make a call with a stream of answers; answered with the stream, which has `cancel()`."""

    rpc: str
    request: Callable[[], Any]
    timeout: float | None


@dataclass(frozen=True)
class Read:
    """Wait for the next message of a stream; answered with it, or None at the end."""

    stream: Any


@dataclass(frozen=True)
class Sleep:
    """Wait that many seconds."""

    seconds: float


@dataclass(frozen=True)
class Emit:
    """Hand a value to whoever iterates."""

    value: Any


@dataclass(frozen=True)
class Failure:
    """What an effect is answered with when its call failed; a class of its own because grpc's streams are RpcErrors."""

    error: grpc.RpcError


Effect = Unary | OpenStream | Read | Sleep | Emit
Effects = Generator[Effect, Any, T]  # they end in a T


class Transport:
    """A channel and what is sent beside every message.

    channel : grpc.Channel or grpc.aio.Channel
    metadata : headers of every call, the token among them
    """

    def __init__(self, channel: Any, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = ReconstructionServiceStub(channel)  # type: ignore[no-untyped-call]
        self._metadata = metadata

    def start(self, step: Unary | OpenStream) -> Any:
        """The call's answer, or the awaitable or stream that stands for it."""
        return getattr(self._stub, step.rpc)(step.request(), timeout=step.timeout, metadata=self._headers())

    def _headers(self) -> tuple[tuple[str, str], ...]:
        """With the W3C trace context of the caller, when it uses OpenTelemetry."""
        propagate = sys.modules.get("opentelemetry.propagate")
        context: dict[str, str] = {}
        if propagate is not None:
            propagate.inject(context)
        return (*self._metadata, *context.items())


class Driver(Generic[T]):
    """One conversation on its way over a transport: iterate it, with or without `async`, for what it emits.

    result : what it ended in, once it is iterated to its end
    """

    result: T

    def __init__(self, steps: Effects[T], transport: Transport) -> None:
        self._steps = steps
        self._transport = transport

    def __iter__(self) -> Generator[Any, None, None]:
        answer = None
        with closing(self._steps):
            while (step := self._advance(answer)) is not None:
                if isinstance(step, Emit):
                    yield step.value
                answer = _perform(step, self._transport)

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        answer = None
        with closing(self._steps):
            while (step := self._advance(answer)) is not None:
                if isinstance(step, Emit):
                    yield step.value
                answer = await _perform_async(step, self._transport)

    def _advance(self, answer: Any) -> Effect | None:
        try:
            return self._steps.send(answer)
        except StopIteration as end:
            self.result = end.value
            return None


def drive(steps: Effects[T], transport: Transport, on_emit: Callable[[Any], None] | None = None) -> T:
    """Carry a conversation to its end, blocking; what it emits goes to `on_emit`."""
    run = Driver(steps, transport)
    with closing(iter(run)) as values:
        for value in values:
            if on_emit is not None:
                on_emit(value)
    return run.result


async def drive_async(steps: Effects[T], transport: Transport, on_emit: Callable[[Any], None] | None = None) -> T:
    """The same on the running event loop."""
    run = Driver(steps, transport)
    async with aclosing(aiter(run)) as values:
        async for value in values:
            if on_emit is not None:
                on_emit(value)
    return run.result


def _perform(step: Effect, transport: Transport) -> Any:
    try:
        match step:
            case Unary() | OpenStream():
                return transport.start(step)
            case Read(stream):
                return next(stream, None)
            case Sleep(seconds):
                time.sleep(seconds)
    except grpc.RpcError as error:
        return Failure(error)
    return None


async def _perform_async(step: Effect, transport: Transport) -> Any:
    try:
        match step:
            case Unary():
                return await transport.start(step)
            case OpenStream():
                return transport.start(step)
            case Read(stream):
                message = await stream.read()
                return None if message is grpc.aio.EOF else message
            case Sleep(seconds):
                await asyncio.sleep(seconds)
    except grpc.RpcError as error:
        return Failure(error)
    return None
