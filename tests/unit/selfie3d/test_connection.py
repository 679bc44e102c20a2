"""What keeps a client from its service, made to happen, and the words that it is told with."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from selfie3d import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    InvalidConnection,
    Retry,
    Selfie3dError,
    Tls,
    TlsFailed,
    Unavailable,
)
from selfie3d._trouble import TROUBLES, trouble_in
from selfie3d_cli.main import main
from tests.certificates import Pems
from tests.scripted_service import Running
from tests.stack import free_port

CALLS: list[Callable[..., Any]] = [Client, AsyncClient]
UNKNOWN = "0" * 32
TRUST = "name the right one with `tls=` or `--tls-ca FILE`."
NAMED = "connect by that name, or give it with `Tls(server_name=...)` or `--tls-server-name`."
START = "start a service with `selfie3d up`, or correct the address."


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Pems:
    return Pems.make(tmp_path_factory.mktemp("pems"))


def told(address: str, tls: Any = False) -> Selfie3dError:
    """What a client that tries once is told."""
    with (
        Client(address, tls=tls, retry=Retry(attempts=1), timeout=30) as client,
        pytest.raises(Unavailable) as error,
    ):
        client.job(UNKNOWN).status()
    assert error.value.code is grpc.StatusCode.UNAVAILABLE
    assert isinstance(error.value.__cause__, grpc.RpcError), "gRPC's own words stay behind it"
    return error.value


@contextmanager
def with_tls(pems: Pems, ca: Path | None = None) -> Iterator[str]:
    pair = (pems.key.read_bytes(), pems.chain.read_bytes())
    authorities = ca.read_bytes() if ca else None
    with Running.with_mesh(grpc.ssl_server_credentials([pair], authorities, ca is not None)) as running:
        yield running.address


def test_where_nothing_listens_up_is_named(tmp_path: Path) -> None:
    for address in (f"localhost:{free_port()}", f"unix:{tmp_path}/none.sock"):
        error = told(address)
        assert str(error) == f"Nothing listens at {address}: {START}"
        assert (type(error), error.reason) == (Unavailable, "UNAVAILABLE")


async def test_the_asyncio_client_says_the_same() -> None:
    address = f"localhost:{free_port()}"
    async with AsyncClient(address, retry=Retry(attempts=1)) as client:
        with pytest.raises(Unavailable) as error:
            await client.job(UNKNOWN).status()
    assert str(error.value) == f"Nothing listens at {address}: {START}"


def test_a_host_that_is_not_known_is_told() -> None:
    assert str(told("nosuch.invalid:1")) == "The host of nosuch.invalid:1 is not known: correct the address."


def test_a_web_server_is_no_service() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert str(told(address)) == f"At {address} is a web server and no service: correct the address."
        thread.join()


@pytest.mark.parametrize("begin", ["failed to connect to all addresses", "connections to all backends failing"])
def test_a_port_that_says_nothing_is_told(begin: str) -> None:
    words = f"{begin}; last error: UNKNOWN: ipv4:127.0.0.1:1: connection attempt timed out"
    trouble = trouble_in(f"{words} before receiving SETTINGS frame", encrypted=False)
    assert trouble is not None
    assert trouble.text.format("a:1").startswith(
        "a:1 takes no connection, or says nothing over it: correct the address,"
    )


def test_a_call_whose_time_ran_out_says_what_to_do_and_not_deadline_exceeded() -> None:
    with Running.with_mesh() as running, Client(running.address) as client:
        job = client.submit(b"photo")
        running.script.hold.clear()
        with pytest.raises(DeadlineExceeded) as error:
            job.wait(timeout=0.2)
        running.script.hold.set()
    said = "The call's timeout ran out. The job goes on: ask for it again, or give a larger timeout."
    assert str(error.value) == said


def test_a_port_with_tls_spoken_to_without_names_tls(pems: Pems) -> None:
    with with_tls(pems) as address:
        error = told(address)
    said = "ends the connection: it may want TLS, with `tls=` or `--tls-ca FILE`."
    assert str(error) == f"The service at {address} {said}"


def test_a_port_without_tls_spoken_to_with_it_is_told_and_not_tried_again(pems: Pems) -> None:
    with Running.with_mesh() as running:
        error = told(running.address, pems.authorities)
    said = "does not speak TLS: connect without, or give the service a certificate."
    assert str(error) == f"The service at {running.address} {said}"
    assert type(error) is TlsFailed
    assert Retry(attempts=8).pause(error, 1) is None
    assert Retry(attempts=8).pause(told(f"localhost:{free_port()}"), 1) is not None


def test_an_authority_that_is_not_trusted_is_told(pems: Pems) -> None:
    with with_tls(pems) as address:
        for tls in (True, trustme.CA().cert_pem.bytes()):
            error = told(address, tls)
            assert type(error) is TlsFailed
            assert str(error) == f"The certificate of {address} is not from an authority that is trusted: {TRUST}"


def test_a_certificate_for_another_name_is_told(pems: Pems) -> None:
    with with_tls(pems) as address:
        error = told(address, Tls(pems.authorities, server_name="faces.example.org"))
        assert str(error) == f"The certificate of {address} is for another name: {NAMED}"


def test_a_certificate_that_has_expired_is_told(pems: Pems) -> None:
    old = pems.ca.issue_cert("localhost", not_after=datetime.now(UTC) - timedelta(days=1))
    chain = b"".join(pem.bytes() for pem in old.cert_chain_pems)
    with Running.with_mesh(grpc.ssl_server_credentials([(old.private_key_pem.bytes(), chain)])) as running:
        error = told(running.address, pems.authorities)
    assert str(error) == f"The certificate of {running.address} has expired: renew it there."


def test_a_service_that_wants_certificates_of_its_callers_is_told(pems: Pems) -> None:
    with with_tls(pems, pems.authorities) as address:
        error = told(address, pems.authorities)
    wanted = "it may want a certificate of its callers, with `Tls(certificate=..., key=...)` or `--tls-cert`"
    assert str(error) == f"The service at {address} ends the connection: {wanted} and `--tls-key`."


def test_other_words_of_grpc_are_left_as_they_are() -> None:
    assert trouble_in("Socket closed", encrypted=False) is None, "a cut in the middle of a call is no such trouble"
    assert trouble_in("Redis does not answer.", encrypted=True) is None
    assert all("{0}" in trouble.text for trouble in TROUBLES)


@pytest.mark.parametrize("client", CALLS)
@pytest.mark.parametrize("address", ["example.org:50051", "10.0.0.1:50051", "dns:///example.org:1", "0.0.0.0:1"])
async def test_a_token_never_leaves_this_machine_readable(client: Callable[..., Any], address: str) -> None:
    with pytest.raises(InvalidConnection) as error:
        client(address, token="s3d_secret")
    assert str(error.value) == (
        f"The token would travel to {address} readable by anyone on the way: give tls=..., "
        "or insecure_token=True where something else protects it."
    )
    assert error.value.reason == "TOKEN_IN_CLEAR"


@pytest.mark.parametrize(
    "arguments",
    [
        {"address": "localhost:1"},
        {"address": "127.0.0.1:1"},
        {"address": "[::1]:1"},
        {"address": "unix:/run/selfie3d.sock"},
        {"address": "example.org:1", "tls": True},
        {"address": "example.org:1", "insecure_token": True},
    ],
)
def test_to_this_machine_over_tls_or_told_so_by_name_it_goes(arguments: dict[str, Any]) -> None:
    Client(token="s3d_secret", **arguments).close()


def test_without_a_token_nothing_has_to_be_told() -> None:
    Client("example.org:1").close()
    Client("example.org:1", token="").close()


@pytest.mark.parametrize(
    ("token", "what"),
    [
        ("a\nb", "a line break in it"),
        ("a\n", "a line break in it"),
        ("a\rb", "a line break in it"),
        ("a b", "characters that none has"),
        ("sch\u00f6n", "characters that none has"),
        ("a\x00", "characters that none has"),
    ],
)
def test_a_token_that_no_header_carries_is_refused_and_not_shown(token: str, what: str) -> None:
    with pytest.raises(InvalidConnection) as error:
        Client(token=token)
    assert str(error.value) == f"The token has {what}: printable ASCII without spaces is wanted."
    assert error.value.reason == "INVALID_TOKEN"


COMMANDS = (["reconstruct", "me.jpg"], ["health", "ready"])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_refuses_to_send_a_token_readable(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELFIE3D_TOKEN", "s3d_secret")
    assert main([*command, "--server", "example.org:1"]) == 2
    assert capsys.readouterr().err == (
        "selfie3d: the token would travel readable by anyone on the way: encrypt with --tls or --tls-ca FILE, or "
        "allow it with --insecure-token or SELFIE3D_INSECURE_TOKEN=on where something else protects it.\n"
    )


@pytest.mark.parametrize("allowed", ["option", "variable"])
def test_told_so_by_name_the_command_sends_it(
    allowed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELFIE3D_TOKEN", "s3d_secret")
    if allowed == "variable":
        monkeypatch.setenv("SELFIE3D_INSECURE_TOKEN", "on")
    option = ["--insecure-token"] if allowed == "option" else []
    assert main(["health", "live", "--server", "nosuch.invalid:1", *option]) == 1
    assert capsys.readouterr().out == "The host of nosuch.invalid:1 is not known: correct the address.\n"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\nb\n", ": The token has a line break in it: printable ASCII without spaces is wanted."),
        (b"", " is empty."),
        (b"a" * 5000, " holds more than a token."),
        (b" \n", " is empty."),
        (b"\xff\xfe", " holds no text."),
    ],
)
def test_a_token_file_that_holds_no_token_is_told(
    command: list[str], content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_bytes(content)
    assert main([*command, "--token-file", str(tmp_path / "token")]) == 2
    assert capsys.readouterr().err == f"selfie3d: --token-file {tmp_path / 'token'}{said}\n"


@pytest.mark.slow
def test_the_command_says_its_own_sentence_and_nothing_of_grpc_s(pems: Pems, tmp_path: Path) -> None:
    (tmp_path / "me.jpg").write_bytes(b"photo")
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    with Running.with_mesh() as running:
        options = ["--server", running.address, "--tls-ca", str(pems.authorities)]
        line = [sys.executable, "-m", "selfie3d_cli", "reconstruct", "me.jpg", *options]
        ended = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = "does not speak TLS: connect without, or give the service a certificate. (UNAVAILABLE)"
    assert ended.stderr == f"failed me.jpg: The service at {running.address} {said}\n"
    assert ended.returncode == 1


def test_a_token_of_the_environment_with_a_line_break_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SELFIE3D_TOKEN", "a\nb")
    assert main(["reconstruct", "me.jpg"]) == 2
    said = "The token has a line break in it: printable ASCII without spaces is wanted."
    assert capsys.readouterr().err == f"selfie3d: SELFIE3D_TOKEN: {said}\n"
