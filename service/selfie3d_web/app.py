"""The ASGI app: routes to answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from selfie3d_web import grpc_web
from selfie3d_web.config import WebConfig
from selfie3d_web.files import Files
from selfie3d_web.jobs import Jobs
from selfie3d_web.openapi import document
from selfie3d_web.problem import Problem
from selfie3d_web.shield import Shield
from selfie3d_web.upstream import Upstream, read_credentials


def make_app(config: WebConfig) -> Starlette:
    """The app over a service. Its channel is opened with the app's start and closed with its end. Raises ConfigError.

    `app.state.closing`, an asyncio.Event, ends the open event streams when it is set.
    """
    door = Door(config)
    app = Starlette(
        routes=door.routes(),
        middleware=[Middleware(Shield, hosts=config.allowed_hosts, keeps_tokens=config.keeps_tokens)],
        exception_handlers={Problem: _problem, HTTPException: _http, ClientDisconnect: _gone, Exception: _unexpected},
        lifespan=door.lifespan,
    )
    app.state.closing = door.closing
    return app


class Door:
    """What the routes share."""

    def __init__(self, config: WebConfig) -> None:
        self._config = config
        self._credentials = read_credentials(config)
        self._files = Files()
        self._calls = grpc_web.GrpcWeb()
        self.closing = asyncio.Event()
        self._upstream: Upstream | None = None

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Open and close the way to the service."""
        del app
        self._upstream = Upstream(self._config.server, self._credentials)
        yield
        await self._upstream.close()

    def routes(self) -> list[Route]:
        """Every path; openapi.py describes those of the API."""
        return [
            Route("/v1/jobs", self._job("create"), methods=["POST"]),
            Route("/v1/jobs", self._job("list"), methods=["GET"]),
            Route("/v1/jobs/{job_id}", self._job("get"), methods=["GET"]),
            Route("/v1/jobs/{job_id}", self._job("delete"), methods=["DELETE"]),
            Route("/v1/jobs/{job_id}/cancel", self._job("cancel"), methods=["POST"]),
            Route("/v1/jobs/{job_id}/events", self._job("events"), methods=["GET"]),
            Route("/v1/jobs/{job_id}/faces/{face:int}/mesh", self._job("mesh"), methods=["GET"]),
            Route("/v1/jobs/{job_id}/faces/{face:int}/preview.webp", self._job("preview"), methods=["GET"]),
            Route(grpc_web.PATH, self._grpc_web, methods=["POST"]),
            Route("/openapi.json", self._openapi, methods=["GET"]),
            Route("/healthz", self._healthz, methods=["GET"]),
            Route("/readyz", self._readyz, methods=["GET"]),
            Route("/", self._page("index.html"), methods=["GET"]),
            Route("/j/{job_id}", self._page("index.html"), methods=["GET"]),
            Route("/docs", self._page("docs.html"), methods=["GET"]),
            Route("/static/{name:path}", self._files.serve, methods=["GET"]),
        ]

    @property
    def upstream(self) -> Upstream:
        """The way to the service, while the app runs."""
        if self._upstream is None:
            raise Problem(503, "The server is starting.")
        return self._upstream

    def _job(self, name: str) -> Any:
        async def answer(request: Request) -> Response:
            response: Response = await getattr(Jobs(self._config, self.upstream, self.closing), name)(request)
            return response

        return answer

    def _page(self, name: str) -> Any:
        async def answer(request: Request) -> Response:
            return self._files.response(request, name)

        return answer

    async def _grpc_web(self, request: Request) -> Response:
        return await self._calls.answer(request, self.upstream, self.closing, self._config.upload_seconds)

    async def _openapi(self, request: Request) -> Response:
        del request
        return JSONResponse(document(), headers={"Cache-Control": "no-cache"})

    async def _healthz(self, request: Request) -> Response:
        """This process answers."""
        del request
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    async def _readyz(self, request: Request) -> Response:
        """The service takes jobs and has workers. Raises Problem."""
        del request
        if not await self.upstream.is_serving():
            raise Problem(503, "The service cannot be reached, or has no worker.", retry_seconds=2)
        return JSONResponse({"status": "ready"}, headers={"Cache-Control": "no-store"})


async def _problem(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Problem)
    return error.response()


async def _http(request: Request, error: Exception) -> Response:
    """What the router says: 404 and 405."""
    del request
    assert isinstance(error, HTTPException)
    return Problem(
        error.status_code, _HTTP_TEXTS.get(error.status_code, error.detail), headers=error.headers
    ).response()


async def _gone(request: Request, error: Exception) -> Response:
    """Nobody is there to read it; 499 is what nginx logs."""
    del request, error
    return Response(status_code=499)


async def _unexpected(request: Request, error: Exception) -> Response:
    """The log says more."""
    del request, error
    return Problem(500, "Something unexpected went wrong; the server's log says more.").response()


_HTTP_TEXTS = {404: "There is no such page.", 405: "This path does not take that method."}
