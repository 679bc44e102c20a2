"""`selfie3d health`: two questions, over plain connections, TLS and mutual TLS, each with its exit code."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer

from selfie3d_cli.main import main
from selfie3d_cli.probe import is_ready
from tests.certificates import Pems
from tests.stack import free_port

STATES = health_pb2.HealthCheckResponse
VARIABLES = (
    "LISTEN",
    "SERVER",
    "TLS_CERT",
    "TLS_KEY",
    "TLS_CLIENT_CA",
    "WEB_LISTEN",
    "WEB_TLS_CERT",
    "WEB_HOSTS",
    "TOKEN",
)


@dataclass
class Served:
    """A server with nothing but its health."""

    address: str
    health: HealthServicer
    tokens: list[str] = field(default_factory=list)


class Ears(grpc.ServerInterceptor):  # type: ignore[misc]
    """Notes the tokens that are shown."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        self._tokens += [value for key, value in details.invocation_metadata if key == "authorization"]
        return continuation(details)


class Hanging(HealthServicer):  # type: ignore[misc]
    """Answers when it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.released = threading.Event(), threading.Event()

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - of gRPC
        self.asked.set()
        self.released.wait()
        return super().Check(request, context)


@contextmanager
def served(
    pems: Pems | None = None, *, mutual: bool = False, host: str = "localhost", health: HealthServicer | None = None
) -> Iterator[Served]:
    tokens: list[str] = []
    server = grpc.server(ThreadPoolExecutor(2), interceptors=[Ears(tokens)])
    health = health or HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if pems:
        ca = pems.authorities.read_bytes() if mutual else None
        pair = (pems.key.read_bytes(), pems.chain.read_bytes())
        port = server.add_secure_port(f"{host}:0", grpc.ssl_server_credentials([pair], ca, mutual))
    else:
        port = server.add_insecure_port(f"{host}:0")
    server.start()
    try:
        yield Served(f"{host}:{port}", health, tokens)
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Pems:
    return Pems.make(tmp_path_factory.mktemp("pems"), "faces.example.org")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"SELFIE3D_{name}", raising=False)


def health(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["health", *arguments])
    return code, capsys.readouterr().out.rstrip("\n")


def nothing_at(address: str) -> str:
    return f"Nothing listens at {address}: start a service with `selfie3d up`, or correct the address."


@pytest.mark.parametrize("question", [[], ["live"], ["ready"]])
def test_a_service_that_serves_is_alive_and_ready(capsys: pytest.CaptureFixture[str], question: list[str]) -> None:
    with served() as server:
        server.health.set("", STATES.SERVING)
        assert health(capsys, *question, "--server", server.address) == (0, f"{server.address} is SERVING")


def test_a_service_without_workers_is_alive_and_not_ready(capsys: pytest.CaptureFixture[str]) -> None:
    with served() as server:
        server.health.set("", STATES.NOT_SERVING)
        said = f"{server.address} answers and is NOT_SERVING: it waits for Redis or for a worker"
        for question, code in (([], 0), (["live"], 0), (["ready"], 1)):
            assert health(capsys, *question, "--server", server.address) == (code, said)


def test_a_service_without_workers_accepts_jobs_and_one_without_redis_does_not(
    capsys: pytest.CaptureFixture[str], pems: Pems, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFIE3D_TLS_CERT", str(pems.chain))
    for files in (None, pems):
        with served(files) as server:
            monkeypatch.setenv("SELFIE3D_LISTEN", server.address)
            where = [] if files else ["--server", server.address]
            server.health.set("", STATES.NOT_SERVING)
            server.health.set("accepting", STATES.SERVING)
            assert health(capsys, "accepting", *where) == (0, f"{server.address} accepts jobs")
            server.health.set("accepting", STATES.NOT_SERVING)
            assert health(capsys, "accepting", *where) == (1, f"{server.address} answers and does not accept jobs")


@pytest.mark.parametrize("other", ["--web", "--worker"])
def test_only_the_service_accepts_jobs(capsys: pytest.CaptureFixture[str], other: str) -> None:
    assert main(["health", "accepting", other]) == 2
    assert "a question to the service" in capsys.readouterr().err


def test_where_nothing_listens_it_is_neither(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"localhost:{free_port()}"
    for question in ([], ["live"], ["accepting"], ["ready"]):
        assert health(capsys, *question, "--server", address) == (1, nothing_at(address))


@pytest.mark.slow
def test_a_service_that_hangs_is_neither(capsys: pytest.CaptureFixture[str]) -> None:
    hanging = Hanging()
    with served(health=hanging) as server:
        said = (1, f"{server.address} does not answer within 3 s")
        assert health(capsys, "live", "--server", server.address) == said
        hanging.asked.wait()
        hanging.released.set()


def test_the_address_is_the_one_that_the_service_listens_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with served(host="127.0.0.1") as server:
        server.health.set("", STATES.SERVING)
        monkeypatch.setenv("SELFIE3D_LISTEN", server.address.replace("127.0.0.1", "0.0.0.0"))
        assert health(capsys, "ready") == (0, f"{server.address} is SERVING")
    monkeypatch.setenv("SELFIE3D_LISTEN", f"unix:{tmp_path}/none.sock")
    assert health(capsys, "live") == (1, nothing_at(f"unix:{tmp_path}/none.sock"))


def test_over_tls_a_service_of_this_machine_is_asked_whatever_its_certificate_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pems: Pems
) -> None:
    monkeypatch.setenv("SELFIE3D_TLS_CERT", str(pems.chain))
    with served(pems) as server:
        monkeypatch.setenv("SELFIE3D_LISTEN", server.address)
        for state, ready in ((STATES.SERVING, 0), (STATES.NOT_SERVING, 1)):
            server.health.set("", state)
            assert [health(capsys, question)[0] for question in ("live", "ready")] == [0, ready]
            assert is_ready(server.address, tls=True) is (state == STATES.SERVING)
    assert [health(capsys, question)[0] for question in ("live", "ready")] == [1, 1]
    assert not is_ready(server.address, tls=True)


def test_a_plain_port_is_no_service_with_tls(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pems: Pems
) -> None:
    monkeypatch.setenv("SELFIE3D_TLS_CERT", str(pems.chain))
    with served() as server:
        monkeypatch.setenv("SELFIE3D_LISTEN", server.address)
        code, text = health(capsys, "live")
        assert code == 1
        assert text.startswith(f"{server.address} does not answer: ")


def test_another_machine_s_service_is_asked_over_tls_with_the_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pems: Pems
) -> None:
    monkeypatch.setenv("SELFIE3D_TOKEN", "s3d_x")
    trusted = ["--tls-ca", str(pems.authorities)]
    with served(pems) as server:
        server.health.set("", STATES.SERVING)
        right = health(capsys, "ready", "--server", server.address, *trusted, "--tls-server-name", "faces.example.org")
        assert right == (0, f"{server.address} is SERVING")
        wrong = health(capsys, "ready", "--server", server.address, *trusted)
        named = "connect by that name, or give it with `Tls(server_name=...)` or `--tls-server-name`."
        assert wrong == (1, f"The certificate of {server.address} is for another name: {named}")
        assert server.tokens == ["Bearer s3d_x"]


def test_with_mutual_tls_a_certificate_is_needed_to_know_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pems: Pems
) -> None:
    monkeypatch.setenv("SELFIE3D_TLS_CERT", str(pems.chain))
    monkeypatch.setenv("SELFIE3D_TLS_CLIENT_CA", str(pems.authorities))
    own = ["--tls-ca", str(pems.authorities), "--tls-cert", str(pems.chain), "--tls-key", str(pems.key)]
    with served(pems, mutual=True) as server:
        monkeypatch.setenv("SELFIE3D_LISTEN", server.address)
        said = f"{server.address} listens; to ask more of it give --tls-ca, --tls-cert and --tls-key"
        assert health(capsys, "live") == (0, said)
        assert health(capsys, "ready") == (1, said)
        assert is_ready(server.address, tls=True)
        for state, code in ((STATES.SERVING, 0), (STATES.NOT_SERVING, 1)):
            server.health.set("", state)
            assert health(capsys, "ready", *own, "--tls-server-name", "faces.example.org")[0] == code
    assert health(capsys, "live") == (1, f"{server.address} does not listen")


def test_half_of_a_pair_and_a_bad_file_are_wrong_arguments(capsys: pytest.CaptureFixture[str], pems: Pems) -> None:
    assert main(["health", "ready", "--tls-cert", str(pems.chain)]) == 2
    assert main(["health", "ready", "--tls-ca", str(pems.garbage)]) == 2
    assert capsys.readouterr().err == (
        "selfie3d: --tls-cert needs --tls-key: give both or none.\n"
        f"selfie3d: TLS is not possible: {pems.garbage} holds no PEM certificate.\n"
    )


@contextmanager
def page(statuses: dict[str, int], pems: Pems | None = None) -> Iterator[tuple[str, list[str]]]:
    """A page's process that answers each path with a status: (its address, the hosts it was called)."""
    hosts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hosts.append(self.headers["Host"])
            self.send_response(statuses[self.path])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        if pems:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pems.chain, pems.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", hosts
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("tls", [False, True])
def test_the_page_is_alive_when_it_answers_and_ready_when_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pems: Pems, tls: bool
) -> None:
    statuses = {"/healthz": 200, "/readyz": 503}
    if tls:
        monkeypatch.setenv("SELFIE3D_WEB_TLS_CERT", str(pems.chain))
    monkeypatch.setenv("SELFIE3D_WEB_HOSTS", "faces.example.org,other.example.org")
    with page(statuses, pems if tls else None) as (address, hosts):
        monkeypatch.setenv("SELFIE3D_WEB_LISTEN", address.replace("127.0.0.1", "0.0.0.0"))
        for question in ([], ["live"]):
            assert health(capsys, *question, "--web") == (0, f"{address} answers")
        assert health(capsys, "ready", "--web") == (1, f"{address} answers and is not ready: status 503")
        statuses["/readyz"] = 200
        assert health(capsys, "ready", "--web") == (0, f"{address} is ready")
        assert set(hosts) == {"faces.example.org"}
    for question in (["live"], ["ready"]):
        assert health(capsys, *question, "--web") == (1, f"{address} does not answer: Connection refused")
