"""The service behind the door: one channel, and what of a request travels on to it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from starlette.requests import Request

from selfie3d.balance import balancing
from selfie3d.pem import PemError, read_authorities, read_pair
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_jobs import ConfigError
from selfie3d_jobs.trace import TRACEPARENT
from selfie3d_web.config import WebConfig
from selfie3d_web.problem import Problem

CALL_SECONDS = 30.0  # for a call that the service answers at once
HEALTH_SECONDS = 2.0
CHANNEL_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.max_receive_message_length", 8 << 20),  # a page of jobs has up to 3 MiB
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),  # a service that comes back is found at once
]
Metadata = tuple[tuple[str, str], ...]
Answer = TypeVar("Answer")


class Upstream:
    """The service. `api` has its methods."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None) -> None:
        """Connects with the first call; without credentials in the clear."""
        options = [*CHANNEL_OPTIONS, *balancing(address)]
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options)
        self.api: Any = rpc.ReconstructionServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)

    def raw(self, path: str) -> Any:
        """A method by its path, with one message in and any number out, as bytes: the same on the wire as one out."""
        return self._channel.unary_stream(path)

    async def is_serving(self) -> bool:
        """Whether the service takes jobs and has workers for them."""
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """End all calls."""
        await self._channel.close()


async def answered(call: Awaitable[Answer]) -> Answer:
    """The call's answer. Raises Problem."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise Problem.of_call(error) from error


def metadata(request: Request) -> Metadata:
    """Who calls, and in which trace. Raises Problem for a header that gRPC cannot carry."""
    passed = []
    authorization = request.headers.get("authorization")
    if authorization is not None:
        if not (authorization.isascii() and authorization.isprintable()):
            raise Problem(400, "The authorization header must be printable ASCII.")
        passed.append(("authorization", authorization))
    traceparent = request.headers.get("traceparent", "")
    if TRACEPARENT.fullmatch(traceparent):
        passed.append(("traceparent", traceparent))
    return tuple(passed)


def read_credentials(config: WebConfig) -> grpc.ChannelCredentials | None:
    """Whom the door trusts and what it shows; None: no TLS. Raises ConfigError for files that cannot be used."""
    if config.server_ca is None:
        return None
    try:
        authorities = read_authorities(config.server_ca)
    except PemError as error:
        raise ConfigError(f"SELFIE3D_WEB_SERVER_CA: {error}.") from error
    try:
        chain, key = read_pair(config.server_certificate, config.server_key) or (None, None)
    except PemError as error:
        raise ConfigError(f"SELFIE3D_WEB_SERVER_CERT, SELFIE3D_WEB_SERVER_KEY: {error}.") from error
    return grpc.ssl_channel_credentials(authorities, key, chain)
