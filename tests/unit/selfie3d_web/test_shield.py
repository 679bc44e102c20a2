"""What other sites, other names and slow senders get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from selfie3d_web import WebConfig, WebServer
from selfie3d_web.shield import TOKEN_KEPT
from tests.scripted_service import Running


@pytest.mark.parametrize("path", ["/", "/docs", "/j/0123", "/v1/jobs", "/nowhere", "/static/main.js", "/openapi.json"])
async def test_every_answer_tells_the_browser_to_trust_nothing_from_outside(web: httpx.AsyncClient, path: str) -> None:
    headers = (await web.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert "https:" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
)
async def test_a_page_of_another_site_can_neither_submit_nor_delete(
    web: httpx.AsyncClient, service: Running, headers: dict[str, str]
) -> None:
    answers = [await web.post("/v1/jobs", content=b"photo", headers=headers)]
    answers += [await web.delete("/v1/jobs/0123", headers=headers)]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert service.script.calls == []


async def test_our_own_page_may(web: httpx.AsyncClient) -> None:
    headers = {"Origin": str(web.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert (await web.post("/v1/jobs", content=b"photo", headers=headers)).status_code == 202


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "", "[::1", "localhost.evil.example"])
async def test_another_name_for_our_loopback_address_is_refused(web: httpx.AsyncClient, host: str) -> None:
    assert (await web.get("/", headers={"Host": host})).status_code == 421


@pytest.mark.parametrize("server", ["service:50051", "10.0.0.1:50051", "dns:///service:50051"])
async def test_a_token_is_not_passed_on_readable_to_another_machine(server: str) -> None:
    async with (
        WebServer(WebConfig(listen="127.0.0.1:0", server=server, drain_seconds=1)) as door,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}") as client,
    ):
        refused = await client.get("/v1/jobs", headers={"Authorization": "Bearer s3d_secret"})
        assert (refused.status_code, refused.json()["detail"]) == (403, TOKEN_KEPT)
        assert (await client.get("/healthz")).status_code == 200


async def test_to_this_machine_or_told_so_by_name_it_is(service: Running, web: httpx.AsyncClient) -> None:
    await web.get("/v1/jobs", headers={"Authorization": "Bearer s3d_secret"})
    assert [seen["authorization"] for seen in service.script.metadata] == ["Bearer s3d_secret"]
    assert not WebConfig(server="service:50051", insecure_token=True).keeps_tokens
    assert not WebConfig(server="service:50051", server_ca=Path("ca.pem")).keeps_tokens
    assert not WebConfig(server="unix:/run/selfie3d.sock").keeps_tokens


@pytest.fixture
async def impatient(service: Running) -> AsyncIterator[WebServer]:
    config = WebConfig(
        listen="127.0.0.1:0", server=service.address, header_seconds=0.3, upload_seconds=0.3, drain_seconds=1
    )
    async with WebServer(config) as server:
        yield server


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc"])
async def test_a_connection_without_whole_headers_is_ended(impatient: WebServer, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
    writer.write(sent)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_a_photo_that_stops_coming_is_refused(impatient: WebServer, service: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
    writer.write(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
    async with asyncio.timeout(10):
        answer = await reader.readuntil(b"}")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"UPLOAD_STALLED" in answer
    assert service.script.photos == {}
    writer.close()


async def test_open_event_streams_do_not_hold_up_the_end(service: Running) -> None:
    config = WebConfig(listen="127.0.0.1:0", server=service.address, drain_seconds=30)
    async with WebServer(config) as server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        job = (await client.post("/v1/jobs", content=b"photo")).json()["id"]
        service.script.hold.clear()
        async with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            async with asyncio.timeout(10):
                await server.__aexit__()
