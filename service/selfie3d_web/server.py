"""The app on a port: uvicorn, with the bounds and the log of this project."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from selfie3d.pem import PemError, read_pair
from selfie3d_jobs import ConfigError
from selfie3d_web.app import make_app
from selfie3d_web.config import WebConfig

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 30
MAX_HEADER_BYTES = 32 * 1024
BACKLOG = 512


class WebServer:
    """`async with WebServer(config) as server:` answers at `server.port` until the block ends, then drains."""

    def __init__(self, config: WebConfig) -> None:
        """Nothing is opened yet. Raises ConfigError."""
        self._config = config
        self._app = make_app(config)
        self.port = config.port
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Bind and start. Raises ConfigError."""
        self._server = QuietServer(self._uvicorn_config())
        listener = self._bind()
        self.port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.01)
        if self._task.done():
            listener.close()
            self._task.result()
            raise ConfigError(f"SELFIE3D_WEB_LISTEN={self._config.listen}: the web server did not start.")
        extra = {"action": "start", "listen": self._config.listen, "tls": self._config.scheme == "https"}
        log.info("Serving the page.", extra=extra)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop taking connections; open requests may end within drain_seconds."""
        log.info("Going down.", extra={"action": "stop"})
        if self._server is not None and self._task is not None:
            self._app.state.closing.set()
            self._server.should_exit = True
            await self._task

    def _bind(self) -> socket.socket:
        host, port = self._config.host, self._config.port
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            text = f"SELFIE3D_WEB_LISTEN={self._config.listen}: cannot be bound: {error.strerror}."
            raise ConfigError(text) from error

    def _uvicorn_config(self) -> uvicorn.Config:
        config = self._config
        try:
            read_pair(config.tls_certificate, config.tls_key)  # uvicorn would ask the terminal for a passphrase
        except PemError as error:
            raise ConfigError(f"SELFIE3D_WEB_TLS_CERT, SELFIE3D_WEB_TLS_KEY: {error}.") from error
        settings = uvicorn.Config(
            self._app,
            http=_bounded(config.header_seconds),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=config.max_connections,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(config.drain_seconds)),
            ssl_certfile=config.tls_certificate,
            ssl_keyfile=config.tls_key,
        )
        try:
            settings.load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"SELFIE3D_WEB_TLS_CERT, SELFIE3D_WEB_TLS_KEY: {error}") from error
        return settings


class QuietServer(uvicorn.Server):
    """Leaves signals to the process that runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


def _bounded(seconds: float) -> type[H11Protocol]:
    """uvicorn's protocol, which by itself waits for a request's headers as long as it takes."""

    class BoundedProtocol(H11Protocol):
        """Ends a connection whose request line and headers are not there in time."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._timer = self.loop.call_later(seconds, transport.close)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._timer is not None:
                self._timer.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            incomplete = self.conn.their_state is h11.IDLE
            if incomplete and self._timer is None:
                self._timer = self.loop.call_later(seconds, self.transport.close)
            elif not incomplete and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return BoundedProtocol
