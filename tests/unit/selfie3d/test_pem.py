"""Files of TLS that cannot work are refused with a sentence on both sides, before gRPC would end the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfie3d import AsyncClient, Client, InvalidArgument, InvalidConnection, Tls
from selfie3d.pem import PemError, read_authorities, read_pair
from selfie3d_cli.doctor_checks import check_tls
from selfie3d_cli.finding import Severity
from selfie3d_cli.main import main
from selfie3d_jobs import ConfigError
from selfie3d_service import ServiceConfig
from selfie3d_service.listening import credentials as service_credentials
from selfie3d_web import WebConfig, WebServer
from selfie3d_web.upstream import read_credentials as upstream_credentials
from tests.certificates import Pems

CASES = range(11)  # of Pems.mistakes


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Pems:
    made = Pems.make(tmp_path_factory.mktemp("pems"))
    assert len(made.mistakes()) == len(CASES)
    return made


def test_a_pair_that_belongs_together_is_read_as_it_is(pems: Pems) -> None:
    both = (pems.chain.read_bytes(), pems.key.read_bytes())
    assert read_pair(pems.chain, str(pems.key)) == both
    assert read_pair(*both) == both
    assert read_pair(b"".join(both), b"".join(both)) == (b"".join(both),) * 2  # all in one file
    assert read_pair(None, None) is None
    assert read_authorities(pems.authorities) == pems.authorities.read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_has_its_sentence(pems: Pems, case: int) -> None:
    certificate, key, sentence = pems.mistakes()[case]
    with pytest.raises(PemError) as error:
        read_pair(certificate, key)
    assert str(error.value) == sentence
    assert error.value.__cause__ is None, "nothing of the file is shown"


def test_bytes_are_checked_alike_and_never_shown(pems: Pems) -> None:
    with pytest.raises(PemError) as error:
        read_pair(pems.chain.read_bytes(), pems.other_key.read_bytes())
    assert str(error.value) == "the key's PEM text is not the key of the certificate in the certificate's PEM text"
    with pytest.raises(PemError) as error:
        read_pair(pems.chain, pems.key.read_text())
    assert str(error.value) == "the key's PEM text was given as str, which is a file's path: give it as bytes"


@pytest.mark.parametrize("text", [b"", b"garbage", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_authorities_that_are_none_are_refused(text: bytes) -> None:
    with pytest.raises(PemError, match=r"^the authorities' PEM text holds no PEM certificate$"):
        read_authorities(text)
    with pytest.raises(InvalidConnection) as error:
        Client(tls=text)
    assert str(error.value) == "TLS is not possible: the authorities' PEM text holds no PEM certificate."


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(PemError) as error:
        read_authorities("/dev/zero")
    assert str(error.value) == "/dev/zero is larger than any PEM file: more than 4 MiB"


def test_what_cannot_be_a_path_is_no_traceback() -> None:
    with pytest.raises(PemError) as error:
        read_authorities("a\0b")
    assert str(error.value) == "a\0b: no path of a file"


@pytest.mark.parametrize("case", CASES)
def test_the_client_raises_a_value_error_of_its_own(pems: Pems, case: int) -> None:
    certificate, key, sentence = pems.mistakes()[case]
    with pytest.raises(InvalidConnection) as error:
        Client("localhost:1", tls=Tls(pems.authorities, certificate, key))
    assert str(error.value) == f"TLS is not possible: {sentence}."
    assert error.value.reason == "INVALID_TLS"
    assert isinstance(error.value, ValueError)


async def test_the_asyncio_client_does_too(pems: Pems) -> None:
    with pytest.raises(InvalidConnection, match="a certificate without its key"):
        AsyncClient(tls=Tls(certificate=pems.chain))


@pytest.mark.slow
def test_a_program_of_the_caller_s_own_goes_on(pems: Pems) -> None:
    code = (
        "import sys, selfie3d\n"
        "try: selfie3d.Client(tls=selfie3d.Tls(certificate=sys.argv[1]))\n"
        "except ValueError as error: print(error)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(
        [sys.executable, "-c", code, pems.chain], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "TLS is not possible: there is a certificate without its key: give both or none.\n"


@pytest.mark.parametrize("case", range(2, 11))
def test_the_service_refuses_them_and_does_not_speak_of_its_port(pems: Pems, case: int) -> None:
    certificate, key, sentence = pems.mistakes()[case]
    with pytest.raises(ConfigError) as error:
        service_credentials(ServiceConfig(tls_certificate=certificate, tls_key=key))
    assert str(error.value) == f"SELFIE3D_TLS_CERT, SELFIE3D_TLS_KEY: {sentence}."


def test_the_service_refuses_authorities_that_are_none(pems: Pems) -> None:
    config = ServiceConfig(tls_certificate=pems.chain, tls_key=pems.key, tls_client_ca=pems.key)
    with pytest.raises(ConfigError) as error:
        service_credentials(config)
    assert str(error.value) == f"SELFIE3D_TLS_CLIENT_CA: {pems.key} holds no PEM certificate."


@pytest.mark.parametrize("case", range(2, 11))
async def test_the_page_refuses_them_at_both_of_its_ends(pems: Pems, case: int) -> None:
    certificate, key, sentence = pems.mistakes()[case]
    with pytest.raises(ConfigError) as error:
        await WebServer(WebConfig(listen="127.0.0.1:0", tls_certificate=certificate, tls_key=key)).__aenter__()
    assert str(error.value) == f"SELFIE3D_WEB_TLS_CERT, SELFIE3D_WEB_TLS_KEY: {sentence}."
    with pytest.raises(ConfigError) as error:
        WebServer(WebConfig(server_ca=pems.authorities, server_certificate=certificate, server_key=key))
    assert str(error.value) == f"SELFIE3D_WEB_SERVER_CERT, SELFIE3D_WEB_SERVER_KEY: {sentence}."


def test_the_page_refuses_authorities_that_are_none(pems: Pems) -> None:
    with pytest.raises(ConfigError) as error:
        upstream_credentials(WebConfig(server_ca=pems.missing))
    assert str(error.value) == f"SELFIE3D_WEB_SERVER_CA: {pems.missing}: No such file or directory."


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tls-cert", "{0.chain}"], "--tls-cert needs --tls-key: give both or none."),
        (["--tls-key", "{0.key}"], "--tls-key needs --tls-cert: give both or none."),
        (["--tls-ca", "{0.missing}"], "TLS is not possible: {0.missing}: No such file or directory."),
        (["--tls-ca", "{0.garbage}"], "TLS is not possible: {0.garbage} holds no PEM certificate."),
        (
            ["--tls-cert", "{0.chain}", "--tls-key", "{0.other_key}"],
            "TLS is not possible: {0.other_key} is not the key of the certificate in {0.chain}.",
        ),
    ],
)
def test_the_command_says_it_with_exit_code_2(
    pems: Pems, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert main(["reconstruct", "me.jpg", *(option.format(pems) for option in options)]) == 2
    assert capsys.readouterr() == ("", f"selfie3d: {sentence.format(pems)}\n")


def test_doctor_and_up_look_at_the_files(
    pems: Pems, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SELFIE3D_TLS_CERT", str(pems.chain))
    monkeypatch.setenv("SELFIE3D_TLS_KEY", str(pems.key))
    monkeypatch.setenv("SELFIE3D_WEB_SERVER_CA", str(pems.garbage))
    findings = list(check_tls())
    assert [(finding.level, finding.text) for finding in findings] == [
        (Severity.OK, "SELFIE3D_TLS_CERT, SELFIE3D_TLS_KEY: fine"),
        (Severity.FAILURE, f"SELFIE3D_WEB_SERVER_CA: {pems.garbage} holds no PEM certificate"),
    ]
    assert main(["up", "--data", str(tmp_path / "data")]) == 2
    assert capsys.readouterr() == ("", f"selfie3d: {findings[1].text}.\n")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("address", ["http://localhost:1", "nonsense", "localhost:99999", ""])
def test_a_client_of_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidConnection) as error:
        Client(address)
    assert str(error.value).startswith(f"{address!r} is not the address of a service: ")
    assert error.value.reason == "INVALID_ADDRESS"


@pytest.mark.parametrize("timeout", [0, -3, float("nan"), -float("inf")])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    sentence = f"timeout is {timeout}, but must be above 0 seconds."
    with pytest.raises(InvalidConnection) as refused:
        Client(timeout=timeout)
    assert str(refused.value) == sentence
    with Client("localhost:1") as client, pytest.raises(InvalidArgument) as error:
        client.job("0" * 32).status(timeout=timeout)
    assert str(error.value) == sentence
