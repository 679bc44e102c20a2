from pathlib import Path

import pytest

from selfie3d.address import UNIX
from selfie3d_jobs import ConfigError
from selfie3d_jobs.env import from_environment, settings_of
from selfie3d_service import ServiceConfig
from selfie3d_service.webhook_secret import new_secret

TLS = {"SELFIE3D_TLS_CERT": "c.pem", "SELFIE3D_TLS_KEY": "k.pem"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "[::1]"])
def test_loopback_needs_no_tls(host: str) -> None:
    assert from_environment(ServiceConfig, {"SELFIE3D_LISTEN": f"{host}:1"}).listen == f"{host}:1"


def test_a_unix_socket_needs_no_tls() -> None:
    assert ServiceConfig(listen="unix:/run/selfie3d.sock").host == UNIX


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.168.0.1", "api.example.org"])
def test_anything_else_needs_tls_or_to_be_named(host: str) -> None:
    listen = {"SELFIE3D_LISTEN": f"{host}:1"}
    for extra in ({}, {"SELFIE3D_ALLOW_INSECURE_BIND": "1"}, {"SELFIE3D_ALLOW_INSECURE_BIND": "10.0.0.1"}):
        with pytest.raises(ConfigError, match="loopback"):
            from_environment(ServiceConfig, listen | extra)
    from_environment(ServiceConfig, listen | {"SELFIE3D_ALLOW_INSECURE_BIND": host.strip("[]")})
    assert from_environment(ServiceConfig, listen | TLS).tls_certificate == Path("c.pem")


@pytest.mark.parametrize(
    "environ",
    [
        {"SELFIE3D_TLS_CERT": "c.pem"},
        {"SELFIE3D_TLS_CLIENT_CA": "ca.pem"},
        {"SELFIE3D_LISTEN": "nowhere"},
        {"SELFIE3D_WEBHOOK_SECRET": "short"},
        {"SELFIE3D_WEBHOOK_SECRET": new_secret(), "SELFIE3D_TOKENS": "tokens.toml"},
        {"SELFIE3D_LOG_FORMAT": "xml"},
        {"SELFIE3D_REDIS_URL": "http://localhost"},
    ],
)
def test_what_cannot_work_is_refused_at_the_start(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        from_environment(ServiceConfig, environ)


def test_a_default_deadline_above_the_longest_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        from_environment(ServiceConfig, {"SELFIE3D_JOB_TIMEOUT_SECONDS": "7200"})
    assert str(error.value) == "SELFIE3D_JOB_TIMEOUT_SECONDS=7200 is more than SELFIE3D_MAX_JOB_TIMEOUT_SECONDS=3600."


def test_every_setting_says_what_it_means() -> None:
    settings = settings_of(ServiceConfig)
    assert all(setting.text for setting in settings)
    names = [setting.variable for setting in settings]
    assert len(set(names)) == len(names)
