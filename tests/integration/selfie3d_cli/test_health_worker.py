"""`selfie3d health --worker`: what the workers of this host have reported to Redis."""

from __future__ import annotations

import socket

import pytest

from selfie3d_cli.main import main
from selfie3d_jobs import JobsConfig, Store, maintenance
from selfie3d_jobs.maintenance import WorkerReport
from tests.stack import free_port


def test_a_worker_is_alive_when_it_reports_and_ready_when_its_model_is_verified(
    store: Store, jobs_config: JobsConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELFIE3D_REDIS_URL", jobs_config.redis_url)
    monkeypatch.setenv("SELFIE3D_REDIS_PREFIX", jobs_config.prefix)
    host = socket.gethostname()

    def codes() -> list[int]:
        return [main(["health", *question, "--worker"]) for question in (["live"], ["ready"], [])]

    store.run(maintenance.report(WorkerReport("elsewhere:1:2", True, "default")))
    assert codes() == [1, 1, 1]
    store.run(maintenance.report(WorkerReport(f"{host}:1:2", False, "default", error="No.")))
    capsys.readouterr()
    assert codes() == [0, 1, 1]
    assert capsys.readouterr().out == f"1 worker processes of {host} report in, none is ready\n" * 3
    store.run(maintenance.report(WorkerReport(f"{host}:1:3", True, "default")))
    assert codes() == [0, 0, 0]
    assert capsys.readouterr().out == f"2 worker processes of {host} report in\n" * 3


def test_without_redis_no_worker_is_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SELFIE3D_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert main(["health", "live", "--worker"]) == 1
    assert capsys.readouterr().out.startswith("Redis does not answer: ")
