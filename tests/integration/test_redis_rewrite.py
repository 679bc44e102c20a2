"""What was deleted is gone from the disk, too: after a stop, soon after a deletion, and after a crash."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from selfie3d import Client
from selfie3d_cli.local_stack import LocalStack, StackConfig
from selfie3d_cli.redis_log import AppendLog
from selfie3d_cli.redis_rewrite import Rewriter
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import JobsConfig, Record, Store, queries
from tests.integration.road import finish, new_job, submit
from tests.stack import eventually, free_port
from tests.tiny import make_photo

PIECE = 48  # bytes; a part of a blob this long is not on the disk by chance
TINY = (sys.executable, "-m", "tests.tiny")


def traces(folder: Path, *blobs: bytes) -> list[str]:
    """Files below the folder that hold a piece of a blob, whole or cut at any place."""
    found = []
    for path in folder.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:  # a rewrite has just replaced it
            continue
        pieces = (blob[at : at + PIECE] for blob in blobs for at in range(0, len(blob) - PIECE + 1, PIECE))
        found += [str(path)] if any(piece in content for piece in pieces) else []
    return found


class Blobs:
    """A job with a photo and a mesh of random bytes, so that no compression hides them."""

    def __init__(self, store: Store, retention_seconds: float = 3600.0, timeout_seconds: float = 300.0) -> None:
        self.store, self.photo, self.mesh = store, secrets.token_bytes(20_000), secrets.token_bytes(30_000)
        job = replace(new_job(photo=self.photo), retention_seconds=retention_seconds, timeout_seconds=timeout_seconds)
        self.id = submit(store, job, self.photo).id

    def finish(self) -> Record:
        return finish(self.store, self.id, self.mesh)

    def delete(self) -> None:
        self.store.run(queries.delete(self.id, queries.ANYONE))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Rewrites at its stop only: no test waits for an hour."""
    with RedisServer(tmp_path / "redis", rewrite_seconds=3600) as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator[Store]:
    opened = Store(JobsConfig(redis_url=server.url))
    yield opened
    opened.close()


def test_photo_and_mesh_are_nowhere_in_the_folder_after_delete_and_a_clean_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)]))
    monkeypatch.setenv("SELFIE3D_MODEL", str(tmp_path))
    config = StackConfig(tmp_path / "data", f"127.0.0.1:{free_port()}", workers=1, worker_command=TINY)
    photo = make_photo(1)
    with LocalStack(config, lambda _: None) as stack:
        stack.await_ready()
        with Client(config.listen) as client:
            job = client.submit(photo)
            mesh = job.result().faces[0].file.data
            assert traces(config.data, photo)
            assert traces(config.data, mesh)
            job.delete()
    assert traces(config.data, photo, mesh) == []
    assert any(config.data.rglob("appendonly.aof.*"))


def test_a_photo_is_nowhere_in_the_folder_soon_after_its_job_ended_and_a_mesh_soon_after_its_deletion(
    tmp_path: Path,
) -> None:
    with RedisServer(tmp_path / "redis", rewrite_seconds=0.05) as server:
        job = Blobs(Store(JobsConfig(redis_url=server.url)))
        assert traces(server.data, job.photo)
        job.finish()
        eventually(lambda: not traces(server.data, job.photo), "the photo has left the disk")
        assert traces(server.data, job.mesh)
        job.delete()
        eventually(lambda: not traces(server.data, job.mesh), "the mesh has left the disk")


def test_a_mesh_is_nowhere_in_the_folder_soon_after_its_time_although_nobody_deletes_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", rewrite_seconds=0.05) as server:
        job = Blobs(Store(JobsConfig(redis_url=server.url)), timeout_seconds=1.0, retention_seconds=0.5)
        job.finish()
        eventually(lambda: not traces(server.data, job.photo, job.mesh), "both have left the disk")


