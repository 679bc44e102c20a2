"""Where the service is and how to get there: address, TLS, token."""

from __future__ import annotations

import re
from dataclasses import dataclass

import grpc

from selfie3d.address import hosts_of, is_local
from selfie3d.balance import balancing
from selfie3d.errors import InvalidConnection
from selfie3d.pem import Pem, PemError, read_authorities, read_pair

DEFAULT_ADDRESS = "localhost:50051"
TOKEN = re.compile(r"[\x21-\x7e]+")  # what an HTTP header can carry as one word
INVALID_TOKEN, TOKEN_IN_CLEAR = "INVALID_TOKEN", "TOKEN_IN_CLEAR"  # reasons of InvalidConnection
CHANNEL_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.max_receive_message_length", 16 << 20),  # bytes; a page of jobs with many faces
    ("grpc.initial_reconnect_backoff_ms", 200),  # gRPC's own 1 s would outlast our first retries
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3000),
    ("grpc.keepalive_time_ms", 30_000),  # while a call runs: a service that vanished is UNAVAILABLE, not silence
    ("grpc.keepalive_timeout_ms", 10_000),
]


@dataclass(frozen=True)
class Tls:
    """How to encrypt.

    ca : certificates that the service's is checked against; None: those of gRPC's own list
    certificate, key : of this client, for mutual TLS; both or none
    server_name : the name in the service's certificate, where it is not the host of the address
    """

    ca: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """For grpc. Raises InvalidConnection when a file cannot be used."""
        try:
            authorities = None if self.ca is None else read_authorities(self.ca)
            pair = read_pair(self.certificate, self.key)
        except PemError as error:
            raise InvalidConnection(f"TLS is not possible: {error}.", reason="INVALID_TLS") from None
        chain, key = pair or (None, None)
        return grpc.ssl_channel_credentials(authorities, key, chain)


@dataclass(frozen=True)
class Connection:
    """Everything that is needed to reach the service. Raises InvalidConnection for what can never reach one.

    tls : False: none; True: gRPC's own list of authorities; Tls, or the authorities' PEM as path or bytes
    token : sent as ``authorization: Bearer ...``
    insecure_token : whether it may leave this machine without TLS, where anyone on the way can read it
    """

    address: str
    tls: bool | Tls | Pem
    token: str | None
    insecure_token: bool = False

    def __post_init__(self) -> None:
        try:
            hosts = hosts_of(self.address)
        except ValueError as error:
            text = f"{self.address!r} is not the address of a service: {error}."
            raise InvalidConnection(text, reason="INVALID_ADDRESS") from None
        if self.token and not TOKEN.fullmatch(self.token):
            what = "a line break in it" if "\n" in self.token or "\r" in self.token else "characters that none has"
            text = f"The token has {what}: printable ASCII without spaces is wanted."
            raise InvalidConnection(text, reason=INVALID_TOKEN)
        if self.token and not (self.encrypted or self.insecure_token or all(map(is_local, hosts))):
            text = (
                f"The token would travel to {self.address} readable by anyone on the way: give tls=..., "
                "or insecure_token=True where something else protects it."
            )
            raise InvalidConnection(text, reason=TOKEN_IN_CLEAR)

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
    def encrypted(self) -> bool:
        """Whether calls go over TLS."""
        return self._tls is not None

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
        override: list[tuple[str, str | int]] = [("grpc.ssl_target_name_override", name)] if name else []
        return [*CHANNEL_OPTIONS, *balancing(self.address), *override]
