"""How a process of ours is asked how it is: a service over gRPC, a page over HTTP, each with or without TLS."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from selfie3d import Selfie3dError, Tls
from selfie3d._connection import Connection
from selfie3d.address import split_address
from selfie3d.errors import from_rpc_error
from selfie3d_cli.errors import ExtraMissingError
from selfie3d_cli.settings import from_environment

ANSWER_SECONDS = 3.0
SERVING = "SERVING"  # grpc.health.v1
NOT_SERVING = "NOT_SERVING"


@dataclass(frozen=True)
class Way:
    """How to a service: its address, how to encrypt (None: not) and the token to show, if any, on whichever way."""

    address: str
    tls: Tls | None = None
    token: str | None = None
    insecure_token: bool = False

    def serving_status(self, about: str = "") -> str:
        """What the service says of itself: SERVING, NOT_SERVING ... about : a name that health answers for

        Raises Selfie3dError when it does not answer, InvalidConnection, ModuleNotFoundError.
        """
        import grpc
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        connection = Connection(self.address, self.tls or False, self.token, self.insecure_token)
        with connection.channel() as channel:
            ask = health_pb2_grpc.HealthStub(channel).Check
            try:
                answer = ask(
                    health_pb2.HealthCheckRequest(service=about), timeout=ANSWER_SECONDS, metadata=connection.metadata
                )
            except grpc.RpcError as error:
                raise from_rpc_error(error, self.address, encrypted=connection.encrypted) from error
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def own_tls(address: str) -> Tls:
    """TLS to a service of this machine that takes the certificate it shows, whatever its name and whoever issued it.

    Only for an address of our own and for questions without secrets. Raises OSError when there is no TLS.
    """
    host, port = _parts(address)
    shown = ssl.get_server_certificate((host, port), timeout=ANSWER_SECONDS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=shown)
    with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as plain, context.wrap_socket(plain) as tls:
        return Tls(ca=shown.encode(), server_name=_name_in(tls.getpeercert() or {}))


def listens(address: str) -> bool:
    """Whether something accepts connections at HOST:PORT or unix:/path."""
    try:
        if address.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(ANSWER_SECONDS)
                probe.connect(address.removeprefix("unix:"))
        else:
            socket.create_connection(_parts(address), timeout=ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def reachable(listen: str) -> str:
    """The address by which this machine reaches what listens there: 0.0.0.0 and [::] are no destinations."""
    return listen.replace("0.0.0.0:", "127.0.0.1:", 1).replace("[::]:", "[::1]:", 1)


def is_ready(listen: str, *, tls: bool) -> bool:
    """Whether the service of this machine at that address says SERVING. tls : whether it encrypts

    One that wants certificates of its callers cannot be asked: whether it listens. Raises ExtraMissingError.
    """
    address = reachable(listen)
    if tls and from_environment().tls_client_ca:
        return listens(address)
    try:
        return Way(address, own_tls(address) if tls else None).serving_status() == SERVING
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("service", error.name) from error
    except (OSError, Selfie3dError):
        return False


def page_status(address: str, path: str, *, tls: bool, host: str) -> int:
    """The status of a GET of the page's process; host : what it is called there. Raises OSError, HTTPException."""
    name, port = _parts(address)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # of this machine, and nothing secret is said
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            name, port, timeout=ANSWER_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(name, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


def _parts(address: str) -> tuple[str, int]:
    try:
        return split_address(address)
    except ValueError as error:
        raise OSError(f"{address}: {error}") from error


def _name_in(certificate: dict[str, Any]) -> str:
    """A name that a certificate is for. certificate : as `SSLSocket.getpeercert` returns it"""
    subject: dict[str, str] = dict(pair for group in certificate.get("subject", ()) for pair in group)
    names: list[str] = [name for kind, name in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    return [*names, subject.get("commonName", "")][0].replace("*.", "any.", 1)
