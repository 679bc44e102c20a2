"""Why Redis cannot be used is said to the operator: by name, once per change, no secrets. Callers learn nothing."""

from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_cli.doctor_checks import check_redis
from selfie3d_cli.finding import Severity
from selfie3d_cli.redis_server import find_binary
from selfie3d_jobs import JobsConfig, RedisTrouble, Store, StoreUnavailable, maintenance
from selfie3d_jobs.maintenance import WorkerReport
from selfie3d_jobs.trouble import trouble_of
from selfie3d_service import Server, ServiceConfig
from selfie3d_worker.heartbeat import Heartbeat
from tests.faults.guarded import Authority, TlsProxy
from tests.stack import BOUND, Process, eventually, eventually_async, free_port
from tests.tiny import make_photo

PASSWORD, WRONG = "pw-8f3a1c", "pw-wrong-77"


class Plain:
    """A server that is started, killed and spoiled at will, on one port, with one password or none."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port, self.options = folder, free_port(), options
        self.db = redis.Redis(port=self.port, password=PASSWORD if PASSWORD in options else None)

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        command = [str(find_binary()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self.options]
        self._process = subprocess.Popen([*command, "--logfile", "redis.log"], cwd=self.folder)
        eventually(self._answers, "Redis answers")

    def _answers(self) -> bool:
        try:
            return bool(self.db.ping())
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def url(self, password: str = "") -> str:
        return f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Callable[..., Plain]]:
    started: list[Plain] = []

    def start(*options: str) -> Plain:
        started.append(Plain(tmp_path / "plain", *options))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.kill()
        server.db.close()


@asynccontextmanager
async def served(url: str) -> AsyncIterator[tuple[Any, Server]]:
    config = ServiceConfig(jobs=JobsConfig(redis_url=url), listen="127.0.0.1:0", drain_seconds=0.1)
    async with Server(config) as server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield rpc.ReconstructionServiceStub(channel), server  # type: ignore[no-untyped-call]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The names of the troubles in the order of the log; "" for their end."""
    lines = [record for record in caplog.records if getattr(record, "action", "") == "redis"]
    return [getattr(record, "why", "") for record in lines]


async def passes(server: Server, count: int) -> None:
    """Let the service look at Redis so often more."""
    for _ in range(count):
        await server._maintenance.check_health()


async def await_trouble(server: Server, trouble: RedisTrouble | None) -> None:
    async def look() -> bool:
        return server.metrics.trouble is trouble and (trouble is not None or server.metrics.snapshot is not None)

    await eventually_async(look, f"the service has found {trouble}, it says {server.metrics.trouble}")