def test_a_rewrite_that_began_before_the_deletion_is_not_enough(server: RedisServer, store: Store) -> None:
    job = Blobs(store)
    with redis.Redis.from_url(server.url) as client:
        client.mset({f"key{number}": "value" for number in range(3_000)})
        client.config_set("rdb-key-save-delay", 300)  # microseconds: it takes about a second
        job.finish()
        client.bgrewriteaof()
        job.delete()
        client.config_set("rdb-key-save-delay", 0)
    server.stop()
    assert traces(server.data, job.photo, job.mesh) == []


def test_what_was_deleted_before_a_crash_is_gone_after_the_next_stop(server: RedisServer, store: Store) -> None:
    job = Blobs(store)
    job.finish()
    job.delete()
    server.kill()
    assert traces(server.data, job.photo)
    server.start()
    server.stop()
    assert traces(server.data, job.photo, job.mesh) == []


def test_a_rewrite_cut_off_by_a_crash_leaves_nothing_behind(server: RedisServer, store: Store) -> None:
    job = Blobs(store)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("rdb-key-save-delay", 1_000_000)
        client.mset({f"key{number}": "value" for number in range(100)})
        client.bgrewriteaof()
        partial = eventually(lambda: list(server.data.rglob("temp-*")), "the rewrite has begun")
        assert client.info("persistence")["aof_rewrite_in_progress"]
    partial[0].write_bytes(job.photo)  # as far as it came
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    server.kill()
    for pid in children:
        os.kill(int(pid), signal.SIGKILL)
    assert str(partial[0]) in traces(server.data, job.photo)
    server.start()
    assert not list(server.data.rglob("temp-*"))


def test_what_is_kept_outlives_the_rewrite(server: RedisServer, store: Store) -> None:
    waiting, done, deleted = Blobs(store), Blobs(store), Blobs(store)
    done.finish()
    deleted.finish()
    deleted.delete()
    server.stop()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.get(f"selfie3d:photo:{waiting.id}") == waiting.photo
        assert client.get(f"selfie3d:mesh:{done.id}:0") == done.mesh
    assert traces(server.data, deleted.photo, deleted.mesh) == []


def test_nothing_is_rewritten_while_nothing_is_deleted(tmp_path: Path) -> None:
    """A log that only grows needs no rewrite, however often somebody looks."""
    with RedisServer(tmp_path / "redis", rewrite_seconds=0.01) as server:
        before = server.append_log.files()
        with redis.Redis.from_url(server.url) as client:
            Blobs(Store(JobsConfig(redis_url=server.url)))
            looks = client.info("commandstats")["cmdstat_info"]["calls"]
            eventually(lambda: client.info("commandstats")["cmdstat_info"]["calls"] > looks + 50, "it looked often")
    assert server.append_log.files() == before


def test_a_rewrite_that_fails_is_told_once_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = AppendLog(tmp_path)
    log.folder.mkdir()
    log.manifest.write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    (log.folder / "appendonly.aof.1.incr.aof").write_bytes(b"photo")
    asked: list[bytes] = []

    def ask(command: bytes) -> bytes:
        asked.append(command)
        failed = b"aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\naof_last_bgrewrite_status:err\r\n"
        return {b"BGREWRITEAOF\r\n": b"+started\r\n", b"INFO persistence\r\n": failed}.get(command, b"")

    rewriter = Rewriter(log, ask, stale=True)
    for _ in range(3):
        rewriter.rewrite_if_stale()
    assert asked.count(b"BGREWRITEAOF\r\n") == 3
    assert [record.message for record in caplog.records] == [
        "the append-only log cannot be rewritten: it still holds what was deleted (see redis.log)"
    ]


def test_ending_everything_at_once_does_not_wait_for_a_rewrite(server: RedisServer, store: Store) -> None:
    job = Blobs(store)
    job.finish()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("rdb-key-save-delay", 60_000_000)
        client.set("key", "value")
    server.stop(rewrite=False)
    assert "append only file rewriting started" not in server.log_path.read_text()
    assert traces(server.data, job.photo)
