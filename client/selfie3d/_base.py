"""What both clients, and both job handles, are made of."""

from __future__ import annotations

from typing import Generic, TypeVar

import grpc

from selfie3d._connection import DEFAULT_ADDRESS, Connection, Tls
from selfie3d._core import Core
from selfie3d._effects import Transport
from selfie3d._retry import Retry
from selfie3d.errors import InvalidConnection
from selfie3d.pem import Pem
from selfie3d.types.job_status import JobStatus

TIMEOUT = 300.0  # seconds for one logical call, retries, waiting and downloads included


class BaseClient:
    """A connection to the service. Raises InvalidConnection for arguments that can never reach one.

    address : host:port, unix:/path, or dns:///host:port for turns between all addresses of the host
    token : sent with every call; refused where it would travel without TLS to another machine
    insecure_token : send it all the same: something else protects the way
    tls : False; True for gRPC's own list of authorities; a PEM file of authorities; or Tls(...) for mutual TLS
    timeout : seconds for one logical call, retries included; math.inf: no end; each method can be given its own
    retry : when failed calls are made again
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        token: str | None = None,
        insecure_token: bool = False,
        tls: bool | Tls | Pem = False,
        timeout: float = TIMEOUT,
        retry: Retry | None = None,
    ) -> None:
        if not timeout > 0:  # nor NaN
            raise InvalidConnection(f"timeout is {timeout}, but must be above 0 seconds.", reason="INVALID_TIMEOUT")
        connection = Connection(address, tls, token, insecure_token)
        self._channel = self._open(connection)
        self._transport = Transport(self._channel, connection.metadata, address, encrypted=connection.encrypted)
        self._core = Core(retry or Retry(), timeout)

    def _open(self, connection: Connection) -> grpc.Channel | grpc.aio.Channel:
        """The channel, blocking or asyncio."""
        raise NotImplementedError


AnyClient = TypeVar("AnyClient", bound=BaseClient)


class JobHandle(Generic[AnyClient]):
    """A handle of one job.

    Attributes
    ----------
    id : what `client.job(id)` finds it with again
    submitted : the job as `submit` left it; None for handles made by `client.job`
    """

    def __init__(self, client: AnyClient, job_id: str, submitted: JobStatus | None = None) -> None:
        self.id = job_id
        self.submitted = submitted
        self._client = client
        self._core = client._core

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"
