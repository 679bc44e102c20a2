"""Meshes at addresses of a bucket, over HTTP."""

from __future__ import annotations

import httpx
import pytest
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import ErrorInfo

from selfie3d_jobs import Reason
from tests.scripted_service import MESH, MESH_URL, UNAVAILABLE, Running, rich_error


@pytest.fixture
async def path(web: httpx.AsyncClient) -> str:
    job = (await web.post("/v1/jobs", content=b"photo")).json()["id"]
    await web.get(f"/v1/jobs/{job}/events")
    return f"/v1/jobs/{job}/faces/0/mesh"


async def test_who_allows_it_is_sent_to_the_bucket_and_the_address_is_kept_nowhere(
    web: httpx.AsyncClient, path: str
) -> None:
    answer = await web.get(f"{path}?redirect=true")
    assert (answer.status_code, answer.headers["location"]) == (307, f"{MESH_URL}/0")
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")


@pytest.mark.parametrize("query", ["", "?redirect=false", "?redirect="])
async def test_others_get_the_mesh_itself(web: httpx.AsyncClient, path: str, query: str) -> None:
    answer = await web.get(path + query)
    assert (answer.status_code, answer.content) == (200, MESH)


async def test_a_service_without_addresses_gives_the_mesh_itself(
    web: httpx.AsyncClient, service: Running, path: str
) -> None:
    service.script.errors["GetMeshUrl"] = [
        rich_error(code_pb2.FAILED_PRECONDITION, "None.", ErrorInfo(reason=Reason.MESH_URL_UNAVAILABLE.name)),
        rich_error(code_pb2.UNIMPLEMENTED, "Method not found!"),
    ]
    for _ in range(2):
        answer = await web.get(f"{path}?redirect=true")
        assert (answer.status_code, answer.content) == (200, MESH)


async def test_what_else_the_service_says_comes_back(web: httpx.AsyncClient, service: Running, path: str) -> None:
    service.script.errors["GetMeshUrl"] = [UNAVAILABLE]
    assert (await web.get(f"{path}?redirect=true")).status_code == 503
