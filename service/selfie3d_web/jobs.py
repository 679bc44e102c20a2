"""The answers under /v1/jobs, each one call of the service."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason
from selfie3d_jobs.payload import to_json
from selfie3d_web.config import WebConfig
from selfie3d_web.events import event_stream
from selfie3d_web.mesh import mesh_response
from selfie3d_web.preview import preview_response
from selfie3d_web.problem import Problem
from selfie3d_web.settings import STATES, one_of
from selfie3d_web.upload import receive_job
from selfie3d_web.upstream import CALL_SECONDS, Upstream, answered, metadata

NO_STORE = {"Cache-Control": "no-store"}
MAX_PAGE_SIZE = 2**32 - 1  # of the message; what the service accepts is less


class Jobs:
    """Requests to calls, answers to JSON. All methods raise Problem."""

    def __init__(self, config: WebConfig, upstream: Upstream, closing: asyncio.Event) -> None:
        self._config = config
        self._upstream = upstream
        self._closing = closing

    async def create(self, request: Request) -> Response:
        """A photo in, a queued job out."""
        job = await receive_job(request, self._upstream, self._config.upload_seconds)
        return _json(job, 202, Location=f"/v1/jobs/{job.id}")

    async def get(self, request: Request) -> Response:
        """The job as it is now."""
        return _json((await self._call(request, "GetJob", pb.GetJobRequest(job_id=_id(request)))).job)

    async def list(self, request: Request) -> Response:
        """The caller's jobs, newest first."""
        return _json(await self._call(request, "ListJobs", _page(request)))

    async def cancel(self, request: Request) -> Response:
        """Stop it."""
        return _json((await self._call(request, "CancelJob", pb.CancelJobRequest(job_id=_id(request)))).job)

    async def delete(self, request: Request) -> Response:
        """Remove it."""
        await self._call(request, "DeleteJob", pb.DeleteJobRequest(job_id=_id(request)))
        return Response(status_code=204, headers=NO_STORE)

    async def events(self, request: Request) -> Response:
        """Its events, live."""
        return await event_stream(request, self._upstream, self._closing, self._config.heartbeat_seconds)

    async def mesh(self, request: Request) -> Response:
        """A mesh file."""
        return await mesh_response(request, self._upstream)

    async def preview(self, request: Request) -> Response:
        """A picture of a head."""
        return await preview_response(request, self._upstream)

    async def _call(self, request: Request, method: str, message: Any) -> Any:
        call = getattr(self._upstream.api, method)
        return await answered(call(message, metadata=metadata(request), timeout=CALL_SECONDS))


def _json(message: Any, status: int = 200, **headers: str) -> Response:
    return JSONResponse(to_json(message), status, NO_STORE | headers)


def _id(request: Request) -> str:
    return str(request.path_params["job_id"])


def _page(request: Request) -> pb.ListJobsRequest:
    wanted = pb.ListJobsRequest(page_token=request.query_params.get("page_token", ""))
    size = request.query_params.get("page_size", "0")
    if not (size.isascii() and size.isdigit() and len(size) <= len(str(MAX_PAGE_SIZE)) and int(size) <= MAX_PAGE_SIZE):
        raise Problem.of_reason(Reason.PAGE_SIZE_INVALID, field="page_size")
    wanted.page_size = int(size)
    for state in request.query_params.getlist("state"):
        wanted.states.append(one_of(STATES, "state", state))  # type: ignore[arg-type]
    return wanted
