"""Mesh files over HTTP: whole, in parts, unchanged."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from tests.scripted_service import MESH, Running

ETAG = f'"{hashlib.sha256(MESH).hexdigest()}"'
SIZE = len(MESH)


@pytest.fixture
async def path(web: httpx.AsyncClient) -> str:
    job = (await web.post("/v1/jobs", content=b"photo")).json()["id"]
    await web.get(f"/v1/jobs/{job}/events")
    return f"/v1/jobs/{job}/faces/0/mesh"


async def test_the_file_comes_whole_with_its_name_type_and_sha256(web: httpx.AsyncClient, path: str) -> None:
    answer = await web.get(path)
    assert (answer.status_code, answer.content) == (200, MESH)
    assert answer.headers["etag"] == ETAG
    assert answer.headers["content-length"] == str(SIZE)
    assert answer.headers["content-type"] == "model/ply"
    assert answer.headers["content-disposition"].endswith('.ply"')


async def test_head_says_the_same_and_downloads_nothing(web: httpx.AsyncClient, service: Running, path: str) -> None:
    whole = await web.get(path)
    downloads = len(service.script.requests("DownloadMesh"))
    head = await web.head(path)
    assert head.content == b""
    assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}
    assert len(service.script.requests("DownloadMesh")) == downloads


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-2009", 10, 2010),
        ("bytes=5000-", 5000, SIZE),
        ("bytes=-17", SIZE - 17, SIZE),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
        (f"bytes=100-{SIZE * 2}", 100, SIZE),
    ],
)
async def test_a_range_is_exactly_those_bytes(
    web: httpx.AsyncClient, path: str, wanted: str, start: int, end: int
) -> None:
    answer = await web.get(path, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, MESH[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"


@pytest.mark.parametrize("wanted", ["bytes=0-1,4-5", "bytes=-", "bytes=9-3", "lines=1-2", "bytes=a-b"])
async def test_what_is_no_single_range_gets_the_whole_file(web: httpx.AsyncClient, path: str, wanted: str) -> None:
    answer = await web.get(path, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (200, MESH)


async def test_a_range_behind_the_end_is_refused_with_the_size(web: httpx.AsyncClient, path: str) -> None:
    answer = await web.get(path, headers={"Range": f"bytes={SIZE}-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{SIZE}")
    assert answer.json()["reason"] == "OFFSET_OUT_OF_RANGE"


@pytest.mark.parametrize("tag", [ETAG, f"W/{ETAG}", f'"other", {ETAG}', "*"])
async def test_what_the_reader_has_is_not_sent_again(web: httpx.AsyncClient, path: str, tag: str) -> None:
    answer = await web.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", ETAG)


async def test_a_part_of_another_file_is_replaced_by_the_whole_of_this_one(web: httpx.AsyncClient, path: str) -> None:
    headers = {"Range": "bytes=10-20"}
    assert (await web.get(path, headers=headers | {"If-Range": ETAG})).content == MESH[10:21]
    assert (await web.get(path, headers=headers | {"If-Range": '"other"'})).content == MESH


async def test_a_download_that_breaks_off_is_known_to_be_short(
    web: httpx.AsyncClient, service: Running, path: str
) -> None:
    service.script.cuts["DownloadMesh"] = [3]
    with pytest.raises(httpx.RemoteProtocolError):
        await web.get(path)
    assert (await web.get(path, headers={"Range": "bytes=3000-"})).content == MESH[3000:]


async def test_no_such_job_face_or_number_is_a_404(web: httpx.AsyncClient, path: str) -> None:
    for missing in ("/v1/jobs/nobody/faces/0/mesh", path.replace("/0/", "/99999999999/"), path.replace("/0/", "/x/")):
        assert (await web.get(missing)).status_code == 404
