"""`selfie3d health`: one question, one exit code; for the health checks of containers."""

from __future__ import annotations

import argparse
import socket
from typing import Any

from selfie3d_cli.arguments import server
from selfie3d_cli.errors import ExtraMissingError
from selfie3d_cli.settings import DEFAULT_WEB_LISTEN, from_environment

ANSWER_SECONDS = 3.0
SERVING = "SERVING"  # grpc.health.v1


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("health", help="exit with 0 when the service, or this host's worker, is well")
    parser.add_argument(
        "--server", type=server, metavar="HOST:PORT", help="default: the port of SELFIE3D_LISTEN on this host"
    )
    parser.add_argument("--worker", action="store_true", help="ask Redis whether a worker of this host reports in")
    parser.add_argument("--web", action="store_true", help="ask the web process of this host")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line; 0 when well, else 1."""
    try:
        if args.web:
            well, text = _web(from_environment().web_listen or DEFAULT_WEB_LISTEN)
        else:
            well, text = _worker() if args.worker else _service(args.server or _own_address())
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("service", error.name) from error
    print(text)
    return 0 if well else 1


def _own_address() -> str:
    _, _, port = from_environment().listen.rpartition(":")
    return f"127.0.0.1:{port}"


def serving_status(address: str, *, wait: bool) -> str:
    """What the service says of itself: SERVING, NOT_SERVING ...; or the grpc status of a failed call.

    wait : for a server that is just starting, for at most ANSWER_SECONDS
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    request = health_pb2.HealthCheckRequest()
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=ANSWER_SECONDS, wait_for_ready=wait)
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def listens(address: str) -> bool:
    """Whether something accepts connections there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS):
            return True
    except OSError:
        return False


def _service(address: str) -> tuple[bool, str]:
    """Whether the server accepts calls. That workers are there is readiness, which `doctor` and Health.Check tell."""
    if from_environment().tls_certificate:  # its certificate has names that we do not know, and may want one of us
        return (True, f"{address} listens") if listens(address) else (False, f"{address} does not listen")
    status = serving_status(address, wait=True)
    well = status in {SERVING, "NOT_SERVING"}
    return well, f"{address} answers and is {status}" if well else f"{address} does not answer: {status}"


def _web(listen: str) -> tuple[bool, str]:
    """Whether the port of the page is open; whether jobs are taken is what /readyz tells."""
    address = f"127.0.0.1:{listen.rpartition(':')[2]}"
    return (True, f"{address} listens") if listens(address) else (False, f"{address} does not listen")


def _worker() -> tuple[bool, str]:
    from selfie3d_jobs import JobsConfig, JobsError, Store, maintenance
    from selfie3d_jobs.env import from_environment as configuration

    host = socket.gethostname()
    store = Store(configuration(JobsConfig), tries=1)
    try:
        workers = store.run(maintenance.snapshot()).workers
    except JobsError as error:
        return False, f"Redis does not answer: {error}"
    finally:
        store.close()
    mine = [worker for worker in workers if worker.name.startswith(f"{host}:")]
    well = any(worker.verified for worker in mine)
    return well, f"{len(mine)} worker processes of {host} report in" + ("" if well else ", none is ready")
