"""`selfie3d health`: is a process alive, is it ready: one question, one exit code; for the health checks of containers.

live       the process answers; where it does not, a restart helps
accepting  the service takes jobs, whether or not a worker is there: it has Redis; what load balancers want to know
ready      it can do its work: the service has Redis and a worker, the page has a service, a worker has its model

Without a word the question is `live`, for a worker `ready`, as it was before there were words.

With `--end-stuck` it also ends what has hung or was stopped for longer than any load explains: what started the process
starts it again. Docker only writes down that a container is unhealthy.
"""

from __future__ import annotations

import argparse
import http.client
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from selfie3d import DeadlineExceeded, InvalidConnection, Selfie3dError
from selfie3d_cli.arguments import server
from selfie3d_cli.errors import ExtraMissingError, UsageError
from selfie3d_cli.probe import ANSWER_SECONDS, NOT_SERVING, SERVING, Way, listens, own_tls, page_status, reachable
from selfie3d_cli.server_options import add_tls_arguments, may_leak, refusal, tls_of, token_of
from selfie3d_cli.settings import DEFAULT_WEB_LISTEN, Settings, from_environment

if TYPE_CHECKING:
    from selfie3d_jobs.pulse import Beat

LIVE, ACCEPTING, READY = "live", "accepting", "ready"
PATHS = {LIVE: "/healthz", READY: "/readyz"}  # of the page
QUESTIONS = "does it answer; does the service take jobs; can it do its work"
Finding = tuple[bool, str]  # whether it is so, and a line for people


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("health", help="exit with 0 when the service, the page or a worker is well")
    parser.add_argument("question", nargs="?", choices=[LIVE, ACCEPTING, READY], help=QUESTIONS)
    parser.add_argument("--server", type=server, metavar="HOST:PORT", help="default: SELFIE3D_LISTEN on this host")
    parser.add_argument("--worker", action="store_true", help="ask the workers of this host")
    parser.add_argument("--web", action="store_true", help="ask the web process of this host")
    parser.add_argument("--end-stuck", action="store_true", help="kill the process if it has hung for 30 s")
    add_tls_arguments(parser.add_argument_group("for the service"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line; 0 when it is so, else 1."""
    try:
        well, text = _without_stuck(args) or _ask(args)
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("worker" if args.worker else "service", error.name) from error
    print(text)
    return 0 if well else 1


def _without_stuck(args: argparse.Namespace) -> Finding | None:
    """End what is stuck of what is asked about; None: nothing is."""
    if not args.end_stuck:
        return None
    if args.server:
        raise UsageError("--end-stuck is about processes of this machine: leave --server out.")
    from selfie3d_jobs.pulse import ProcessKind, end_stuck

    service, worker = [ProcessKind.SERVICE], [ProcessKind.WORKER, ProcessKind.CHILD]
    ended = end_stuck(*([ProcessKind.WEB] if args.web else worker if args.worker else service))
    return (False, f"ended: {_names(ended)}") if ended else None


def _names(beats: Iterable[Beat]) -> str:
    return ", ".join(f"{beat.kind} process {beat.pid}, silent for {beat.age:.0f} s" for beat in beats)


def _ask(args: argparse.Namespace) -> Finding:
    settings = from_environment()
    if args.question == ACCEPTING and (args.web or args.worker):
        raise UsageError(f"`{ACCEPTING}` is a question to the service: leave --web and --worker out.")
    if args.web:
        return _page(args.question or LIVE, settings)
    if args.worker:
        return _worker(args.question or READY)
    return _service(args.question or LIVE, args, settings)


def _service(question: str, args: argparse.Namespace, settings: Settings) -> Finding:
    address = args.server or reachable(settings.listen)
    tls = tls_of(args)
    if tls is None and settings.tls_certificate and not args.server:
        if settings.tls_client_ca:
            return _closed(question, address)
        try:
            tls = own_tls(address)
        except OSError as error:
            return False, f"{address} does not answer: {error.strerror or error}"
    try:
        way = Way(address, tls, token_of(args), may_leak(args))
        status = way.serving_status(ACCEPTING if question == ACCEPTING else "")
    except InvalidConnection as error:
        raise refusal(error, args) from error
    except DeadlineExceeded:
        return False, f"{address} does not answer within {ANSWER_SECONDS:g} s"
    except Selfie3dError as error:
        return False, str(error)
    return _found(question, address, status)


def _found(question: str, address: str, status: str) -> Finding:
    if question == ACCEPTING:
        well = status == SERVING
        return well, f"{address} {'accepts' if well else 'answers and does not accept'} jobs"
    if status == SERVING:
        return True, f"{address} is {SERVING}"
    if status == NOT_SERVING:
        return question == LIVE, f"{address} answers and is {NOT_SERVING}: it waits for Redis or for a worker"
    return False, f"{address} answers and is {status}"


def _closed(question: str, address: str) -> Finding:
    """A service that talks to holders of certificates, where none was given."""
    if not listens(address):
        return False, f"{address} does not listen"
    text = f"{address} listens; to ask more of it give --tls-ca, --tls-cert and --tls-key"
    return question == LIVE, text


def _page(question: str, settings: Settings) -> Finding:
    address = reachable(settings.web_listen or DEFAULT_WEB_LISTEN)
    try:
        status = page_status(address, PATHS[question], tls=bool(settings.web_tls_certificate), host=settings.web_host)
    except (OSError, http.client.HTTPException) as error:
        return False, f"{address} does not answer: {getattr(error, 'strerror', None) or error}"
    if question == LIVE:
        return status < 500, f"{address} answers"
    ready = status == http.client.OK
    return ready, f"{address} is ready" if ready else f"{address} answers and is not ready: status {status}"


def _worker(question: str) -> Finding:
    from selfie3d_jobs.pulse import ProcessKind, beats

    found = beats(ProcessKind.WORKER, ProcessKind.CHILD)
    if stuck := [beat for beat in found if beat.stuck]:
        return False, _names(stuck)
    if question == LIVE:
        workers = sum(beat.kind is ProcessKind.WORKER for beat in found)
        return workers > 0, f"{workers} workers run here, with {len(found) - workers} processes that are ready"
    return _reported()


def _reported() -> Finding:
    """Whether a worker process of this host has told Redis that it is ready."""
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
    ready = any(worker.verified for worker in mine)
    return ready, f"{len(mine)} worker processes of {host} report in{'' if ready else ', none is ready'}"
