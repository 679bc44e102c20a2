"""The service's port: bound with or without TLS, or refused with the reason."""

from __future__ import annotations

import errno
import os
import socket

import grpc

from selfie3d.address import split_address
from selfie3d.pem import PemError, read_authorities, read_pair
from selfie3d_jobs import ConfigError
from selfie3d_service.config import ServiceConfig

REASONS = {
    errno.EADDRINUSE: "another server listens there",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "this user may not listen there; ports below 1024 belong to root",
}
UNIX_PREFIX = "unix:"


def bind(server: grpc.aio.Server, config: ServiceConfig) -> int:
    """Bind what the settings say; the port. Raises ConfigError, before gRPC sees a certificate that it cannot use."""
    tls = credentials(config)
    try:
        port: int = server.add_secure_port(config.listen, tls) if tls else server.add_insecure_port(config.listen)
    except RuntimeError as error:
        raise ConfigError(f"SELFIE3D_LISTEN={config.listen}: cannot be bound: {_reason(config.listen)}.") from error
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


def _reason(listen: str) -> str:
    """Why an address cannot be bound, by trying: gRPC does not say it."""
    try:
        _try(listen)
    except socket.gaierror:
        return "the name of the host is unknown"
    except OSError as error:
        return REASONS.get(error.errno or 0) or (os.strerror(error.errno) if error.errno else str(error))
    return "gRPC does not say why; GRPC_VERBOSITY=debug shows more"


def _try(listen: str) -> None:
    if listen.startswith(UNIX_PREFIX):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(listen.removeprefix(UNIX_PREFIX))
        return
    host, port = split_address(listen)
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
