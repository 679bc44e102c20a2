"""`selfie3d up`: embedded Redis, service, workers and the page in one terminal."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from selfie3d_cli.arguments import count, listen
from selfie3d_cli.doctor_checks import check_settings, check_tls
from selfie3d_cli.errors import UsageError
from selfie3d_cli.finding import Severity
from selfie3d_cli.local_stack import LocalStack, StackConfig
from selfie3d_cli.page import page_address, page_url
from selfie3d_cli.settings import DEFAULT_LISTEN, from_environment
from selfie3d_cli.sharing import share

LOOK = 0.2  # seconds between two looks at the children


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("up", help="run Redis, the service, workers and the page in this terminal")
    parser.add_argument(
        "--data", type=Path, default=from_environment().data, metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--listen", type=listen, metavar="HOST:PORT", help=f"default: SELFIE3D_LISTEN or {DEFAULT_LISTEN}"
    )
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="worker processes, default: 1")
    parser.add_argument("--no-web", action="store_true", help="without the page and HTTP")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or Ctrl-C, then drain; a second one ends everything at once."""
    if args.listen:
        os.environ["SELFIE3D_LISTEN"] = args.listen
    refuse_bad_settings()
    settings = from_environment()
    workers, worker_settings = share(args.workers)
    config = StackConfig(
        data=args.data,
        listen=settings.listen,
        workers=workers,
        worker_settings=worker_settings,
        redis_url=settings.redis_url,
        web="" if args.no_web else page_address(settings, say),
        tls=bool(settings.tls_certificate),
        log_format=settings.log_format or StackConfig.log_format,
    )
    return keep_running(config)


def refuse_bad_settings() -> None:
    """Raises UsageError for a setting that a child would refuse: before anything is started."""
    for finding in (*check_settings(), *check_tls()):
        if finding.level is Severity.FAILURE:
            raise UsageError(f"{finding.text.rstrip('.')}.")


def keep_running(config: StackConfig) -> int:
    """Run the stack until a signal; 0 when everything ended cleanly. Raises StackError, RedisServerError."""
    stop = _stop_on_signals()
    stack = LocalStack(config, say)
    try:
        stack.start()
        if stack.await_ready(stop.is_set):
            say(_ready_line(config))
            if config.web:
                say(f"selfie3d | the page: {page_url(config.web)}")
        while not stop.wait(LOOK):
            stack.revive()
        say("selfie3d | draining; once more ends it at once")
        clean = stack.stop()
    except BaseException:
        stack.kill()
        raise
    say("selfie3d | ended" if clean else "selfie3d | ended, but not cleanly: see above")
    return 0 if clean else 1


def say(line: str) -> None:
    """One whole line at a time: several threads write."""
    print(f"{line}\n", end="", flush=True)


def _ready_line(config: StackConfig) -> str:
    number = config.workers * int(config.worker_settings.get("SELFIE3D_CONCURRENCY", 1))
    workers = "1 worker" if number == 1 else f"{number} workers"
    redis = "SELFIE3D_REDIS_URL" if config.redis_url else str(config.data)
    return f"selfie3d | ready at {config.listen} with {workers}, data in {redis}. Ctrl-C drains and ends."


def _stop_on_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set; the second of them interrupts."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop
