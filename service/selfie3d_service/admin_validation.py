"""Requests of operators checked by field: what comes out is fit for the store."""

from __future__ import annotations

import json
from dataclasses import astuple

from google.protobuf.timestamp_pb2 import Timestamp

from selfie3d.types import Priority
from selfie3d.v1 import admin_pb2 as pb
from selfie3d.v1 import reconstruction_pb2 as api
from selfie3d_jobs import Reason
from selfie3d_jobs.queries import JobFilter
from selfie3d_service.errors import CallError
from selfie3d_service.validation import NANOSECONDS, REQUEST_ID, list_start, list_token, page_size, page_states

__all__ = ["caller", "job_filter", "page_size", "page_start", "page_token", "queue"]

MAX_CALLER = 512  # characters; a certificate's name may be longer than a token's
FIRST_SECOND, LAST_SECOND = -62135596800, 253402300799  # years 1 to 9999, as Timestamp has it
NANOS_IN_MS = 1_000_000
QUEUES: dict[int, Priority] = {api.PRIORITY_INTERACTIVE: Priority.INTERACTIVE, api.PRIORITY_BULK: Priority.BULK}


def caller(name: str) -> str:
    """A caller's name. Raises CallError."""
    if not 0 < len(name) <= MAX_CALLER:
        raise CallError(Reason.CALLER_INVALID, field="caller")
    return name


def queue(priority: int) -> Priority:
    """The queue; there is no default for what stops everybody's jobs. Raises CallError."""
    if priority not in QUEUES:
        text = "priority must be PRIORITY_INTERACTIVE or PRIORITY_BULK."
        raise CallError(Reason.OPTION_UNKNOWN, text, field="priority")
    return QUEUES[priority]


def job_filter(request: pb.ListAllJobsRequest) -> JobFilter:
    """Which jobs are wanted. Raises CallError."""
    if request.request_id and not REQUEST_ID.fullmatch(request.request_id):
        raise CallError(Reason.REQUEST_ID_INVALID, field="request_id")
    return JobFilter(
        owner=caller(request.caller) if request.caller else JobFilter.owner,
        states=tuple(sorted(page_states(request))),
        request_id=request.request_id,
        created_after=_time(request, "created_after"),
        created_before=_time(request, "created_before"),
    )


def page_start(request: pb.ListAllJobsRequest, wanted: JobFilter) -> int | None:
    """Where this page begins; None: at the newest. Raises CallError for a token of another list."""
    return list_start(request.page_token, _name(wanted))


def page_token(below: int | None, wanted: JobFilter) -> str:
    """Where the next page begins; empty after the last."""
    return list_token(below, _name(wanted))


def _name(wanted: JobFilter) -> str:
    """What tells the lists of two filters apart, and those of callers from it."""
    return f"all {json.dumps(astuple(wanted))}"


def _time(request: pb.ListAllJobsRequest, field: str) -> int | None:
    """ms since the epoch, rounded up as the store has none between. Raises CallError for what JSON has no words for."""
    if not request.HasField(field):
        return None
    time: Timestamp = getattr(request, field)
    if not (FIRST_SECOND <= time.seconds <= LAST_SECOND and 0 <= time.nanos < NANOSECONDS):
        raise CallError(Reason.TIME_INVALID, f"{field} must be a time of the years 1 to 9999.", field=field)
    return time.seconds * 1000 + -(-time.nanos // NANOS_IN_MS)
