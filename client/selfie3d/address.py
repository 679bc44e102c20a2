"""Addresses as they are written in settings and arguments: read, and refused with a reason, in one place."""

from __future__ import annotations

import ipaddress
import re

MAX_PORT = 65535
WANTED = "HOST:PORT is wanted, such as localhost:50051"
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
RESOLVERS = re.compile(r"(dns:(//[^/]*/)?|ipv4:|ipv6:)")  # of gRPC, in front of one address or several
SOCKETS = ("unix:", "unix-abstract:")
UNIX = "unix:"  # in place of the host of a Unix socket; no host is called so


def split_address(address: str) -> tuple[str, int]:
    """Host, without brackets, and port of HOST:PORT. Raises ValueError, whose text says what is wrong."""
    if scheme := SCHEME.match(address):
        raise ValueError(f"{scheme[0]}/ is no part of an address; {WANTED}")
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ValueError(f"the port is missing; {WANTED}")
    if not (port.isascii() and port.isdigit()):
        raise ValueError(f"the port is not a number; {WANTED}")
    if len(port) > len(str(MAX_PORT)) or int(port) > MAX_PORT:
        raise ValueError(f"a port is at most {MAX_PORT}")
    return _bare(host), int(port)


def hosts_of(target: str) -> list[str]:
    """The hosts that a client's address leads to; UNIX for a Unix socket. Raises ValueError as `split_address`.

    target : HOST:PORT, unix:/path, or another form that gRPC knows: unix-abstract:NAME, dns:, ipv4: and ipv6:
    """
    if target.startswith(SOCKETS):
        if target in SOCKETS:
            raise ValueError("the path is missing; unix:/PATH is wanted")
        return [UNIX]
    resolver = RESOLVERS.match(target)
    addresses = target[resolver.end() :].split(",") if resolver else [target]
    hosts, ports = zip(*map(split_address, addresses), strict=True)
    if 0 in ports:
        raise ValueError("nothing can listen on port 0")
    return list(hosts)


def is_local(host: str) -> bool:
    """Whether only processes of this machine can reach an address on `host`, as `split_address` returns it."""
    if host in ("localhost", UNIX):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bare(host: str) -> str:
    """Without the brackets of an IPv6 address. Raises ValueError for what is no host."""
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise ValueError(f"{host} is no IPv6 address; {WANTED}") from None
    if not host:
        raise ValueError(f"the host is missing; {WANTED}")
    if not HOST.fullmatch(host):
        raise ValueError(f"{host!r} is no host; {WANTED}")
    return host
