"""Where webhooks may go, and where they may not."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from selfie3d_service.webhooks import ReceiverRefused, receiver_of
from selfie3d_service.webhooks.receiver import MAX_URL, is_public, resolve

NONE: frozenset[str] = frozenset()


def test_a_url_is_taken_apart() -> None:
    found = receiver_of("https://Hooks.Example.com./a/b?c=d#e", NONE)
    assert (found.host, found.port, found.target, found.secure) == ("hooks.example.com", 443, "/a/b?c=d", True)
    assert (found.origin, found.authority) == ("https://hooks.example.com:443", "hooks.example.com")
    assert found.lookup_name == "hooks.example.com."
    other = receiver_of("https://[2606:4700::1111]:8443", NONE)
    assert (other.origin, other.authority) == ("https://[2606:4700::1111]:8443", "[2606:4700::1111]:8443")
    assert (other.target, other.lookup_name) == ("/", "2606:4700::1111")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "//example.com/",
        "example.com",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://:word@example.com/",
        "https://example.com:0/",
        "https://example.com:70000/",
        "https://example.com:x/",
        "https://exa mple.com/",
        "https://example.com/\r\nhost: other",
        "https://example.com/ä",
        "https://example.com\\@other.com/",
        "https://exa%6dple.com/",
        "https://a..b/",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        f"https://example.com/{'a' * MAX_URL}",
        "https://localhost/",
        "https://a.localhost./",
        "https://127.0.0.1/",
        "https://10.0.0.1:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fd00::1]/",
    ],
)
def test_what_nothing_may_be_sent_to_is_refused(url: str) -> None:
    with pytest.raises(ReceiverRefused):
        receiver_of(url, NONE)


def test_a_refusal_does_not_show_what_may_be_secret() -> None:
    with pytest.raises(ReceiverRefused) as refused:
        receiver_of("https://user:word@example.com/?token=12345", NONE)
    assert "word" not in str(refused.value).replace("password", "")
    assert "12345" not in str(refused.value)


@pytest.mark.parametrize("listed", ["receiver", "receiver:8000"])
def test_a_listed_host_may_be_private_and_without_tls(listed: str) -> None:
    found = receiver_of("http://receiver:8000/hook", frozenset({listed}))
    assert (found.secure, found.listed, found.lookup_name) == (False, True, "receiver")


def test_a_listed_port_lists_no_other_port() -> None:
    with pytest.raises(ReceiverRefused):
        receiver_of("http://receiver:6379/hook", frozenset({"receiver:8000"}))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1", "fe80::1%1",
        "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "::127.0.0.1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "localhost", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


def resolver(*addresses: str) -> Any:
    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        del host
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    return getaddrinfo


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = receiver_of("https://example.com/", NONE)
    monkeypatch.setattr(socket, "getaddrinfo", resolver("1.1.1.1", "10.0.0.1"))
    with pytest.raises(ReceiverRefused, match="not public"):
        resolve(receiver)
    monkeypatch.setattr(socket, "getaddrinfo", resolver("1.1.1.1", "2606:4700::1111", "1.1.1.1"))
    assert resolve(receiver) == ["1.1.1.1", "2606:4700::1111"]


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1"])
def test_another_spelling_of_loopback_is_refused_when_it_is_resolved(host: str) -> None:
    """Whether the system's resolver knows the spelling or not: nothing is sent."""
    with pytest.raises((ReceiverRefused, OSError)):
        resolve(receiver_of(f"https://{host}/", NONE))
