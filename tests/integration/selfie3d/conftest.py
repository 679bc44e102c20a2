"""Both faces of the client, before a scripted service."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from selfie3d import AsyncClient, Client, Retry
from tests.scripted_service import Running, Script

FAST = Retry(first=0.001, largest=0.01)


@pytest.fixture
def running() -> Iterator[Running]:
    with Running.with_mesh() as server:
        yield server


@pytest.fixture
def script(running: Running) -> Script:
    return running.script


@pytest_asyncio.fixture(params=[Client, AsyncClient], ids=["sync", "asyncio"])
async def connect(request: pytest.FixtureRequest, running: Running) -> AsyncIterator[Callable[..., Any]]:
    """Makes clients of one face; they are closed at the end."""
    clients: list[Any] = []

    def make(**settings: Any) -> Any:
        address = settings.pop("address", running.address)
        clients.append(request.param(address, **{"retry": FAST, "timeout": 20.0} | settings))
        return clients[-1]

    yield make
    for client in clients:
        await ask(client.close())


@pytest.fixture
def client(connect: Callable[..., Any]) -> Any:
    return connect()


async def ask(answer: Any) -> Any:
    """The answer of either face."""
    return await answer if inspect.isawaitable(answer) else answer


async def collect(values: Any) -> list[Any]:
    """Everything that either face hands out."""
    return [value async for value in values] if hasattr(values, "__aiter__") else list(values)
