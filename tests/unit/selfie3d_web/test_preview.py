"""Pictures of heads over HTTP."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from tests.scripted_service import FULL, PICTURE, Running

ETAG = f'"{hashlib.sha256(PICTURE).hexdigest()}"'


@pytest.fixture
async def path(web: httpx.AsyncClient) -> str:
    job = (await web.post("/v1/jobs", content=b"photo")).json()["id"]
    await web.get(f"/v1/jobs/{job}/events")
    return f"/v1/jobs/{job}/faces/0/preview.webp"


async def test_the_picture_comes_whole_with_its_type_and_sha256(web: httpx.AsyncClient, path: str) -> None:
    answer = await web.get(path)
    assert (answer.status_code, answer.content) == (200, PICTURE)
    assert (answer.headers["etag"], answer.headers["content-type"]) == (ETAG, "image/webp")
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_head_says_the_same_without_the_picture(web: httpx.AsyncClient, path: str) -> None:
    whole, head = await web.get(path), await web.head(path)
    assert head.content == b""
    assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}


@pytest.mark.parametrize("tag", [ETAG, f"W/{ETAG}", f'"other", {ETAG}', "*"])
async def test_a_picture_that_the_reader_has_is_not_sent_again(web: httpx.AsyncClient, path: str, tag: str) -> None:
    answer = await web.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", ETAG)


async def test_the_token_travels_on_and_a_refusal_comes_back(
    web: httpx.AsyncClient, service: Running, path: str
) -> None:
    service.script.errors["GetPreview"] = [FULL]
    refused = await web.get(path, headers={"Authorization": "Bearer s3d_x"})
    assert (refused.status_code, refused.json()["reason"]) == (429, "QUEUE_FULL")
    assert service.script.metadata[-1]["authorization"] == "Bearer s3d_x"


async def test_no_such_job_face_or_number_is_a_404(web: httpx.AsyncClient, path: str) -> None:
    for missing in ("/v1/jobs/nobody/faces/0/preview.webp", path.replace("/0/", "/99999999999/")):
        assert (await web.get(missing)).status_code == 404
