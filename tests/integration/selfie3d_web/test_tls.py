"""The page over TLS, and before a service that wants TLS and a certificate."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from selfie3d_jobs import ConfigError
from selfie3d_web import WebConfig, WebServer
from tests.faults.guarded import Authority
from tests.scripted_service import MESH, Running


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "ca")


@pytest.fixture
def service(authority: Authority) -> Iterator[Running]:
    """A service that shows a certificate and wants one."""
    certificate, key = authority.issue("service", "localhost")
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())],
        root_certificates=authority.ca_file.read_bytes(),
        require_client_auth=True,
    )
    with Running.with_mesh(credentials) as running:
        yield running


@pytest.fixture
def config(authority: Authority, service: Running) -> WebConfig:
    certificate, key = authority.issue("page", "localhost")
    own_certificate, own_key = authority.issue("door", "door.example.org", name="door")
    return WebConfig(
        listen="localhost:0",
        tls_certificate=certificate,
        tls_key=key,
        server=service.address,
        server_ca=authority.ca_file,
        server_certificate=own_certificate,
        server_key=own_key,
    )


def browser(authority: Authority, server: WebServer, **options: bool) -> httpx.AsyncClient:
    trusted = ssl.create_default_context(cafile=authority.ca_file)
    return httpx.AsyncClient(base_url=f"https://localhost:{server.port}", verify=trusted, timeout=20, **options)  # type: ignore[arg-type]


async def test_a_photo_becomes_a_mesh_with_tls_on_both_sides(config: WebConfig, authority: Authority) -> None:
    async with WebServer(config) as server, browser(authority, server) as client:
        assert (await client.get("/")).status_code == 200
        job = (await client.post("/v1/jobs", content=b"photo")).raise_for_status().json()["id"]
        assert "event: end" in (await client.get(f"/v1/jobs/{job}/events")).text
        assert (await client.get(f"/v1/jobs/{job}/faces/0/mesh")).content == MESH
        own = {"Origin": f"https://localhost:{server.port}", "Sec-Fetch-Site": "same-origin"}
        assert (await client.delete(f"/v1/jobs/{job}", headers=own)).status_code == 204
    assert config.scheme == "https"


async def test_plain_http_is_not_answered_and_the_certificate_is_the_authority_s(config: WebConfig) -> None:
    async with WebServer(config) as server, httpx.AsyncClient(timeout=20) as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://localhost:{server.port}/")
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await client.get(f"https://localhost:{server.port}/")


async def test_a_service_that_shows_another_certificate_gets_no_photo(
    config: WebConfig, authority: Authority, service: Running, tmp_path: Path
) -> None:
    other = Authority.make(tmp_path / "other")
    distrustful = WebConfig(**{**vars(config), "server_ca": other.ca_file})
    async with WebServer(distrustful) as server, browser(authority, server) as client:
        refused = await client.post("/v1/jobs", content=b"photo", headers={"Authorization": "Bearer s3d_secret"})
        assert refused.status_code == 503
        assert (await client.get("/readyz")).status_code == 503
    assert service.script.calls == []


async def test_the_service_lets_no_door_in_without_its_certificate(
    config: WebConfig, authority: Authority, service: Running
) -> None:
    nameless = WebConfig(**{**vars(config), "server_certificate": None, "server_key": None})
    async with WebServer(nameless) as server, browser(authority, server) as client:
        assert (await client.post("/v1/jobs", content=b"photo")).status_code == 503
    assert service.script.calls == []


async def test_files_that_cannot_be_read_are_told_at_the_start(config: WebConfig) -> None:
    for name in ("tls_certificate", "server_ca", "server_key"):
        with pytest.raises(ConfigError):
            await WebServer(WebConfig(**{**vars(config), name: Path("/nowhere/key.pem")})).__aenter__()
