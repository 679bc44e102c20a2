"""Requests checked by field: what comes out is fit for the store."""

from __future__ import annotations

import base64
import binascii
import re

from google.protobuf.duration_pb2 import Duration

from selfie3d.types import JobState, OptionError, Priority
from selfie3d.types.options import check_one_person
from selfie3d.types.photo import MOST_PHOTOS
from selfie3d.v1 import admin_pb2
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import options_of, state_of
from selfie3d_jobs import Reason
from selfie3d_service.config import ServiceConfig
from selfie3d_service.errors import CallError
from selfie3d_service.webhooks import Receiver, ReceiverRefused, receiver_of

JOB_ID = re.compile(r"[0-9a-f]{32}")
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MIN_TIMEOUT_SECONDS = 0.1
MIN_EXPIRE_SECONDS = 1.0  # a caller must be able to fetch what there is
NANOSECONDS = 1_000_000_000  # in a second
DEFAULT_PAGE, MAX_PAGE = 50, 1000  # jobs
ListRequest = pb.ListJobsRequest | admin_pb2.ListAllJobsRequest


def check_job_id(job_id: str) -> str:
    """The id, when it has an id's shape. Raises CallError."""
    if not JOB_ID.fullmatch(job_id):
        raise CallError(Reason.JOB_ID_INVALID, field="job_id")
    return job_id


def check_settings(settings: pb.JobSettings) -> None:
    """Raises CallError for what is unknown or does not go together.

    Fields that this service does not know are dropped: they would be stored, whatever their size.
    """
    settings.DiscardUnknownFields()
    if settings.request_id and not REQUEST_ID.fullmatch(settings.request_id):
        raise CallError(Reason.REQUEST_ID_INVALID, field="settings.request_id")
    options = settings.options
    _known(pb.MeshFormat, options.format, "settings.options.format")
    _known(pb.Detail, options.detail, "settings.options.detail")
    _known(pb.Extent, options.extent, "settings.options.extent")
    _known(pb.Topology, options.topology, "settings.options.topology")
    _known(pb.Compression, options.compression, "settings.options.compression")
    _known(pb.Priority, settings.priority, "settings.priority")
    try:
        of_mesh = options_of(options)
        if settings.one_person:
            check_one_person(of_mesh)
    except OptionError as error:
        raise CallError(Reason.OPTION_CONFLICT, str(error), field=f"settings.options.{error.field}") from error


def receiver(settings: pb.JobSettings, listed: frozenset[str]) -> Receiver | None:
    """Where the job's webhook goes; None: there is none. Raises CallError. listed : as `receiver_of` takes it."""
    if not settings.webhook_url:
        return None
    try:
        return receiver_of(settings.webhook_url, listed)
    except ReceiverRefused as error:
        raise CallError(Reason.WEBHOOK_URL_INVALID, str(error), field="settings.webhook_url") from error


def check_photo_number(settings: pb.JobSettings, count: int) -> None:
    """Raises CallError for more photos than the settings allow."""
    if count > 1 and not settings.one_person:
        text = "Several photos need one_person: together they give one head."
        raise CallError(Reason.OPTION_CONFLICT, text, field="more_photos")
    if count > MOST_PHOTOS:
        text = f"One person has at most {MOST_PHOTOS} photos in a job."
        raise CallError(Reason.OPTION_CONFLICT, text, field="more_photos")


def timeout_seconds(settings: pb.JobSettings, config: ServiceConfig) -> float:
    """How long the job may take. Raises CallError."""
    if not settings.HasField("timeout"):
        return config.timeout_seconds
    within = (MIN_TIMEOUT_SECONDS, config.max_timeout_seconds)
    return _seconds(settings.timeout, "timeout", within, Reason.TIMEOUT_INVALID)


def expire_after_seconds(settings: pb.JobSettings, config: ServiceConfig) -> float | None:
    """How long the job is kept after its end; None: as the service has it. Raises CallError."""
    if not settings.HasField("expire_after"):
        return None
    within = (MIN_EXPIRE_SECONDS, config.retention_seconds)
    return _seconds(settings.expire_after, "expire_after", within, Reason.EXPIRE_AFTER_INVALID)


def _seconds(duration: Duration, name: str, within: tuple[float, float], reason: Reason) -> float:
    seconds = duration.seconds + duration.nanos / 1e9
    if not 0 <= duration.nanos < NANOSECONDS:  # JSON has no words for more
        raise CallError(reason, f"{name}.nanos must be 0 to 999999999.", field=f"settings.{name}.nanos")
    if not within[0] <= seconds <= within[1]:
        text = f"{name} must be {within[0]:g} to {within[1]:g} s, not {seconds:g} s."
        raise CallError(reason, text, field=f"settings.{name}")
    return seconds


def priority(settings: pb.JobSettings) -> Priority:
    """The queue."""
    return Priority.BULK if settings.priority == pb.PRIORITY_BULK else Priority.INTERACTIVE


def page_size(request: ListRequest) -> int:
    """Jobs a page. Raises CallError."""
    if request.page_size > MAX_PAGE:
        raise CallError(Reason.PAGE_SIZE_INVALID, field="page_size")
    return request.page_size or DEFAULT_PAGE


def page_states(request: ListRequest) -> list[JobState]:
    """The wanted states. Raises CallError."""
    if len(request.states) > len(JobState):  # a message has room for millions
        raise CallError(Reason.OPTION_CONFLICT, "states must hold each state once at most.", field="states")
    for state in request.states:
        _known(pb.JobState, state, "states")
        if state == pb.JOB_STATE_UNSPECIFIED:
            raise CallError(Reason.OPTION_UNKNOWN, "states must not hold JOB_STATE_UNSPECIFIED.", field="states")
    return [state_of(state) for state in request.states]


def page_token(below: int | None, states: list[JobState]) -> str:
    """Where the next page begins; empty after the last."""
    return list_token(below, _states(states))


def page_start(request: pb.ListJobsRequest, states: list[JobState]) -> int | None:
    """Where this page begins; None: at the newest. Raises CallError for a token of another list."""
    return list_start(request.page_token, _states(states))


def list_token(below: int | None, name: str) -> str:
    """A token for what is below a serial number in the list of a name; empty for None, the end."""
    return "" if below is None else base64.urlsafe_b64encode(f"{below} {name}".encode()).decode()


def list_start(token: str, name: str) -> int | None:
    """The number in a token of `list_token`; None for an empty one. Raises CallError for a token of another list."""
    if not token:
        return None
    try:
        below, _, found = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition(" ")
        if found == name and below.isascii() and below.isdigit() and len(below) < 19:
            return int(below)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        pass
    raise CallError(Reason.PAGE_TOKEN_INVALID, field="page_token")


def _states(states: list[JobState]) -> str:
    return ",".join(sorted(states))


def _known(enum: type, value: int, field: str) -> None:
    if value not in enum.values():  # type: ignore[attr-defined]
        raise CallError(Reason.OPTION_UNKNOWN, f"{field} has the unknown value {value}.", field=field)
