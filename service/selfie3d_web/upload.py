"""POST /v1/jobs: the photos go on to the service while they come in, with no more than a piece of them here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from starlette.requests import Request

from selfie3d.errors import LOST_STATUSES
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason
from selfie3d_web.body import MAX_PHOTO_BYTES, MAX_PHOTOS_BYTES, Body, Form, Piece, is_form
from selfie3d_web.problem import Problem
from selfie3d_web.settings import job_settings
from selfie3d_web.upstream import CALL_SECONDS, Upstream, answered, metadata

MAX_PART_BYTES = 1024 * 1024  # of an UploadJob message
ANSWER_SECONDS = 60.0  # from the photo's last byte to the job


async def receive_job(request: Request, upstream: Upstream, seconds: float) -> pb.Job:
    """The new job, or the one that the Idempotency-Key already has. Raises Problem, ClientDisconnect."""
    form = is_form(request.headers.get("content-type", ""))
    body = Body(request, seconds, MAX_PHOTOS_BYTES if form else MAX_PHOTO_BYTES)
    try:
        settings, photos = await _open(request, body)
        return await _send(upstream, settings, photos, metadata(request))
    except Problem:
        await body.drain()
        raise


async def _open(request: Request, body: Body) -> tuple[pb.JobSettings, AsyncIterator[Piece]]:
    """What the job should be, and its photos, not read yet."""
    fields = request.query_params.multi_items()
    photos: AsyncIterator[Piece] = body.pieces()
    content_type = request.headers.get("content-type", "")
    if is_form(content_type):
        form = Form(content_type, body)
        await form.read_fields()
        fields, photos = fields + form.fields, form.photos()
    return job_settings(fields, request.headers.get("idempotency-key", "")), photos


async def _send(upstream: Upstream, settings: pb.JobSettings, photos: AsyncIterator[Piece], passed: Any) -> pb.Job:
    call = upstream.api.UploadJob(metadata=passed)
    try:
        await _write(call, pb.UploadJobRequest(settings=settings))
        async for piece in photos:
            if piece is None:
                await _write(call, pb.UploadJobRequest(next_photo=True))
                continue
            for start in range(0, len(piece), MAX_PART_BYTES):
                await _write(call, pb.UploadJobRequest(chunk=piece[start : start + MAX_PART_BYTES]))
        await _write(call, None)
        async with asyncio.timeout(ANSWER_SECONDS):
            answer: pb.UploadJobResponse = await _answer(call)
        return answer.job
    except TimeoutError as error:
        raise Problem(504, "The service did not answer in time: try again.") from error
    except LostReason as error:
        raise await _find_reason(upstream, settings, passed) from error
    finally:
        call.cancel()


class LostReason(Exception):  # noqa: N818 - named after what has happened
    """The service has ended the call, and grpc.aio forgot its status because a piece was just being written."""


async def _write(call: Any, message: pb.UploadJobRequest | None) -> None:
    """One message, or the end. Raises Problem with the service's answer when it has answered already, LostReason."""
    try:
        await (call.done_writing() if message is None else call.write(message))
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
        await _answer(call)
        raise Problem(502, "The service took the photo before its end.") from error


async def _answer(call: Any) -> Any:
    """What the service answers. Raises Problem, LostReason."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.details() in LOST_STATUSES:
            raise LostReason from error
        raise Problem.of_call(error) from error


async def _find_reason(upstream: Upstream, settings: pb.JobSettings, passed: Any) -> Problem:
    """Why an upload was ended: what the service says to the same without a photo, which it never takes."""
    request = pb.CreateJobRequest(settings=settings)
    try:
        await answered(upstream.api.CreateJob(request, metadata=passed, timeout=CALL_SECONDS))
    except Problem as problem:
        if problem.reason != Reason.PHOTO_EMPTY.name:
            return problem
    return Problem(503, "The service ended the upload before the photo was there: try again.", retry_seconds=1.0)
