"""GET and HEAD /v1/jobs/ID/faces/N/mesh: a mesh file with ranges, and its SHA-256 as the ETag.

With ?redirect=true a GET is sent on to a presigned address of the bucket, where there is one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason
from selfie3d_web.problem import Problem
from selfie3d_web.upstream import CALL_SECONDS, Upstream, answered, metadata

MEDIA_TYPES = {".ply": "model/ply", ".obj": "model/obj", ".glb": "model/gltf-binary", ".stl": "model/stl"}
MEDIA_TYPES[".usdz"] = "model/vnd.usdz+zip"
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
MAX_FACE = 2**32 - 1
NOT_IMPLEMENTED = 501  # by a service of an earlier version


async def mesh_response(request: Request, upstream: Upstream) -> Response:
    """The file, a part of it, or that it has not changed. Raises Problem."""
    passed = metadata(request)
    if request.method == "GET" and request.query_params.get("redirect") == "true":
        elsewhere = await _address(request, upstream)
        if elsewhere:
            return RedirectResponse(elsewhere, 307, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    wanted = pb.DownloadMeshRequest(job_id=request.path_params["job_id"], face_index=face_number(request))
    file = await _find(upstream, wanted, passed)
    etag = f'"{file.sha256}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if names_etag(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    part = _part(request, file.size_bytes, etag)
    start, end = part or (0, file.size_bytes)
    headers |= {
        "Content-Length": str(end - start),
        "Content-Disposition": f'attachment; filename="{wanted.job_id[:8]}-{wanted.face_index}{file.extension}"',
        "Content-Type": file.media_type or MEDIA_TYPES.get(file.extension, "application/octet-stream"),
    }
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
    status = 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    wanted.offset = start
    call = upstream.api.DownloadMesh(wanted, metadata=passed)
    first = await _first(call)
    return StreamingResponse(_bytes(call, first, end - start), status, headers)


async def _address(request: Request, upstream: Upstream) -> str:
    """Of the mesh in its bucket; empty when the service gives none. Raises Problem."""
    wanted = pb.GetMeshUrlRequest(job_id=request.path_params["job_id"], face_index=face_number(request))
    call = upstream.api.GetMeshUrl(wanted, metadata=metadata(request), timeout=CALL_SECONDS)
    try:
        answer: pb.GetMeshUrlResponse = await answered(call)
    except Problem as problem:
        if problem.reason == Reason.MESH_URL_UNAVAILABLE.name or problem.status == NOT_IMPLEMENTED:
            return ""
        raise
    return answer.url


async def _find(upstream: Upstream, wanted: pb.DownloadMeshRequest, passed: Any) -> pb.MeshFile:
    """What is known of the file. Raises Problem; the service says why there is none."""
    call = upstream.api.GetJob(pb.GetJobRequest(job_id=wanted.job_id), metadata=passed, timeout=CALL_SECONDS)
    job: pb.Job = (await answered(call)).job
    for face in job.faces:
        if face.index == wanted.face_index and face.HasField("file"):
            return face.file
    first = await _first(upstream.api.DownloadMesh(wanted, metadata=passed, timeout=CALL_SECONDS))
    if first is grpc.aio.EOF:
        raise Problem.of_reason(Reason.FACE_NOT_FOUND)
    return first.chunk.file  # type: ignore[no-any-return]


async def _first(call: Any) -> Any:
    try:
        return await call.read()
    except grpc.aio.AioRpcError as error:
        raise Problem.of_call(error) from error


async def _bytes(call: Any, message: Any, left: int) -> AsyncIterator[bytes]:
    """`left` bytes. An error breaks the response off, short of its Content-Length: the reader asks for the rest."""
    try:
        while left > 0 and message is not grpc.aio.EOF:
            piece = message.chunk.data[:left]
            left -= len(piece)
            yield piece
            message = await call.read() if left else grpc.aio.EOF
    finally:
        call.cancel()


def _part(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """(start, end) of the wanted part, end exclusive; None: all of it. Raises Problem for one outside the file.

    As RFC 9110 wants it, what is not a single range of bytes is ignored, and so is a range of another file (If-Range).
    """
    found = RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if not found or found.groups() == ("", "") or request.headers.get("if-range", etag) != etag:
        return None
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < int(first):
        return None
    if start >= size:
        problem = Problem.of_reason(Reason.OFFSET_OUT_OF_RANGE)
        problem.headers["Content-Range"] = f"bytes */{size}"
        raise problem
    return start, end


def names_etag(header: str, etag: str) -> bool:
    """Whether If-None-Match names the tag; weakly, as it is compared."""
    return any(name.strip().removeprefix("W/") in (etag, "*") for name in header.split(","))


def face_number(request: Request) -> int:
    """N of .../faces/N/... Raises Problem."""
    number = int(request.path_params["face"])
    if number > MAX_FACE:
        raise Problem.of_reason(Reason.FACE_NOT_FOUND)
    return number
