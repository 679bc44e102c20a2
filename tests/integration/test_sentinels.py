"""What is said of sentinels, and what the job store makes of a primary that they replace."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from selfie3d_cli.doctor_checks import check_redis
from selfie3d_cli.finding import Finding, Severity
from selfie3d_jobs import AsyncStore, JobsConfig, Record, RedisTrouble, Store, StoreUnavailable, admission, maintenance
from selfie3d_jobs import connect as connecting
from selfie3d_jobs.connect import connect
from selfie3d_jobs.keys import DOORBELL
from tests.integration.road import WIDE, get, new_job
from tests.sentinels import MASTER, Sentinels
from tests.stack import eventually, eventually_async


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    with Sentinels(tmp_path / "redis") as running:
        yield running


def found(url: str, folder: Path) -> dict[str, Finding]:
    return {finding.text: finding for finding in check_redis(url, folder)}


def test_the_doctor_says_what_sentinels_lack(sentinels: Sentinels, tmp_path: Path) -> None:
    well = found(sentinels.url, tmp_path)
    assert well[f"3 of 3 that answer know {MASTER}"].level is Severity.OK
    assert [each.text for each in well.values() if each.level is Severity.WARNING] == ["min-replicas-to-write is 0"]
    [place] = [text for text in well if text.startswith("redis+sentinel://")]
    assert f"/{MASTER}/0: Valkey" in place or f"/{MASTER}/0: Redis" in place

    [replica] = [node for node in sentinels.servers if node is not sentinels.primary]
    sentinels.primary.db.config_set("min-replicas-to-write", 1)
    assert [each.text for each in found(sentinels.url, tmp_path).values() if each.level is not Severity.OK] == []

    stranger = found(sentinels.url.replace(f"/{MASTER}", "/nobody"), tmp_path)
    assert [(each.text, each.level) for each in stranger.values()] == [("no sentinel knows nobody", Severity.FAILURE)]
    for node in sentinels.sentinels[1:]:
        node.kill()
    eventually(
        lambda: "too few sentinels see each other to replace the primary" in found(sentinels.url, tmp_path),
        "the doctor names the missing majority",
    )
    assert sum(text.startswith("sentinel 127.0.0.1:") for text in found(sentinels.url, tmp_path)) == 2
    assert replica.answers()


def test_the_doctor_shows_no_password(sentinels: Sentinels, tmp_path: Path) -> None:
    url = sentinels.url.replace("//", "//me:pw-8f3a1c@") + "?sentinel_password=pw-2222"
    assert "pw-" not in str(list(check_redis(url, tmp_path)))


def test_both_stores_find_the_primary_that_a_replica_has_become(sentinels: Sentinels) -> None:
    config = JobsConfig(redis_url=sentinels.url)
    with closing(Store(config)) as store:
        store.run(maintenance.report(maintenance.WorkerReport("host:1:2", verified=True)))
        old = sentinels.primary
        old.kill()  # the connection is open, and breaks below the next command
        assert store.run(maintenance.snapshot()).ready  # waits for the failover; the scripts are not there yet
        assert sentinels.primary is not old


def test_a_connection_that_breaks_is_made_to_the_primary_of_now(sentinels: Sentinels) -> None:
    """Both servers live; the old one would still answer."""
    old = sentinels.primary
    with connect(sentinels.url) as client:
        client.ping()
        sentinels.hand_over(old)
        eventually(lambda: sentinels.primary is not old, "another server is the primary")
        old.db.client_kill_filter(_type="normal", skipme=True)
        assert client.info("server")["tcp_port"] == sentinels.primary.port


async def accepted(store: AsyncStore) -> Record:
    """The record of a new job, asked for as a caller does: again, while a sentinel is silent or too busy to answer."""

    async def created() -> Record | None:
        with suppress(StoreUnavailable):
            return (await store.run(admission.create(new_job(), [b"photo"], WIDE)))[0]
        return None

    return await eventually_async(created, "no sentinel objects any more")


async def test_a_store_for_asyncio_says_that_there_is_no_primary_and_finds_the_next_one(sentinels: Sentinels) -> None:
    store = AsyncStore(JobsConfig(redis_url=sentinels.url))
    try:
        record, _ = await store.run(admission.create(new_job(), [b"photo"], WIDE))
        bell, channels = store.subscription(DOORBELL)
        await bell.subscribe(*channels)
        sentinels.primary.kill()
        troubles = set()
        while True:
            try:
                later, is_new = await store.run(admission.create(new_job(), [b"photo"], WIDE))
                break
            except StoreUnavailable as error:
                troubles.add(error.trouble)
        assert RedisTrouble.SENTINEL in troubles
        assert is_new
        with closing(Store(JobsConfig(redis_url=sentinels.url))) as blocking:
            assert get(blocking, record.id).id == record.id
        await bell.aclose()
        bell, channels = store.subscription(DOORBELL)  # as the broadcaster does when a subscription breaks
        await bell.subscribe(*channels)
        await accepted(store)
        assert await bell.get_message(timeout=10) is None  # of the subscription itself
        assert (await bell.get_message(timeout=10) or {})["type"] == "message"
        await bell.aclose()
        assert later.id != record.id
    finally:
        await store.close()


async def test_a_silent_sentinel_may_be_carrying_out_a_failover_but_not_for_long(sentinels: Sentinels) -> None:
    store = AsyncStore(JobsConfig(redis_url=sentinels.url))
    try:
        await store.run(admission.create(new_job(), [b"photo"], WIDE))
        sentinels.sentinels[2].send(signal.SIGSTOP)
        with pytest.raises(StoreUnavailable) as refused:
            await store.run(admission.create(new_job(), [b"photo"], WIDE))
        assert refused.value.trouble is RedisTrouble.REPLICAS
        record = await accepted(store)
        with closing(Store(JobsConfig(redis_url=sentinels.url))) as blocking:
            assert get(blocking, record.id).id == record.id
        sentinels.sentinels[1].kill()  # one that is not there objects to nothing
        await accepted(store)
    finally:
        sentinels.sentinels[2].send(signal.SIGCONT)
        await store.close()


async def test_a_sentinel_is_not_taken_for_gone_because_nobody_asked_it(
    sentinels: Sentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "SILENT_SECONDS", 0.1)
    store = AsyncStore(JobsConfig(redis_url=sentinels.url))
    try:
        await store.run(admission.create(new_job(), [b"photo"], WIDE))
        await asyncio.sleep(2 * connecting.SILENT_SECONDS)  # no job comes for longer than that
        sentinels.sentinels[2].send(signal.SIGSTOP)
        with pytest.raises(StoreUnavailable) as refused:
            await store.run(admission.create(new_job(), [b"photo"], WIDE))
        assert refused.value.trouble is RedisTrouble.REPLICAS
    finally:
        sentinels.sentinels[2].send(signal.SIGCONT)
        await store.close()


async def test_what_a_primary_of_before_says_is_not_believed_even_when_the_next_one_is_known(
    sentinels: Sentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While connections to it are being closed, one of them may still be picked."""
    store = AsyncStore(JobsConfig(redis_url=sentinels.url))
    pool: Any = store._client.connection_pool
    try:
        await store.run(admission.create(new_job(), [b"photo"], WIDE))
        old = sentinels.primary
        sentinels.hand_over(old)
        eventually(lambda: sentinels.primary is not old, "another server is the primary")
        eventually(lambda: old.db.role()[0] == "slave", "it has become a replica")
        old.db.slaveof()  # as before it hears of the failover
        with monkeypatch.context() as patched:
            patched.setattr(pool, "disconnect", _nothing)
            patched.setattr(pool, "master_address", ("127.0.0.1", sentinels.primary.port))
            with pytest.raises(StoreUnavailable):
                await store.confirm()
    finally:
        await store.close()


