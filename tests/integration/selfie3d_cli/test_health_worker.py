"""`selfie3d health --worker`: what the workers of this host have reported to Redis, and which of them are stuck."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from functools import partial
from pathlib import Path

import pytest

from selfie3d_cli.main import main
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import JobsConfig, Store, maintenance, pulse
from selfie3d_jobs.maintenance import WorkerReport
from selfie3d_jobs.pulse import ProcessKind, Pulse
from tests.stack import Process, eventually, free_port


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for signs of life that no other process of this machine has."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_worker_is_ready_when_its_model_is_verified(
    store: Store, jobs_config: JobsConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELFIE3D_REDIS_URL", jobs_config.redis_url)
    monkeypatch.setenv("SELFIE3D_REDIS_PREFIX", jobs_config.prefix)
    host = socket.gethostname()

    def codes() -> list[int]:
        return [main(["health", *question, "--worker"]) for question in (["ready"], [])]

    store.run(maintenance.report(WorkerReport("elsewhere:1:2", True, "default")))
    assert codes() == [1, 1]
    store.run(maintenance.report(WorkerReport(f"{host}:1:2", False, "default", error="No.")))
    capsys.readouterr()
    assert codes() == [1, 1]
    assert capsys.readouterr().out == f"1 worker processes of {host} report in, none is ready\n" * 2
    store.run(maintenance.report(WorkerReport(f"{host}:1:3", True, "default")))
    assert codes() == [0, 0]
    assert capsys.readouterr().out == f"2 worker processes of {host} report in\n" * 2


def test_without_redis_no_worker_is_ready_but_a_restart_would_not_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELFIE3D_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert main(["health", "ready", "--worker"]) == 1
    assert capsys.readouterr().out.startswith("Redis does not answer: ")
    assert main(["health", "live", "--worker"]) == 1
    with Pulse(ProcessKind.WORKER):
        assert main(["health", "live", "--worker"]) == 0
        assert main(["health", "live", "--worker", "--end-stuck"]) == 0


def test_only_processes_of_this_machine_are_ended(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "live", "--server", "elsewhere:1", "--end-stuck"]) == 2
    assert "leave --server out" in capsys.readouterr().err


def has_another(child: int) -> bool:
    return {beat.pid for beat in pulse.beats(ProcessKind.CHILD)} - {child} != set()


def has_changed(path: Path, before: str) -> bool:
    return path.read_text() != before


@pytest.fixture
def redis(tmp_path: Path) -> RedisServer:
    return RedisServer(tmp_path / "redis", port=free_port())


def test_what_is_stopped_of_a_worker_is_seen_and_ended_and_the_rest_goes_on(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pulse, "STUCK_SECONDS", 3.0)
    with redis:
        env = {"SELFIE3D_REDIS_URL": redis.url, "TMPDIR": str(tmp_path)}
        monkeypatch.setenv("SELFIE3D_REDIS_URL", redis.url)
        worker = Process(["worker"], tmp_path / "worker.log", module="tests.tiny", **env).start()
        try:
            eventually(lambda: main(["health", "ready", "--worker"]) == 0, "it is ready")
            assert main(["health", "live", "--worker", "--end-stuck"]) == 0
            (child,) = [beat.pid for beat in pulse.beats(ProcessKind.CHILD)]

            os.kill(child, signal.SIGSTOP)
            eventually(lambda: main(["health", "live", "--worker"]) == 1, "the stopped child is seen")
            assert main(["health", "ready", "--worker"]) == 1
            capsys.readouterr()
            assert main(["health", "ready", "--worker", "--end-stuck"]) == 1
            assert capsys.readouterr().out.startswith(f"ended: child process {child}, silent for ")
            eventually(partial(has_another, child), "another took its place")
            eventually(lambda: main(["health", "ready", "--worker"]) == 0, "it is ready")
            assert worker.running

            worker.send(signal.SIGSTOP)  # its child goes on reporting
            eventually(lambda: main(["health", "ready", "--worker"]) == 1, "the stopped parent is seen")
            assert main(["health", "live", "--worker", "--end-stuck"]) == 1
            assert worker.wait() == -signal.SIGKILL
        finally:
            worker.end()


def test_a_worker_that_waits_for_redis_is_alive(redis: RedisServer, tmp_path: Path) -> None:
    env = {"SELFIE3D_REDIS_URL": redis.url, "TMPDIR": str(tmp_path)}
    with redis:
        worker = Process(["worker"], tmp_path / "worker.log", module="tests.tiny", **env).start()
        try:
            eventually(lambda: len(pulse.beats(ProcessKind.WORKER, ProcessKind.CHILD)) == 2, "it is there")
        except AssertionError:
            worker.end()
            raise
    try:
        eventually(lambda: "cannot be used" in worker.log.read_text(), "it has lost Redis")
        for path in pulse.folder().iterdir():
            for _ in range(3):
                eventually(partial(has_changed, path, path.read_text()), f"{path.name} beats on")
    finally:
        worker.end()
