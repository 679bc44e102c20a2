"""Where the page may be bound, and under which names it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfie3d_jobs import ConfigError
from selfie3d_web import WebConfig


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "localhost:0", "[::1]:8080", "127.3.2.1:80"])
def test_loopback_needs_no_tls(listen: str) -> None:
    assert WebConfig(listen=listen).is_local


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "192.168.1.4:80", "example.org:80"])
def test_any_other_address_needs_tls_or_its_own_name_in_the_permission(listen: str) -> None:
    with pytest.raises(ConfigError, match="SELFIE3D_WEB_ALLOW_INSECURE_BIND"):
        WebConfig(listen=listen)
    host = listen.rpartition(":")[0].strip("[]")
    assert WebConfig(listen=listen, allow_insecure_bind=host).host == host
    assert WebConfig(listen=listen, tls_certificate=Path("c"), tls_key=Path("k")).scheme == "https"


@pytest.mark.parametrize("listen", ["8080", "localhost:", "localhost:port", "localhost:70000", ":80"])
def test_a_bad_address_is_named(listen: str) -> None:
    with pytest.raises(ConfigError, match="SELFIE3D_WEB_LISTEN"):
        WebConfig(listen=listen)


@pytest.mark.parametrize(
    "half",
    [
        {"tls_certificate": Path("c")},
        {"tls_key": Path("k")},
        {"server_certificate": Path("c")},
        {"server_certificate": Path("c"), "server_key": Path("k")},
        {"log_format": "xml"},
    ],
)
def test_half_of_a_pair_is_refused(half: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="SELFIE3D_"):
        WebConfig(**half)  # type: ignore[arg-type]


def test_on_loopback_only_its_own_names_and_the_given_ones_are_answered() -> None:
    assert WebConfig(hosts="Faces.example.org").allowed_hosts == {
        "localhost",
        "127.0.0.1",
        "::1",
        "faces.example.org",
    }
    assert WebConfig(listen="0.0.0.0:80", allow_insecure_bind="0.0.0.0").allowed_hosts == frozenset()