async def refusal(api: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await api.CreateJob(pb.CreateJobRequest(photo=make_photo()))
    for word in ("127.0.0.1", "Redis", "redis", "password", "MISCONF", "READONLY", "replica", "disk", "maxmemory"):
        assert word not in str(raised.value.details()), "callers get no internals"
    return raised.value


def not_ready(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.message.startswith(("Not ready", "Ready"))]


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def test_every_change_of_the_reason_is_said_once(
    plain: Callable[..., Plain], caplog: pytest.LogCaptureFixture
) -> None:
    server = plain("--requirepass", PASSWORD)
    async with served(server.url(WRONG)) as (api, service):
        await await_trouble(service, RedisTrouble.PASSWORD)
        await passes(service, 5)
        assert (await refusal(api)).code() is grpc.StatusCode.UNAVAILABLE
        server.kill()
        await await_trouble(service, RedisTrouble.ABSENT)
        await passes(service, 5)
        server.start()
        await await_trouble(service, RedisTrouble.PASSWORD)
        server.db.config_set("requirepass", WRONG)
        await await_trouble(service, None)
        await passes(service, 5)
    assert said(caplog) == ["PASSWORD", "ABSENT", "PASSWORD", ""]
    assert not_ready(caplog) == [
        "Not ready: Redis refuses the user or the password.",
        "Not ready: nothing listens at the address of Redis.",
        "Not ready: Redis refuses the user or the password.",
        "Not ready: no live worker with verified weights.",
    ]
    assert not [text for text in (PASSWORD, WRONG) if text in caplog.text]


async def test_a_replica_that_takes_no_writes_looks_well_when_read_and_is_named_all_the_same(
    plain: Callable[..., Plain], caplog: pytest.LogCaptureFixture
) -> None:
    server = plain()
    async with served(server.url()) as (api, service):
        with closing(Store(JobsConfig(redis_url=server.url()))) as store:
            store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
        await await_trouble(service, None)
        server.db.replicaof("127.0.0.1", str(free_port()))
        await await_trouble(service, RedisTrouble.READ_ONLY)
        assert (await refusal(api)).code() is grpc.StatusCode.UNAVAILABLE
        assert not_ready(caplog)[-1] == "Not ready: Redis is a replica that takes no writes."
        server.db.replicaof("NO", "ONE")
        await await_trouble(service, None)
    assert said(caplog) == ["READ_ONLY", ""]


async def test_a_redis_that_cannot_write_to_its_disk_is_named(
    plain: Callable[..., Plain], caplog: pytest.LogCaptureFixture
) -> None:
    server = plain("--stop-writes-on-bgsave-error", "yes")
    async with served(server.url()) as (api, service):
        await await_trouble(service, None)
        shutil.rmtree(server.folder)  # the next snapshot fails
        server.db.config_set("save", "3600 1")
        server.db.set("key", "value")
        server.db.bgsave()
        await await_trouble(service, RedisTrouble.DISK)
        assert (await refusal(api)).code() is grpc.StatusCode.UNAVAILABLE
        assert not_ready(caplog)[-1] == "Not ready: Redis cannot write to its disk."
        server.db.config_set("stop-writes-on-bgsave-error", "no")
        await await_trouble(service, None)
    assert said(caplog) == ["DISK", ""]


async def test_a_full_redis_is_named_and_goes_on_serving_what_it_has(
    plain: Callable[..., Plain], caplog: pytest.LogCaptureFixture
) -> None:
    server = plain("--maxmemory-policy", "noeviction")
    async with served(server.url()) as (api, service):
        await await_trouble(service, None)
        server.db.config_set("maxmemory", 1_000_000)
        server.db.config_set("maxmemory", 100_000)

        async def noticed() -> bool:
            return said(caplog) == ["MEMORY"]

        await eventually_async(noticed, "the log names it")
        assert (await refusal(api)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert service.metrics.trouble is None
        server.db.config_set("maxmemory", 0)

        async def over() -> bool:
            return said(caplog) == ["MEMORY", ""]

        await eventually_async(over, "the log says that it is over")


async def test_a_host_name_that_is_not_known_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async with served(f"redis://user:{WRONG}@no-such-host.invalid:6379/0") as (api, service):
        await await_trouble(service, RedisTrouble.HOST)
        assert (await refusal(api)).code() is grpc.StatusCode.UNAVAILABLE
    assert set(said(caplog)) == {"HOST"}
    assert WRONG not in caplog.text


@pytest.mark.parametrize(
    ("kind", "trouble"),
    [
        ("unknown authority", RedisTrouble.AUTHORITY),
        ("another name", RedisTrouble.NAME),
        ("no TLS there", RedisTrouble.SILENT),
        ("right", None),
    ],
)
def test_what_is_wrong_with_tls_is_named(
    plain: Callable[..., Plain], tmp_path: Path, kind: str, trouble: RedisTrouble | None
) -> None:
    server, authority = plain(), Authority.make(tmp_path / "authority")
    stranger = Authority.make(tmp_path / "stranger")
    with TlsProxy(server.port, authority.issue("redis", "localhost")) as proxy:
        ca = (stranger if kind == "unknown authority" else authority).ca_file
        host = "127.0.0.1" if kind == "another name" else "localhost"
        port = server.port if kind == "no TLS there" else proxy.port
        url = f"rediss://{host}:{port}/0?ssl_ca_certs={ca}"
        with closing(Store(JobsConfig(redis_url=url), tries=0)) as store:
            if trouble is None:
                store.run(maintenance.snapshot())
                return
            with pytest.raises(StoreUnavailable) as raised:
                store.run(maintenance.snapshot())
        [finding] = check_redis(url, tmp_path)
    assert raised.value.trouble is trouble
    assert finding.level is Severity.FAILURE
    assert trouble.text in finding.text


def test_a_certificate_of_yesterday_and_a_server_that_speaks_something_else_are_named() -> None:
    expired = ssl.SSLCertVerificationError(1, "certificate verify failed: certificate has expired")
    expired.verify_code = 10
    assert trouble_of(expired) is RedisTrouble.CERTIFICATE
    assert trouble_of(ssl.SSLError(1, "wrong version number")) is RedisTrouble.TLS
    assert "TLS" in RedisTrouble.SILENT.remedy  # a Redis without it says nothing to one who greets it so


def test_rights_that_are_missing_are_named(plain: Callable[..., Plain]) -> None:
    server = plain()
    server.db.acl_setuser("weak", enabled=True, passwords=[f"+{WRONG}"], commands=["+ping"], keys=["*"])
    weak = JobsConfig(redis_url=f"redis://weak:{WRONG}@127.0.0.1:{server.port}/0")
    with closing(Store(weak, tries=0)) as store, pytest.raises(StoreUnavailable) as raised:
        store.run(maintenance.snapshot())
    assert raised.value.trouble is RedisTrouble.RIGHTS


def test_a_worker_names_it_once_in_each_process_and_the_doctor_with_what_to_do(
    plain: Callable[..., Plain], tmp_path: Path
) -> None:
    server = plain("--requirepass", PASSWORD)
    env = {"SELFIE3D_REDIS_URL": server.url(WRONG), "SELFIE3D_LOG_FORMAT": "text", "SELFIE3D_MODEL": str(tmp_path)}
    worker = Process([], tmp_path / "worker.log", module="tests.tiny", **env).start()
    try:
        refused = "Redis refuses the user or the password: correct them in SELFIE3D_REDIS_URL"
        eventually(lambda: refused in worker.log.read_text(), "the worker names it")
        tries = server.db.info("stats")["total_connections_received"]
        eventually(lambda: server.db.info("stats")["total_connections_received"] > tries + 5, "it tries again")
        lines = [line for line in worker.log.read_text().splitlines() if refused in line]
        loggers = [line.split()[3] for line in lines]  # the parent's connection, the child's heart
        assert len(loggers) == len(set(loggers))
        assert WRONG not in worker.log.read_text()
    finally:
        worker.end()
    [finding] = check_redis(server.url(WRONG), tmp_path)
    assert finding.level is Severity.FAILURE
    assert "refuses the user or the password" in finding.text
    assert "SELFIE3D_REDIS_URL" in finding.remedy
    assert WRONG not in str(finding)


def test_a_heart_that_cannot_beat_says_so_once(plain: Callable[..., Plain], caplog: pytest.LogCaptureFixture) -> None:
    server = plain()
    config = JobsConfig(redis_url=server.url())
    with closing(Store(config, tries=0)) as store:
        heart = Heartbeat(store, WorkerReport("host:1:2", verified=True), config)
        heart._beat()
        server.db.replicaof("127.0.0.1", str(free_port()))
        for _ in range(3):
            heart._beat()
        server.db.replicaof("NO", "ONE")
        heart._beat()
    assert said(caplog) == ["READ_ONLY", ""]


def clustered(plain: Callable[..., Plain]) -> Plain:
    return plain("--cluster-enabled", "yes", "--cluster-port", str(free_port()))


@pytest.mark.parametrize("module", ["selfie3d_service.main", "selfie3d_worker.main"])
def test_a_cluster_is_refused_at_the_start_with_one_sentence(
    plain: Callable[..., Plain], tmp_path: Path, module: str
) -> None:
    server = clustered(plain)
    env = {"SELFIE3D_REDIS_URL": server.url(), "SELFIE3D_LISTEN": "127.0.0.1:0"}
    process = Process([], tmp_path / "process.log", module=module, **env).start()
    assert process.wait(BOUND) == 2
    assert process.log.read_text().splitlines() == [
        "SELFIE3D_REDIS_URL: Redis runs as a cluster, which selfie3d cannot use: name one Redis, or a primary with "
        "replicas."
    ]


def test_the_doctor_refuses_a_cluster_and_a_replica(plain: Callable[..., Plain], tmp_path: Path) -> None:
    server = clustered(plain)
    found = {finding.text: finding.level for finding in check_redis(server.url(), tmp_path)}
    assert found["Redis runs as a cluster"] is Severity.FAILURE
    server = plain()
    server.db.replicaof("127.0.0.1", str(free_port()))
    found = {finding.text: finding.level for finding in check_redis(server.url(), tmp_path)}
    assert found["a replica, which takes no writes"] is Severity.FAILURE


@pytest.mark.parametrize("slots", ["none", "all"])
async def test_a_cluster_that_comes_later_is_named(
    plain: Callable[..., Plain], caplog: pytest.LogCaptureFixture, slots: str
) -> None:
    server = clustered(plain)
    if slots == "all":
        server.db.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        eventually(lambda: server.db.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "it is one")
    server.kill()
    async with served(server.url()) as (api, service):
        await await_trouble(service, RedisTrouble.ABSENT)
        server.start()
        await await_trouble(service, RedisTrouble.CLUSTER)
        assert (await refusal(api)).code() is grpc.StatusCode.UNAVAILABLE
    assert said(caplog)[:2] == ["ABSENT", "CLUSTER"]
