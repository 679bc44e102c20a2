"""The requests to a bucket are counted as what they are, and pass unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfie3d_jobs.blob_place import place_of
from selfie3d_jobs.blobs import async_bucket
from selfie3d_jobs.blobs.async_bucket import AsyncBucket
from tests.benchmarks.request_counter import RequestCounter
from tests.buckets import CREDENTIALS, Nanio

MESH = bytes(range(256)) * 2000


async def test_each_kind_of_request_is_counted_once_and_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_bucket, "ANSWER_SECONDS", 30.0)  # on a busy machine a server answers late
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with Nanio(tmp_path) as nanio, RequestCounter(nanio.port) as counter:
        place = place_of(nanio.setting("counted", counter.port))
        assert place
        bucket = AsyncBucket(place)
        await bucket.put("mesh", [MESH])
        assert await bucket.read("mesh", 1000, 5000) == MESH[1000:6000]
        assert [[name for name, _ in batch] async for batch in bucket.listed()] == [["mesh"]]
        await bucket.probe()
        assert await bucket.delete(["mesh"]) == ["mesh"]
        assert nanio.objects("counted") == set()
    assert counter.seen == {"PUT": 1, "GET": 1, "LIST": 1, "probe": 1, "DELETE": 1}
    assert len(MESH) < counter.received < len(MESH) + 10_000
    assert 5000 < counter.sent < 15_000
