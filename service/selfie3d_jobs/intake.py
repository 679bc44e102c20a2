"""How a job comes in: admission, idempotency, storing. Calls of the service."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import keys
from selfie3d_jobs.call import Call, Word, command, script
from selfie3d_jobs.env import setting
from selfie3d_jobs.errors import Refused, RequestReused, StoreFull
from selfie3d_jobs.reasons import Reason
from selfie3d_jobs.record import Record
from selfie3d_jobs.states import Priority

UPLOAD_TTL_MS = 300_000  # a photo whose job was never recorded is gone after this
MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What the service takes at most. A token may have a smaller `max_active`."""

    max_queued: int = setting("SELFIE3D_MAX_QUEUED", 1000, "waiting jobs per queue (interactive, bulk)")
    max_active: int = setting("SELFIE3D_MAX_JOBS_PER_CALLER", 200, "jobs of one caller that have not ended")
    max_stored_mib: int = setting("SELFIE3D_MAX_STORED_MIB", 2048, "photos and meshes in Redis, MiB")
    result_reserve_mib: int = setting("SELFIE3D_RESULT_RESERVE_MIB", 4, "kept free for each accepted job's meshes, MiB")


@dataclass(frozen=True)
class NewJob:
    """A checked request, ready to be admitted."""

    id: str
    owner: str
    settings: pb.JobSettings
    priority: Priority
    photo_bytes: int
    photo_sha256: str
    timeout_seconds: float
    retention_seconds: float
    traceparent: str

    @property
    def fingerprint(self) -> str:
        """Equal for equal photo and settings: what a request id stands for."""
        payload = self.settings.SerializeToString(deterministic=True) + self.photo_sha256.encode()
        return hashlib.sha256(payload).hexdigest()


def new_id() -> str:
    """128 random bits: 32 characters of [0-9a-f]."""
    return secrets.token_hex(16)


def admit(job: NewJob, limits: Limits) -> Call[Record | None]:
    """Ask before the photo is looked at. The earlier job of this request id, or None. Raises Refused, RequestReused."""
    return script("admit", _parse_intake, *_common(job, limits))


def put_photo(job_id: str, photo: bytes) -> Call[None]:
    """Store the bytes for the job about to be created."""
    return command("SET", _ignore, keys.photo(job_id), photo, "PX", UPLOAD_TTL_MS)


def create(job: NewJob, limits: Limits) -> Call[tuple[Record, bool]]:
    """Record the job whose photo was just put: (record, is it new). Raises Refused, RequestReused, StoreFull."""
    milliseconds = (int(job.timeout_seconds * 1000), int(job.retention_seconds * 1000))
    settings = job.settings.SerializeToString(deterministic=True)
    words = (job.id, *milliseconds, settings, job.photo_sha256, job.traceparent)

    def parse(reply: list[Any]) -> tuple[Record, bool]:
        record = _parse_intake(reply)
        if record is None:
            raise StoreFull
        return record, record.id == job.id  # also when this call was repeated, because its first reply got lost

    return script("create", parse, *_common(job, limits), *words)


def _common(job: NewJob, limits: Limits) -> tuple[Word, ...]:
    bounds = (limits.max_queued, limits.max_active, limits.max_stored_mib * MIB, limits.result_reserve_mib * MIB)
    return (job.owner, job.settings.request_id, job.fingerprint, job.priority, job.photo_bytes, *bounds)


def _parse_intake(reply: list[Any]) -> Record | None:
    verdict = reply[0]
    if verdict == b"CONFLICT":
        raise RequestReused
    if verdict == b"NO_PHOTO":
        raise StoreFull
    if verdict == b"REFUSED":
        raise Refused(Reason.of(reply[1].decode()))
    return Record.of(reply[1]) if len(reply) > 1 else None


def _ignore(reply: object) -> None:
    del reply
