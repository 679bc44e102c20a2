"""The web process in front of a scripted service, over real sockets."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from selfie3d_web import WebConfig, WebServer
from tests.scripted_service import Running

HERE = Path(__file__).parent
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no TLS here; reading the system's authorities takes 0.1 s a client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts servers is no part of `make unit`."""
    for item in items:
        if HERE in item.path.parents and {"web", "service"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def service() -> Iterator[Running]:
    with Running.with_mesh() as running:
        yield running


@pytest.fixture
async def web(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    config = WebConfig(listen="127.0.0.1:0", server=service.address, heartbeat_seconds=0.1, drain_seconds=1)
    async with (
        WebServer(config) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=20, verify=PLAIN) as client,
    ):
        yield client
