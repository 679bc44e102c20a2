"""What a conversation with the service consists of, apart from how it is carried.

The core (`conversation.py`) is written once, as generators that yield the steps below and are sent what came of them:
the answer, or the grpc.RpcError. `drive` and `iterate` carry the steps over a blocking channel, `drive_async` and
`iterate_async` over an asyncio one; nothing else differs between `Client` and `AsyncClient`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """Make a call with one answer; answered with it. `request` makes the message or the stream of messages anew."""

    rpc: str
    request: Callable[[], Any]
    timeout: float | None


@dataclass(frozen=True)
class Open:
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


Step = Call | Open | Read | Sleep | Emit
Steps = Generator[Step, Any, T]  # a conversation that ends in a T


class Carrier:
    """A stub and what is sent beside every message.

    stub : ReconstructionServiceStub over a grpc.Channel or a grpc.aio.Channel
    metadata : headers of every call, the token among them
    """

    def __init__(self, stub: Any, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = stub
        self._metadata = metadata

    def start(self, step: Call | Open) -> Any:
        """The call's answer, or the awaitable or stream that stands for it."""
        return getattr(self._stub, step.rpc)(step.request(), timeout=step.timeout, metadata=self._headers())

    def _headers(self) -> tuple[tuple[str, str], ...]:
        """With the W3C trace context of the caller, when it uses OpenTelemetry."""
        if "opentelemetry" not in sys.modules:
            return self._metadata
        from opentelemetry import propagate

        context: dict[str, str] = {}
        propagate.inject(context)
        return (*self._metadata, *context.items())


def drive(steps: Steps[T], carrier: Carrier, on_emit: Callable[[Any], None] | None = None) -> T:
    """Carry a conversation to its end, blocking; what it emits goes to `on_emit`."""
    answer = None
    with closing(steps):
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(step, Emit) and on_emit is not None:
                on_emit(step.value)
            answer = _carry(step, carrier)


def iterate(steps: Steps[Any], carrier: Carrier) -> Generator[Any, None, None]:
    """Carry a conversation, blocking, and hand out what it emits."""
    answer = None
    with closing(steps):
        while True:
            try:
                step = steps.send(answer)
            except StopIteration:
                return
            if isinstance(step, Emit):
                yield step.value
            answer = _carry(step, carrier)


async def drive_async(steps: Steps[T], carrier: Carrier, on_emit: Callable[[Any], None] | None = None) -> T:
    """Carry a conversation to its end on the running event loop; what it emits goes to `on_emit`."""
    answer = None
    with closing(steps):
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(step, Emit) and on_emit is not None:
                on_emit(step.value)
            answer = await _carry_async(step, carrier)


async def iterate_async(steps: Steps[Any], carrier: Carrier) -> AsyncGenerator[Any, None]:
    """Carry a conversation on the running event loop and hand out what it emits."""
    answer = None
    with closing(steps):
        while True:
            try:
                step = steps.send(answer)
            except StopIteration:
                return
            if isinstance(step, Emit):
                yield step.value
            answer = await _carry_async(step, carrier)


def _carry(step: Step, carrier: Carrier) -> Any:
    try:
        match step:
            case Call() | Open():
                return carrier.start(step)
            case Read(stream):
                return next(stream, None)
            case Sleep(seconds):
                time.sleep(seconds)
    except grpc.RpcError as error:
        return error
    return None


async def _carry_async(step: Step, carrier: Carrier) -> Any:
    try:
        match step:
            case Call():
                return await carrier.start(step)
            case Open():
                return carrier.start(step)
            case Read(stream):
                message = await stream.read()
                return None if message is grpc.aio.EOF else message
            case Sleep(seconds):
                await asyncio.sleep(seconds)
    except grpc.RpcError as error:
        return error
    return None
