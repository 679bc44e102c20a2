"""How a job is read, cancelled and removed. Calls of the service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from selfie3d.types import JobState
from selfie3d_jobs import keys
from selfie3d_jobs.command import Command, plain, script
from selfie3d_jobs.errors import JobNotEnded, JobNotFound
from selfie3d_jobs.record import JobEvent, Record

ANYONE = ""  # as owner: whoever the job belongs to


@dataclass(frozen=True)
class JobFilter:
    """Which jobs are meant: those that meet all of it. What is left out leaves every job in.

    created_after, created_before : ms since the epoch by Redis's clock, from the first to just before the second;
        None: whenever
    """

    owner: str = ANYONE
    states: tuple[JobState, ...] = ()
    request_id: str = ""
    created_after: int | None = None
    created_before: int | None = None


def get(job_id: str, owner: str) -> Command[Record]:
    """The record. Raises JobNotFound, also for another owner's job."""

    def parse(reply: list[bytes]) -> Record:
        record = _record(reply, job_id)
        if owner not in (ANYONE, record.owner):
            raise JobNotFound(job_id)
        return record

    return script("get", parse, id=job_id)


def events(job_id: str, after: int) -> Command[list[JobEvent]]:
    """The events with a larger number, oldest first. Raises JobNotFound."""

    def parse(reply: list[Any]) -> list[JobEvent]:
        if not reply[0]:
            raise JobNotFound(job_id)
        return [JobEvent.of(entry) for entry in reply[1]]

    return script("events", parse, id=job_id, after=after)


def mesh(job_id: str, face: int, start: int, size: int) -> Command[bytes]:
    """A piece of a mesh file; empty behind its end or when it is gone."""
    return plain("GETRANGE", bytes, keys.mesh(job_id, face), start, start + size - 1)


def mesh_ahead(job_id: str, attempt: int, face: int, start: int, size: int) -> Command[bytes]:
    """A piece of a mesh file that an attempt has sent ahead; empty behind its end, or when it is the job's or gone."""
    return plain("GETRANGE", bytes, keys.ahead(job_id, attempt, face), start, start + size - 1)


def preview(job_id: str, face: int) -> Command[bytes | None]:
    """The picture of a head; None when it is gone."""
    return plain("GET", lambda reply: reply, keys.preview(job_id, face))


def page(
    owner: str, below: int | None, size: int, states: Iterable[JobState]
) -> Command[tuple[list[Record], int | None]]:
    """An owner's jobs, as `filtered_page`."""
    return filtered_page(JobFilter(owner, tuple(states)), below, size)


def filtered_page(wanted: JobFilter, below: int | None, size: int) -> Command[tuple[list[Record], int | None]]:
    """Jobs newest first with a serial number below `below`, and where to go on; None at the end.

    A page may hold fewer than `size` jobs, even none, and yet not be the last.
    """

    def parse(reply: list[Any]) -> tuple[list[Record], int | None]:
        return [Record.of(r) for r in reply[1]], int(reply[0]) if reply[0] else None

    return script(
        "list",
        parse,
        owner=wanted.owner,
        below=serial_of(below),
        size=size,
        states=[state.name for state in wanted.states],
        request_id=wanted.request_id,
        created_after=wanted.created_after,
        created_before=wanted.created_before,
    )


def serial_of(below: int | None) -> str:
    """The serial number below which a script goes on, as it reads it; None: at the newest."""
    return "inf" if below is None else str(below)


def cancel(job_id: str, owner: str) -> Command[Record]:
    """End the job now if it has not ended; its worker stops at the next stage. Raises JobNotFound."""
    return script("cancel", lambda reply: _record(reply, job_id), lasting=True, id=job_id, owner=owner)


def delete(job_id: str, owner: str) -> Command[None]:
    """Remove an ended job with all that is stored of it. Raises JobNotFound, JobNotEnded."""

    def parse(reply: bytes) -> None:
        if reply == b"NOT_FOUND":
            raise JobNotFound(job_id)
        if reply == b"NOT_ENDED":
            raise JobNotEnded

    return script("delete", parse, lasting=True, id=job_id, owner=owner)


def _record(reply: list[bytes], job_id: str) -> Record:
    if not reply:
        raise JobNotFound(job_id)
    return Record.of(reply)
