"""Addresses and names of variables: what is taken, what is refused and with which words."""

from __future__ import annotations

import re

import pytest

from selfie3d.address import UNIX, hosts_of, is_local, split_address
from selfie3d.variables import KNOWN, unknown_variables

WANTED = "HOST:PORT is wanted, such as localhost:50051"


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("localhost:50051", ("localhost", 50051)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("redis_1.my-net:80", ("redis_1.my-net", 80)),
    ],
)
def test_host_and_port_are_told_apart(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://a:1", f"http:// is no part of an address; {WANTED}"),
        ("grpc://a", f"grpc:// is no part of an address; {WANTED}"),
        ("nonsense", f"the port is missing; {WANTED}"),
        ("", f"the port is missing; {WANTED}"),
        (":1", f"the host is missing; {WANTED}"),
        ("a:", f"the port is not a number; {WANTED}"),
        ("a:-1", f"the port is not a number; {WANTED}"),
        ("a:\u0665", f"the port is not a number; {WANTED}"),
        ("a:65536", "a port is at most 65535"),
        ("a:" + "9" * 5000, "a port is at most 65535"),
        ("::1:50051", f"'::1' is no host; {WANTED}"),
        ("[::g]:1", f"[::g] is no IPv6 address; {WANTED}"),
        ("a b:1", f"'a b' is no host; {WANTED}"),
        ("user@a:1", f"'user@a' is no host; {WANTED}"),
        ("a\n:1", f"'a\\n' is no host; {WANTED}"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(address: str, words: str) -> None:
    for read in (split_address, hosts_of):
        with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
            read(address)


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        ("a:1", ["a"]),
        ("unix:/run/x.sock", [UNIX]),
        ("unix-abstract:x", [UNIX]),
        ("dns:///unix:1", ["unix"]),
        ("dns:a:1", ["a"]),
        ("ipv4:127.0.0.1:1,10.0.0.1:2", ["127.0.0.1", "10.0.0.1"]),
        ("ipv6:[::1]:1", ["::1"]),
    ],
)
def test_the_forms_that_grpc_knows_lead_to_their_hosts(target: str, hosts: list[str]) -> None:
    assert hosts_of(target) == hosts


def test_only_this_machine_is_local() -> None:
    assert all(map(is_local, ("localhost", "127.0.0.1", "127.9.9.9", "::1", UNIX)))
    assert not any(
        map(is_local, ("unix", "localhost.example.org", "0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.org"))
    )


def test_a_variable_that_is_none_is_named_with_the_nearest_and_without_its_value() -> None:
    environ = {"SELFIE3D_TOKN": "s3d_secret", "SELFIE3D_QQQQQQQQQQQQQQ": "1", "PATH": "/bin", "SELFIE3D_LISTEN": "a:1"}
    assert unknown_variables(environ) == {
        "SELFIE3D_QQQQQQQQQQQQQQ": "SELFIE3D_QQQQQQQQQQQQQQ is not a setting of selfie3d and changes nothing: "
        "docs/settings.md lists all there are.",
        "SELFIE3D_TOKN": "SELFIE3D_TOKN is not a setting of selfie3d and changes nothing: did you mean SELFIE3D_TOKEN?",
    }


def test_what_kubernetes_sets_for_a_service_called_selfie3d_is_not_held_against_anyone() -> None:
    set_by_kubernetes = {
        "SELFIE3D_SERVICE_HOST": "10.0.0.1",
        "SELFIE3D_SERVICE_PORT": "50051",
        "SELFIE3D_SERVICE_PORT_GRPC": "50051",
        "SELFIE3D_PORT": "tcp://10.0.0.1:50051",
        "SELFIE3D_PORT_50051_TCP": "tcp://10.0.0.1:50051",
        "SELFIE3D_PORT_50051_TCP_ADDR": "10.0.0.1",
        "SELFIE3D_WEB_PORT": "tcp://10.0.0.1:80",
    }
    assert unknown_variables(set_by_kubernetes) == {}
    assert list(unknown_variables({"SELFIE3D_PORT": "50051"})) == ["SELFIE3D_PORT"]


def test_every_known_variable_is_known() -> None:
    assert unknown_variables(dict.fromkeys(KNOWN, "x")) == {}
