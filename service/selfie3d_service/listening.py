"""The service's port and its connections: bound with or without TLS, or refused with the reason; ended in time."""

from __future__ import annotations

import errno
import os
import socket

import grpc

from selfie3d.address import split_address
from selfie3d.pem import PemError, read_authorities, read_pair
from selfie3d_jobs import ConfigError
from selfie3d_service.config import ServiceConfig
from selfie3d_service.upload import PHOTO_LIMITS

REASONS = {
    errno.EADDRINUSE: "another server listens there",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "this user may not listen there; ports below 1024 belong to root",
}
UNIX_PREFIX = "unix:"
MIB = 1024 * 1024
NEVER = 2**31 - 1  # milliseconds, as gRPC reads it


def options(config: ServiceConfig) -> list[tuple[str, int]]:
    """For grpc.aio.server: how large a message may be, and how long a connection may be silent, idle or old."""
    return [
        ("grpc.max_receive_message_length", PHOTO_LIMITS.max_bytes + MIB),  # a little more, for a clear refusal
        ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a silent partner
        ("grpc.server_handshake_timeout_ms", _milliseconds(config.handshake_seconds)),
        ("grpc.keepalive_time_ms", _milliseconds(config.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", _milliseconds(config.keepalive_timeout_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # callers may look for us as often
        ("grpc.max_connection_idle_ms", _milliseconds(config.max_idle_seconds) or NEVER),
        ("grpc.max_connection_age_ms", _milliseconds(config.max_connection_seconds) or NEVER),
        ("grpc.max_connection_age_grace_ms", _milliseconds(config.connection_grace_seconds)),
    ]


def bind(server: grpc.aio.Server, config: ServiceConfig) -> int:
    """Bind what the settings say; the port. Raises ConfigError, before gRPC sees what it cannot use."""
    tls, listen = credentials(config), config.listen
    if not listen.startswith(UNIX_PREFIX):
        _refuse(listen, _fault_of(*split_address(listen)))
    try:
        port: int = server.add_secure_port(listen, tls) if tls else server.add_insecure_port(listen)
    except RuntimeError as error:
        unknown = "GRPC_VERBOSITY=debug says why"
        _refuse(listen, _fault_of_socket(listen) if listen.startswith(UNIX_PREFIX) else unknown)
        raise ConfigError(f"SELFIE3D_LISTEN={listen}: cannot be bound: {unknown}.") from error
    return port


def credentials(config: ServiceConfig) -> grpc.ServerCredentials | None:
    """For grpc; None without TLS. Raises ConfigError for files that cannot be used."""
    try:
        pair = read_pair(config.tls_certificate, config.tls_key)
    except PemError as error:
        raise ConfigError(f"SELFIE3D_TLS_CERT, SELFIE3D_TLS_KEY: {error}.") from error
    if pair is None:
        return None
    try:
        authorities = read_authorities(config.tls_client_ca) if config.tls_client_ca else None
    except PemError as error:
        raise ConfigError(f"SELFIE3D_TLS_CLIENT_CA: {error}.") from error
    chain, key = pair
    return grpc.ssl_server_credentials([(key, chain)], authorities, require_client_auth=authorities is not None)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _refuse(listen: str, fault: str | None) -> None:
    if fault is not None:
        raise ConfigError(f"SELFIE3D_LISTEN={listen}: cannot be bound: {fault}.")


def _fault_of(host: str, port: int) -> str | None:
    """Why none of the host's addresses can be bound, by trying; None: one can. gRPC writes a line and does not say."""
    faults: list[OSError] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return "the name of the host is unknown"
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
            return None
        except OSError as error:
            faults.append(error)
    return _words(faults[0])


def _fault_of_socket(listen: str) -> str | None:
    """Why gRPC could not bind a Unix socket."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(listen.removeprefix(UNIX_PREFIX))
    except OSError as error:
        return _words(error)
    return None


def _words(error: OSError) -> str:
    return REASONS.get(error.errno or 0) or (os.strerror(error.errno) if error.errno else str(error))
