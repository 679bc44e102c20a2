"""Where the service is and how to get there: address, TLS, token."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import grpc

DEFAULT_ADDRESS = "localhost:50051"
CHANNEL_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.max_receive_message_length", 16 << 20),  # bytes; a page of jobs with many faces
    ("grpc.initial_reconnect_backoff_ms", 200),  # gRPC's own 1 s would outlast our first retries
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3000),
    ("grpc.keepalive_time_ms", 30_000),  # while a call runs: a service that vanished is UNAVAILABLE, not silence
    ("grpc.keepalive_timeout_ms", 10_000),
]

Pem = str | PathLike[str] | bytes  # a file's path, or PEM text as bytes


@dataclass(frozen=True)
class Tls:
    """How to encrypt.

    ca : certificates that the service's is checked against; None: those of gRPC's own list
    certificate, key : of this client, for mutual TLS
    server_name : the name in the service's certificate, where it is not the host of the address
    """

    ca: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """For grpc. Raises OSError when a file cannot be read."""
        return grpc.ssl_channel_credentials(_pem(self.ca), _pem(self.key), _pem(self.certificate))


@dataclass(frozen=True)
class Connection:
    """Everything that is needed to reach the service.

    tls : False: none; True: gRPC's own list of authorities; Tls, or the authorities' PEM as path or bytes
    token : sent as ``authorization: Bearer ...``; without TLS anyone on the way can read it
    """

    address: str
    tls: bool | Tls | Pem
    token: str | None

    def channel(self) -> grpc.Channel:
        """A blocking channel."""
        if self._tls is None:
            return grpc.insecure_channel(self.address, self._options)
        return grpc.secure_channel(self.address, self._tls.credentials(), self._options)

    def async_channel(self) -> grpc.aio.Channel:
        """A channel of the running event loop."""
        if self._tls is None:
            return grpc.aio.insecure_channel(self.address, self._options)
        return grpc.aio.secure_channel(self.address, self._tls.credentials(), self._options)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The headers of every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def _tls(self) -> Tls | None:
        if isinstance(self.tls, bool):
            return Tls() if self.tls else None
        return self.tls if isinstance(self.tls, Tls) else Tls(ca=self.tls)

    @property
    def _options(self) -> list[tuple[str, str | int]]:
        name = self._tls.server_name if self._tls else None
        return [*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", name)] if name else CHANNEL_OPTIONS


def _pem(source: Pem | None) -> bytes | None:
    return source if source is None or isinstance(source, bytes) else Path(source).read_bytes()
