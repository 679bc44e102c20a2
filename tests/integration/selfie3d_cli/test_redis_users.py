"""`selfie3d redis-users`: a real server takes the file, and each user may do what it should and no more."""

from __future__ import annotations

import signal
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from selfie3d_cli.main import main
from selfie3d_cli.redis_server import find_binary
from selfie3d_jobs import JobsConfig, Store, maintenance
from selfie3d_jobs.redis_user import RIGHTS
from tests.faults.guarded import redis_rules
from tests.stack import eventually, free_port


@dataclass(frozen=True)
class Users:
    folder: Path
    port: int

    def make(self) -> int:
        files = [f"--{name}={self.folder / name}" for name in ("acl", "url", "admin")]
        return main(["redis-users", *files, "--address", f"127.0.0.1:{self.port}"])

    def text(self, name: str) -> str:
        return (self.folder / name).read_text().strip()

    def client(self, user: str | None = None, password: str | None = None) -> redis.Redis:
        return redis.Redis(port=self.port, username=user, password=password, protocol=2)


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Users]:
    users = Users(tmp_path, free_port())
    assert users.make() == 0
    command = [
        str(find_binary()),
        "--port",
        str(users.port),
        "--bind",
        "127.0.0.1",
        "--protected-mode",
        "no",
        "--save",
        "",
    ]
    server = subprocess.Popen(
        [
            *command,
            "--appendonly",
            "yes",
            "--enable-debug-command",
            "local",
            "--aclfile",
            str(tmp_path / "acl"),
            "--dir",
            str(tmp_path),
        ]
    )
    try:
        eventually(lambda: answers(users), "Redis answers")
        yield users
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def answers(users: Users) -> bool:
    try:
        return bool(users.client("health", "none").ping())
    except redis.ConnectionError:
        return False


def test_who_has_no_password_may_do_nothing(users: Users) -> None:
    with users.client() as client, pytest.raises(AuthenticationError):
        client.ping()


def test_a_health_check_may_ping_and_nothing_else(users: Users) -> None:
    with users.client("health", "none") as client:
        assert client.ping()
        for command in ("INFO", "KEYS *", "CONFIG GET dir", "BGREWRITEAOF", "GET selfie3d:x", "ACL WHOAMI"):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command.split())


def test_selfie3d_runs_with_its_url_and_may_not_administer(users: Users) -> None:
    store = Store(JobsConfig(redis_url=users.text("url")), tries=0)
    assert store.run(maintenance.snapshot()).workers == []
    store.close()
    with redis.Redis.from_url(users.text("url"), protocol=2) as client:
        for command in ("CONFIG SET dir /tmp", "FLUSHALL", "SHUTDOWN", "GET other:x", "ACL LIST"):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command.split())


def test_what_was_written_is_there_when_redis_has_loaded_its_log(users: Users) -> None:
    """Redis loads it as the user `default`."""
    with redis.Redis.from_url(users.text("url"), protocol=2) as client:
        with client.pipeline(transaction=True) as pipeline:
            pipeline.set("selfie3d:a", 1).set("selfie3d:b", 2).execute()
        client.set("selfie3d:c", 3)
    with users.client("admin", users.text("admin")) as client:
        client.execute_command("DEBUG", "LOADAOF")
        assert client.mget("selfie3d:a", "selfie3d:b", "selfie3d:c") == [b"1", b"2", b"3"]


def test_the_administrator_may_rewrite_the_log(users: Users) -> None:
    with users.client("admin", users.text("admin")) as client:
        assert client.bgrewriteaof()


def test_the_passwords_are_private_and_random_and_the_acl_has_none_of_them(users: Users, tmp_path: Path) -> None:
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("acl", "url", "admin")}
    assert modes == {"acl": 0o644, "url": 0o600, "admin": 0o600}
    passwords = [users.text("admin"), users.text("url").split(":")[2].partition("@")[0]]
    assert len({*passwords}) == 2
    for password in passwords:
        assert len(password) == 64
        assert password not in users.text("acl")


def test_a_second_run_changes_nothing_and_a_missing_file_makes_all_three_anew(users: Users, tmp_path: Path) -> None:
    before = [users.text(name) for name in ("acl", "url", "admin")]
    assert users.make() == 0
    assert [users.text(name) for name in ("acl", "url", "admin")] == before
    (tmp_path / "url").unlink()
    assert users.make() == 0
    assert all(users.text(name) != text for name, text in zip(("acl", "url", "admin"), before, strict=True))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert Users(tmp_path / "file", 1).make() == 2
    assert f"selfie3d: {tmp_path / 'file' / 'acl'}: " in capsys.readouterr().err


def test_the_rights_are_those_of_the_manual() -> None:
    assert RIGHTS.format(prefix="selfie3d:") == redis_rules()
