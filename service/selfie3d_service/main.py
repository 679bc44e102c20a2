"""The service as a process: `run(config)`, or `python -m selfie3d_service.main` with settings from the environment."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from selfie3d_jobs import ConfigError, logs, trace
from selfie3d_jobs.env import from_environment, name_unknown, report
from selfie3d_jobs.heap import keep_room, settle
from selfie3d_jobs.pulse import ProcessKind, beating
from selfie3d_service.config import ServiceConfig
from selfie3d_service.server import Server

log = logging.getLogger(__name__)


def run(config: ServiceConfig) -> int:
    """Serve until SIGTERM or SIGINT, then drain. The process's exit code."""
    logs.configure(config.log_level, config.log_format)
    name_unknown(log)
    trace.export(config.otlp_endpoint, "selfie3d-service")
    asyncio.run(serve(config))
    return 0


async def serve(config: ServiceConfig) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Raises ConfigError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with beating(ProcessKind.SERVICE), Server(config):
        settle()
        keep_room()
        await stop.wait()


def main() -> int:
    """Settings from the environment; a bad value is reported and ends the process with code 2."""
    try:
        return run(from_environment(ServiceConfig))
    except ConfigError as error:
        return report(error)


if __name__ == "__main__":
    sys.exit(main())
