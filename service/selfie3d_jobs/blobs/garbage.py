"""What Redis knows of objects: those that are on their way, and those that are to go.

An object's name is in `uploads` from before it is put until the script that makes it a job's; if that does not happen
in time, the reaper moves it to `garbage`. The script that ends or removes a job puts the job's objects there. A name
leaves `garbage` when its object is deleted, so that a process may die at any point and nothing is left over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from selfie3d_jobs.command import Command, ignore, milliseconds, script
from selfie3d_jobs.errors import JobLost
from selfie3d_jobs.record import Record

DELETING_SECONDS = 30.0  # who took garbage has so long to delete it; then somebody else does
BATCH = 500  # names taken or judged at once


def announce(names: Sequence[str], grace_seconds: float) -> Command[None]:
    """Say that objects will be put which no job has yet."""
    return script("announce", ignore, names=list(names), grace=milliseconds(grace_seconds), id="", attempt=0)


def announce_result(job: Record, names: Sequence[str], grace_seconds: float) -> Command[None]:
    """The same for an attempt's files. Raises JobLost when the job is not this attempt's any more."""

    def parse(reply: bytes) -> None:
        if reply != b"OK":
            raise JobLost(f"The job is not this attempt's any more: {reply.decode()}.")

    return script(
        "announce", parse, names=list(names), grace=milliseconds(grace_seconds), id=job.id, attempt=job.attempt
    )


def take_garbage() -> Command[list[str]]:
    """Names of objects to delete now; those that are not reported by `forget` in time are due again."""

    def parse(reply: list[bytes]) -> list[str]:
        return [name.decode() for name in reply]

    return script("take_garbage", parse, most=BATCH, lease=milliseconds(DELETING_SECONDS))


def forget(names: Sequence[str]) -> Command[None]:
    """Say that the objects are deleted."""
    return Command("ZREM", ("garbage", *names), ignore)


def time_left(job_id: str) -> Command[float]:
    """Seconds for which the job is kept; 0: it is not any more."""
    return script("time_left", lambda reply: int(reply) / 1000, id=job_id)


def discard_strays(names: Sequence[str]) -> Command[int]:
    """Make those objects garbage that are no job's and not on their way; how many those are."""
    return script("discard_strays", _count, names=list(names))


def _count(reply: Any) -> int:
    return int(reply)
