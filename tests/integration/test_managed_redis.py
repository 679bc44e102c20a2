"""A Redis as providers rent it out: TLS of its own, a user with few rights, and no commands that administer it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from selfie3d import Client
from selfie3d_cli.doctor_checks import check_redis
from selfie3d_cli.finding import Severity
from selfie3d_cli.local_stack import LocalStack, StackConfig
from tests.faults.guarded import Authority, redis_rules
from tests.integration.test_redis_versions import ROOT, TINY, redis_7
from tests.stack import eventually, free_port
from tests.tiny import expected_mesh, make_photo

PASSWORD = "pw-8f3a1c"
REFUSED = (  # what the large providers' pages list
    *(
        "ACL",
        "BGREWRITEAOF",
        "BGSAVE",
        "CLUSTER",
        "CONFIG",
        "DEBUG",
        "FAILOVER",
        "MIGRATE",
        "MODULE",
        "PSYNC",
        "REPLICAOF",
    ),
    *("SAVE", "SHUTDOWN", "SLAVEOF", "SYNC"),
)


@pytest.fixture
def rented(tmp_path: Path) -> Iterator[str]:
    """The address that the provider gives out."""
    authority, port = Authority.make(tmp_path / "authority"), free_port()
    certificate, key = authority.issue("redis", "localhost")
    config = tmp_path / "redis.conf"
    renamed = "".join(f'rename-command {command} ""\n' for command in REFUSED)
    config.write_text(
        f"port 0\ntls-port {port}\nbind 127.0.0.1 ::1\ndir {tmp_path}\nsave ''\nappendonly yes\n"
        f"maxmemory 512mb\nmaxmemory-policy noeviction\ntls-auth-clients no\n"
        f"tls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {authority.ca_file}\n"
        f"user default off\nuser selfie3d on >{PASSWORD} {redis_rules()}\n{renamed}"
    )
    url = f"rediss://selfie3d:{PASSWORD}@localhost:{port}/0?ssl_ca_certs={authority.ca_file}"
    with (
        (tmp_path / "redis.log").open("ab") as log,
        subprocess.Popen([redis_7(), config], stdout=log, stderr=log) as server,
    ):
        eventually(lambda: b"Ready to accept" in (tmp_path / "redis.log").read_bytes(), "Redis is ready")
        yield url
        server.terminate()


def test_a_job_goes_all_the_way_over_a_redis_that_may_not_be_administered(
    rented: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis.Redis.from_url(rented) as client, pytest.raises(redis.ResponseError):
        client.config_get("maxmemory")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
    lines: list[str] = []
    config = StackConfig(tmp_path, f"127.0.0.1:{free_port()}", 1, redis_url=rented, worker_command=TINY)
    with LocalStack(config, lines.append) as stack, Client(config.listen) as client_of_ours:
        assert stack.await_ready(), "\n".join(lines)
        photo = make_photo(1)
        assert client_of_ours.reconstruct(photo).mesh.data == expected_mesh(photo)
        job = client_of_ours.submit(make_photo(2))
        job.result()
        job.delete()
    said = "\n".join(lines)
    assert not [word for word in ("NOPERM", "unknown command", PASSWORD) if word in said]


def test_the_doctor_looks_at_it_without_those_commands(rented: str, tmp_path: Path) -> None:
    assert [finding.level for finding in check_redis(rented, tmp_path)] == [Severity.OK]
