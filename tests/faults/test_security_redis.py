"""Redis behind a password, an ACL and TLS; nothing is unpickled; secrets stay where they are."""

from __future__ import annotations

import ast
import base64
import json
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from selfie3d import Client
from selfie3d_jobs import ConfigError, JobsConfig
from selfie3d_jobs.broker import TASK
from tests.faults.guarded import Authority, LockedRedis, TlsProxy, command_lines, ended_with, redis_rules
from tests.stack import BOUND, Process, eventually, free_port
from tests.tiny import expected_mesh, make_photo

ROOT = Path(__file__).parents[2]
PASSWORD = "pw-8f3a1c"


@dataclass(frozen=True)
class Vault:
    """A service and a worker whose Redis wants a user, a password and TLS."""

    address: str
    processes: list[Process]
    folder: Path
    authority: Authority
    tls_port: int
    watcher: redis.Redis  # may do anything

    def url(self, password: str = PASSWORD, host: str = "localhost", ca: Path | None = None) -> str:
        return f"rediss://selfie3d:{password}@{host}:{self.tls_port}/0?ssl_ca_certs={ca or self.authority.ca_file}"

    def said(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))

    def reconstruct(self, seed: int) -> None:
        photo = make_photo(seed)
        with Client(self.address, timeout=BOUND) as client:
            assert client.submit(photo).result().faces[0].mesh.data == expected_mesh(photo)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("vault")
    authority = Authority.make(folder / "certificates")
    certificate = authority.issue("redis", "localhost")
    address = f"127.0.0.1:{free_port()}"
    with LockedRedis(folder, PASSWORD, redis_rules()) as server, TlsProxy(server.port, certificate) as proxy:
        url = f"redis://watcher:{PASSWORD}@127.0.0.1:{server.port}/0"
        with redis.Redis.from_url(url) as watcher:
            processes: list[Process] = []
            vault = Vault(address, processes, folder, authority, proxy.port, watcher)
            env = {"SELFIE3D_REDIS_URL": vault.url(), "SELFIE3D_LISTEN": address, "SELFIE3D_MODEL": str(folder)}
            processes += [
                Process(["serve"], folder / "service.log", **env).start(),
                Process([], folder / "worker.log", module="tests.tiny", **env).start(),
            ]
            try:
                yield vault
            finally:
                for process in processes:
                    process.stop()
    assert PASSWORD not in vault.said()


def test_with_password_acl_and_tls_jobs_go_all_the_way(vault: Vault) -> None:
    vault.reconstruct(1)
    assert not [line for line in vault.said().splitlines() if "NOPERM" in line or "NOAUTH" in line]


def test_the_user_of_redis_may_touch_nothing_else(vault: Vault) -> None:
    port = vault.watcher.connection_pool.connection_kwargs["port"]
    vault.watcher.set("another:key", "1")
    with redis.Redis(port=port, username="selfie3d", password=PASSWORD) as ours:
        for words in (("GET", "another:key"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("SHUTDOWN",)):
            with pytest.raises(redis.exceptions.NoPermissionError):
                ours.execute_command(*words)
    with redis.Redis(port=port) as anyone, pytest.raises(redis.exceptions.AuthenticationError):
        anyone.ping()


@pytest.mark.parametrize("kind", ["wrong password", "wrong host", "wrong authority"])
def test_a_redis_that_is_not_ours_or_does_not_know_us_is_not_used(vault: Vault, tmp_path: Path, kind: str) -> None:
    stranger = Authority.make(tmp_path / "stranger")
    wrong = {
        "wrong password": vault.url(password="pw-wrong-77"),
        "wrong host": vault.url(host="127.0.0.1"),  # not the name in the certificate
        "wrong authority": vault.url(ca=stranger.ca_file),
    }
    env = {"SELFIE3D_REDIS_URL": wrong[kind]}
    checked = Process(["health", "--worker"], tmp_path / "health.log", **env).start()
    assert checked.wait(BOUND) == 1
    said = checked.log.read_text()
    assert "Redis does not answer" in said
    assert "pw-" not in said


def test_secrets_are_in_no_process_list_and_no_log(vault: Vault) -> None:
    vault.reconstruct(2)
    lines = list(command_lines())
    assert any("selfie3d_cli serve" in line for line in lines)  # our processes are among them
    assert any("tests.tiny" in line for line in lines)
    assert not [line for line in lines if PASSWORD in line]
    assert PASSWORD not in vault.said()


@pytest.mark.parametrize("password", ["pw/secret", "pw#secret", "pw?secret", "[pw"])
def test_a_password_that_breaks_its_url_is_not_shown(password: str) -> None:
    with pytest.raises(ConfigError) as raised:
        JobsConfig(redis_url=f"redis://:{password}@localhost:6379/0")
    assert "pw" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert "percent-encode" in str(raised.value)


def test_a_broken_url_ends_the_service_without_its_password(tmp_path: Path) -> None:
    env = {"SELFIE3D_REDIS_URL": "redis://:pw/secret@localhost:6379/0", "LOG": str(tmp_path / "log")}
    code, said = ended_with(["serve"], env)
    assert code == 2
    assert "SELFIE3D_REDIS_URL" in said
    assert "pw" not in said.replace(str(tmp_path), "")
    assert "Traceback" not in said


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


def message(body: bytes, content_type: str, **headers: Any) -> str:
    """As kombu writes it into a queue's list."""
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "binary" if "python" in content_type else "utf-8",
            "content-type": content_type,
            "headers": {"task": TASK, "id": "0" * 32, "lang": "py", **headers},
            "properties": {
                "body_encoding": "base64",
                "correlation_id": "0" * 32,
                "delivery_info": {"exchange": "", "routing_key": "interactive"},
                "delivery_mode": 2,
                "delivery_tag": "1",
                "priority": 0,
            },
        }
    )


def test_hostile_messages_in_the_queue_run_nothing_and_the_worker_goes_on(vault: Vault, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    pickled = pickle.dumps(([Hostile(ran)], {}, {}))
    nothing: dict[str, Any] = {}
    hostile = [
        message(pickled, "application/x-python-serialize"),
        message(pickled, "application/json"),
        message(json.dumps([[{"a": 1}], {}, nothing]).encode(), "application/json"),
        message(json.dumps([["x" * 32], {"more": 1}, nothing]).encode(), "application/json"),
        message(json.dumps([["0" * 32], {}, nothing]).encode(), "application/json", task="os.system"),
        message(b"[]", "application/json"),
    ]
    for text in hostile:
        vault.watcher.lpush("selfie3d:interactive", text)
    eventually(lambda: vault.watcher.llen("selfie3d:interactive") == 0, "the queue is empty")
    vault.reconstruct(3)
    assert not ran.exists()
    assert all(process.running for process in vault.processes)


UNSAFE = {"pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}


def shipped_modules() -> list[Path]:
    return [path for home in ("client", "service", "worker", "cli") for path in (ROOT / home).rglob("*.py")]


def test_no_shipped_module_can_unpickle() -> None:
    """numpy.load refuses pickles by default (since 1.16.3); torch.load needs weights_only."""
    assert len(shipped_modules()) > 100
    for path in shipped_modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
                assert not {name.partition(".")[0] for name in names} & UNSAFE, path
            if isinstance(node, ast.Call):
                assert is_safe(node), f"{path}:{node.lineno}"


def is_safe(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in ("eval", "exec", "compile", "__import__", "os.system") or arguments.get("shell") == "True":
        return False
    if name == "torch.load":
        return arguments.get("weights_only") == "True"
    return arguments.get("allow_pickle", "False") == "False"
