"""Where a webhook goes: its URL taken apart, and the addresses that it may be sent to.

Only https to public addresses is allowed, unless the operator lists the host. A name is checked by what it resolves to,
each time it is used, and the connection is made to the address that was checked: what the name says a moment later
does not matter.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

MAX_URL = 2048  # characters
PORTS = {"https": 443, "http": 80}
URL = re.compile(r"[\x21-\x7e]+")  # what HTTP lets stand in a request line
NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
UNICAST = IPv6Network("2000::/3")  # all there is of global IPv6
NAT64 = IPv6Network("64:ff9b::/96")  # the last 32 bits are an IPv4 address


class ReceiverRefused(ValueError):  # noqa: N818 - named after what happened
    """The text says why nothing is sent there; it holds no more of the URL than its host."""


@dataclass(frozen=True)
class Receiver:
    """A URL that webhooks may be sent to.

    Attributes
    ----------
    target : path and query
    listed : whether the operator named the host, so that its address may be any
    """

    secure: bool
    host: str
    port: int
    target: str
    listed: bool

    @property
    def origin(self) -> str:
        """scheme://host:port"""
        return f"{'https' if self.secure else 'http'}://{self._bracketed}:{self.port}"

    @property
    def authority(self) -> str:
        """What the header Host says."""
        usual = PORTS["https" if self.secure else "http"]
        return self._bracketed if self.port == usual else f"{self._bracketed}:{self.port}"

    @property
    def lookup_name(self) -> str:
        """What is resolved. A name that is not listed is a whole one: no search domain is tried with it."""
        return self.host if self.listed or _literal(self.host) else f"{self.host}."

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def receiver_of(url: str, listed: frozenset[str]) -> Receiver:
    """Take a URL apart. Raises ReceiverRefused for one that nothing may be sent to.

    listed : hosts, or HOST:PORT, that the operator allows whatever their addresses, lower case
    """
    if len(url) > MAX_URL or not URL.fullmatch(url):
        raise ReceiverRefused(f"webhook_url must have 1 to {MAX_URL} characters of ASCII, and no spaces.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower().removesuffix("."), parts.port
    except ValueError:
        raise ReceiverRefused("webhook_url is no address.") from None
    if parts.username is not None or parts.password is not None:
        raise ReceiverRefused("webhook_url must not name a user or a password.")
    if parts.scheme not in PORTS or port == 0 or not (NAME.fullmatch(host) or _literal(host)):
        raise ReceiverRefused("webhook_url must be https://HOST[:PORT]/PATH.")
    port = port or PORTS[parts.scheme]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    found = Receiver(parts.scheme == "https", host, port, target, not listed.isdisjoint({host, f"{host}:{port}"}))
    _refuse_unlisted(found)
    return found


def _refuse_unlisted(receiver: Receiver) -> None:
    if receiver.listed:
        return
    if not receiver.secure:
        raise ReceiverRefused("webhook_url must be https.")
    name = receiver.host
    if name == "localhost" or name.endswith(".localhost") or (_literal(name) and not is_public(name)):
        raise ReceiverRefused("webhook_url must have a public host.")


def resolve(receiver: Receiver) -> list[str]:
    """The addresses to try, in order; blocks. Raises OSError, ReceiverRefused when one of them is not public."""
    found = socket.getaddrinfo(receiver.lookup_name, receiver.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not receiver.listed and not all(map(is_public, addresses)):
        raise ReceiverRefused(f"{receiver.host} has an address that is not public.")
    return addresses


def is_public(address: str) -> bool:
    """Whether anybody on the internet could reach it; an IPv6 address around an IPv4 one counts as that one."""
    ip = _literal(address)
    if ip is None:
        return False
    inner = _inner(ip)
    if inner is not None:
        return is_public(str(inner))
    in_use = ip in UNICAST if isinstance(ip, IPv6Address) else not (ip.is_multicast or ip.is_reserved)
    return ip.is_global and in_use


def _inner(ip: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(ip, IPv4Address):
        return None
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
