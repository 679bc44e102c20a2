"""What the client asks of the outside world, apart from how it is done.

The core (`_core.py`) is written once, as generators that yield the effects below and are sent what came of them: the
answer, or a Failure. A `Driver` performs them over a blocking channel or an asyncio one; nothing else differs between
`Client` and `AsyncClient`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

import grpc
from google.protobuf.message import Message

from selfie3d.errors import Selfie3dError, from_rpc_error
from selfie3d.types import Event, JobStatus
from selfie3d.v1.reconstruction_pb2_grpc import ReconstructionServiceStub

T = TypeVar("T")
E = TypeVar("E", Event, JobStatus)
Request = Message | Iterator[Message]


class ResponseStream(Protocol):
    """An open stream of answers, blocking or asyncio."""

    def cancel(self) -> bool:
        """End it."""
        ...


@dataclass(frozen=True)
class Unary:
    """Make a call with one answer; answered with it. `request` makes the message or the stream of messages anew."""

    rpc: str
    request: Callable[[], Request]
    timeout: float | None


@dataclass(frozen=True)
class OpenStream:
    """Make a call with a stream of answers; answered with the stream, which has `cancel()`."""

    rpc: str
    request: Callable[[], Request]
    timeout: float | None


@dataclass(frozen=True)
class Read:
    """Wait for the next message of a stream; answered with it, or None at the end."""

    stream: ResponseStream


@dataclass(frozen=True)
class Sleep:
    """Wait that many seconds."""

    seconds: float


@dataclass(frozen=True)
class Emit:
    """Hand a value to whoever iterates."""

    value: Event | JobStatus


@dataclass(frozen=True)
class Failure:
    """What an effect is answered with when its call failed; a class of its own because grpc's streams are RpcErrors."""

    error: Selfie3dError
    cause: grpc.RpcError


Effect = Unary | OpenStream | Read | Sleep | Emit
Answer = Message | ResponseStream | Failure | None
Effects = Generator[Effect, Answer, T]  # they end in a T


class Transport:
    """A channel and what is sent beside every message.

    channel : grpc.Channel or grpc.aio.Channel
    metadata : headers of every call, the token among them
    address, encrypted : where the channel leads, and whether with TLS; for the words of errors
    """

    def __init__(
        self,
        channel: grpc.Channel | grpc.aio.Channel,
        metadata: tuple[tuple[str, str], ...],
        address: str,
        *,
        encrypted: bool,
    ) -> None:
        self._stub = ReconstructionServiceStub(channel)  # type: ignore[no-untyped-call]
        self._metadata = metadata
        self.address = address
        self.encrypted = encrypted

    def start(self, effect: Unary | OpenStream) -> object:
        """The call's answer, or the awaitable or stream that stands for it."""
        method = getattr(self._stub, effect.rpc)
        return method(effect.request(), timeout=effect.timeout, metadata=self._headers())

    def _headers(self) -> tuple[tuple[str, str], ...]:
        """With the W3C trace context of the caller, when it uses OpenTelemetry."""
        propagate = sys.modules.get("opentelemetry.propagate")
        context: dict[str, str] = {}
        if propagate is not None:
            propagate.inject(context)
        return (*self._metadata, *context.items())


class Driver(Generic[T, E]):
    """One conversation on its way over a transport: iterate it, with or without `async`, for what it emits.

    result : what it ended in, once it is iterated to its end
    """

    result: T

    def __init__(self, effects: Effects[T], transport: Transport) -> None:
        self._effects = effects
        self._transport = transport

    def __iter__(self) -> Generator[E, None, None]:
        answer: Answer = None
        with closing(self._effects):
            while (effect := self._advance(answer)) is not None:
                if isinstance(effect, Emit):
                    yield cast(E, effect.value)
                answer = _perform(effect, self._transport)

    async def __aiter__(self) -> AsyncGenerator[E, None]:
        answer: Answer = None
        with closing(self._effects):
            while (effect := self._advance(answer)) is not None:
                if isinstance(effect, Emit):
                    yield cast(E, effect.value)
                answer = await _perform_async(effect, self._transport)

    def _advance(self, answer: Answer) -> Effect | None:
        try:
            return self._effects.send(answer)
        except StopIteration as end:
            self.result = end.value
            return None


def drive(effects: Effects[T], transport: Transport, on_emit: Callable[[Event], None] | None = None) -> T:
    """Carry a conversation to its end, blocking; what it emits goes to `on_emit`."""
    run = Driver[T, Event](effects, transport)
    with closing(iter(run)) as values:
        for value in values:
            if on_emit is not None:
                on_emit(value)
    return run.result


async def drive_async(effects: Effects[T], transport: Transport, on_emit: Callable[[Event], None] | None = None) -> T:
    """The same on the running event loop."""
    run = Driver[T, Event](effects, transport)
    async with aclosing(aiter(run)) as values:
        async for value in values:
            if on_emit is not None:
                on_emit(value)
    return run.result


def _perform(effect: Effect, transport: Transport) -> Answer:
    try:
        match effect:
            case Unary() | OpenStream():
                return cast(Message | ResponseStream, transport.start(effect))
            case Read(stream):
                return next(cast(Iterator[Message], stream), None)
            case Sleep(seconds):
                time.sleep(seconds)
    except grpc.RpcError as error:
        return Failure(from_rpc_error(error, transport.address, encrypted=transport.encrypted), error)
    return None


async def _perform_async(effect: Effect, transport: Transport) -> Answer:
    try:
        match effect:
            case Unary():
                return await cast(Awaitable[Message], transport.start(effect))
            case OpenStream():
                return cast(ResponseStream, transport.start(effect))
            case Read(stream):
                message = await cast(grpc.aio.UnaryStreamCall, stream).read()
                return None if message is grpc.aio.EOF else cast(Message, message)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
    except grpc.RpcError as error:
        return Failure(from_rpc_error(error, transport.address, encrypted=transport.encrypted), error)
    return None