async def _nothing(**_: object) -> None:
    """Closes no connection yet."""


def test_a_name_that_no_sentinel_knows_is_named(sentinels: Sentinels) -> None:
    url = sentinels.url.replace(f"/{MASTER}", "/nobody")
    with closing(Store(JobsConfig(redis_url=url), tries=0)) as store, pytest.raises(StoreUnavailable) as raised:
        store.run(maintenance.snapshot())
    assert raised.value.trouble is RedisTrouble.SENTINEL


def test_a_primary_that_may_not_write_alone_is_named(sentinels: Sentinels) -> None:
    [replica] = [node for node in sentinels.servers if node is not sentinels.primary]
    sentinels.primary.db.config_set("min-replicas-to-write", 1)
    replica.kill()
    with closing(Store(JobsConfig(redis_url=sentinels.url), tries=0)) as store:

        def is_refused() -> bool:
            try:
                store.run(maintenance.report(maintenance.WorkerReport("host:1:2", verified=True)))
            except StoreUnavailable as error:
                return error.trouble is RedisTrouble.REPLICAS
            return False

        eventually(is_refused, "the primary refuses what no replica gets")


def test_the_database_of_the_address_is_used(sentinels: Sentinels) -> None:
    with (
        connect(f"{sentinels.url}/3") as client,
        connect(f"{sentinels.url}?db=3") as same,
        connect(sentinels.url) as zero,
    ):
        client.set("key", "value")
        assert same.get("key") == b"value"
        assert zero.get("key") is None
