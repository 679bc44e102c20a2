"""TLS, mutual TLS and tokens in containers, from files that only their user may read."""

from __future__ import annotations

import contextlib
import io
import os
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from selfie3d import Client, Tls, Unauthenticated, Unavailable
from selfie3d_cli.main import main
from tests.containers.conftest import Figures
from tests.containers.deployment import Deployment, run
from tests.stack import eventually

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]

USER = "10001"
PRIVATE = 0o400


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """What an operator has: everything 0600 or stricter, and given to the user of the containers."""
    del source
    folder = tmp_path_factory.mktemp("secrets")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, hosts in (("service", ["service", "localhost"]), ("web", ["localhost"]), ("client", ["page.example"])):
        issued = ca.issue_cert(*hosts)
        (folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        (folder / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
    for path in folder.iterdir():
        path.chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def token(secrets: Path) -> str:
    """Of the caller anna, as `selfie3d token` prints it."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["token", "anna", "--file", str(secrets / "tokens.toml")]) == 0
    return said.getvalue().strip()


def give_to_the_containers(folder: Path) -> None:
    """The command of docs/operations.md for who is not root on the machine."""
    command = f"chown {USER}:{USER} /secrets/* && chmod 400 /secrets/*"
    mount = f"{folder}:/secrets"
    run(
        "docker",
        "run",
        "--rm",
        "--user",
        "0",
        "--volume",
        mount,
        "--entrypoint",
        "sh",
        "selfie3d/service",
        "-c",
        command,
    )


@pytest.fixture(scope="module", params=["tls", "mtls"])
def deployment(
    request: pytest.FixtureRequest, source: Path, secrets: Path, token: str, figures: Figures
) -> Iterator[Deployment]:
    del token
    give_to_the_containers(secrets)
    overrides = ("tls",) if request.param == "tls" else ("tls", "mtls")
    deployment = Deployment(source, overrides, {"SELFIE3D_SECRETS": str(secrets)})
    start = time.monotonic()
    try:
        deployment.up()
        figures[f"seconds until all are healthy with {request.param}"] = round(time.monotonic() - start)
        yield deployment
    finally:
        print(deployment.compose("logs", "--tail", "30", check=False))
        deployment.compose("down", "--volumes")


def read(folder: Path, name: str) -> bytes:
    """A file that belongs to another user by now."""
    if os.access(folder / name, os.R_OK):
        return (folder / name).read_bytes()
    command = ["docker", "run", "--rm", "--user", USER, "--volume", f"{folder}:/secrets", "--entrypoint", "cat"]
    return run(*command, "selfie3d/service", f"/secrets/{name}").encode()


def way_of(deployment: Deployment, secrets: Path) -> Tls:
    ca = read(secrets, "ca.pem")
    if "mtls" not in deployment.overrides:
        return Tls(ca=ca)
    return Tls(ca=ca, certificate=read(secrets, "client.pem"), key=read(secrets, "client.key"))


def test_who_shows_what_is_asked_gets_a_mesh(deployment: Deployment, secrets: Path, token: str, photo: bytes) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in secrets.iterdir() if not path.name.startswith(".")}
    assert set(modes.values()) == {PRIVATE}
    assert {path.stat().st_uid for path in secrets.iterdir()} == {int(USER)}
    with Client("localhost:50051", tls=way_of(deployment, secrets), token=token, timeout=180) as client:
        assert client.reconstruct(photo).faces[0].mesh.data.startswith(b"ply")


def test_who_has_no_token_is_refused(deployment: Deployment, secrets: Path, photo: bytes) -> None:
    with Client("localhost:50051", tls=way_of(deployment, secrets)) as client, pytest.raises(Unauthenticated):
        client.submit(photo)


def test_who_does_not_encrypt_gets_nowhere(deployment: Deployment, photo: bytes) -> None:
    del deployment
    with Client("localhost:50051", timeout=5) as client, pytest.raises(Unavailable):
        client.submit(photo)


def test_who_has_no_certificate_gets_nowhere_where_one_is_wanted(
    deployment: Deployment, secrets: Path, token: str, photo: bytes
) -> None:
    if "mtls" not in deployment.overrides:
        return
    tls = Tls(ca=read(secrets, "ca.pem"))
    with Client("localhost:50051", tls=tls, token=token, timeout=5) as client, pytest.raises(Unavailable):
        client.submit(photo)


def test_the_page_speaks_tls_on_both_sides(deployment: Deployment, secrets: Path) -> None:
    deployment.await_health("web")  # ready: the service behind it is SERVING, asked over TLS
    context = ssl.create_default_context(cadata=read(secrets, "ca.pem").decode())
    with urllib.request.urlopen("https://localhost:8080/readyz", context=context, timeout=30) as answer:
        assert answer.status == 200


def test_a_file_that_the_user_may_not_read_is_named(source: Path, secrets: Path, token: str) -> None:
    """As `selfie3d token` and certbot leave them."""
    del token
    command = ["docker", "run", "--rm", "--user", "0", "--volume", f"{secrets}:/secrets", "--entrypoint", "chown"]
    run(*command, "selfie3d/service", "0:0", "/secrets/service.key")
    deployment = Deployment(source, ("tls",), {"SELFIE3D_SECRETS": str(secrets)})
    try:
        deployment.compose("up", "--detach", "--no-build", "service", check=False)
        eventually(
            lambda: "/run/secrets/service.key: Permission denied" in deployment.compose("logs", "service"),
            "it is named",
        )
        assert "Traceback" not in deployment.compose("logs", "service")
    finally:
        deployment.compose("down", "--volumes")
        give_to_the_containers(secrets)
