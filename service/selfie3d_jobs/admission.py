"""How a job comes in: admission, idempotency, storing. Calls of the service."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration

from selfie3d.types import Priority
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.wire import options_message, options_of
from selfie3d_jobs.blob_trouble import BlobTrouble
from selfie3d_jobs.command import Command, milliseconds, script
from selfie3d_jobs.env import check, setting
from selfie3d_jobs.errors import BlobsUnavailable, Refused, RequestReused
from selfie3d_jobs.reasons import Reason
from selfie3d_jobs.record import Record

MIB = 1024 * 1024
NO_BOUND = 2**52  # bytes; what lies outside Redis is the bucket's matter
OUTSIDE_RESERVE = 32 * 1024  # bytes that a result takes in Redis when its files lie outside: faces and their landmarks


@dataclass(frozen=True)
class AdmissionLimits:
    """What the service takes at most. A token may have a smaller `max_active`."""

    max_queued: int = setting(
        "SELFIE3D_MAX_QUEUED", 1000, "waiting jobs per queue (interactive, bulk)", within=(0, 10_000_000)
    )
    max_active: int = setting(
        "SELFIE3D_MAX_JOBS_PER_CALLER", 200, "jobs of one caller that have not ended", within=(0, 10_000_000)
    )
    max_stored_mib: int = setting(
        "SELFIE3D_MAX_STORED_MIB",
        2048,
        "photos and meshes in Redis, MiB; those outside have no bound",
        within=(0, 10_000_000),
    )
    result_reserve_mib: int = setting(
        "SELFIE3D_RESULT_RESERVE_MIB", 4, "kept free in Redis for each accepted job's meshes, MiB", within=(0, 10_000)
    )

    max_webhooks: int = setting(
        "SELFIE3D_MAX_WEBHOOKS_PER_CALLER",
        1000,
        "undelivered webhooks of one caller",
        within=(0, 1_000_000),
    )
    max_per_minute: int = 0  # jobs created by the caller; 0: no limit. A token says so, no variable does
    max_per_day: int = 0

    def __post_init__(self) -> None:
        """Refuse what could not work. Raises ConfigError."""
        check(self)


@dataclass(frozen=True)
class NewJob:
    """A checked request, ready to be admitted.

    photo_sizes : bytes of each photo; photo_sha256s : of each photo
    webhook_lane : of `webhooks.lane_of`; empty: no webhook is wanted
    expire_after_seconds : kept so long after its end; None: `retention_seconds` after its deadline
    """

    id: str
    owner: str
    settings: pb.JobSettings
    priority: Priority
    photo_sizes: tuple[int, ...]
    photo_sha256s: tuple[str, ...]
    timeout_seconds: float
    retention_seconds: float
    traceparent: str
    webhook_lane: str = ""
    expire_after_seconds: float | None = None

    @property
    def photo_bytes(self) -> int:
        """Of all photos together."""
        return sum(self.photo_sizes)

    @property
    def fingerprint(self) -> str:
        """Equal for equal photos and settings, as they were sent."""
        return self._hash(self.settings)

    @property
    def wish(self) -> str:
        """Equal for equal photos and wishes, a default left out or spelled out: what a request id stands for."""
        timeout = Duration()
        timeout.FromMilliseconds(milliseconds(self.timeout_seconds))
        whole = pb.JobSettings(
            request_id=self.settings.request_id,
            options=options_message(options_of(self.settings.options)),
            priority=f"PRIORITY_{self.priority.name}",
            timeout=timeout,
            webhook_url=self.settings.webhook_url,
            one_person=self.settings.one_person,
            expire_after=self.settings.expire_after if self.settings.HasField("expire_after") else None,
        )
        return self._hash(whole)

    def _hash(self, settings: pb.JobSettings) -> str:
        payload = settings.SerializeToString(deterministic=True) + "".join(self.photo_sha256s).encode()
        return hashlib.sha256(payload).hexdigest()


def new_id() -> str:
    """128 random bits: 32 characters of [0-9a-f]."""
    return secrets.token_hex(16)


def admit(job: NewJob, limits: AdmissionLimits, *, outside: bool = False) -> Command[Record | None]:
    """Ask before the photo is looked at. The earlier job of this request id, or None. Raises Refused, RequestReused.

    outside : the photo will not lie in Redis
    """
    return script("admit", _earlier, **_request(job, limits, outside))


def create(job: NewJob, photos: Sequence[bytes], limits: AdmissionLimits) -> Command[tuple[Record, bool]]:
    """Store the photos, one behind the other, and record their job: (record, is it new).

    Raises Refused, RequestReused.
    """
    return _create(job, (photos[0] if len(photos) == 1 else b"".join(photos),), limits, outside=False)


def create_outside(job: NewJob, limits: AdmissionLimits) -> Command[tuple[Record, bool]]:
    """Record the job of photos that were announced and put outside Redis, as `create`. Raises BlobsUnavailable, too."""
    return _create(job, (), limits, outside=True)


def _create(
    job: NewJob, photo: tuple[bytes, ...], limits: AdmissionLimits, *, outside: bool
) -> Command[tuple[Record, bool]]:
    settings = job.settings.SerializeToString(deterministic=True)

    def parse(reply: list[Any]) -> tuple[Record, bool]:
        _check(reply)
        record = Record.of(reply[1])
        return record, record.id == job.id  # also when this call was repeated, because its first reply got lost

    return script(
        "create",
        parse,
        blobs=(settings, *photo),
        bulky=True,
        lasting=True,
        id=job.id,
        timeout=milliseconds(job.timeout_seconds),
        retention=milliseconds(job.retention_seconds),
        expire_after="" if job.expire_after_seconds is None else milliseconds(job.expire_after_seconds),
        photo_sha256=job.photo_sha256s[0],
        **_of_one_person(job),
        traceparent=job.traceparent,
        **_request(job, limits, outside),
    )


def _of_one_person(job: NewJob) -> dict[str, str]:
    """What is recorded of several photos beside their sum."""
    if not job.settings.one_person:
        return {"photo_sha256s": "", "photo_sizes": ""}
    return {"photo_sha256s": " ".join(job.photo_sha256s), "photo_sizes": " ".join(map(str, job.photo_sizes))}


def _request(job: NewJob, limits: AdmissionLimits, outside: bool) -> dict[str, Any]:
    return {
        "owner": job.owner,
        "request_id": job.settings.request_id,
        "fingerprint": job.fingerprint,
        "wish": job.wish,
        "queue": job.priority,
        "size": job.photo_bytes,
        "max_queued": limits.max_queued,
        "max_active": limits.max_active,
        "max_bytes": NO_BOUND if outside else limits.max_stored_mib * MIB,
        "reserve": OUTSIDE_RESERVE if outside else limits.result_reserve_mib * MIB,
        "outside": outside,
        "webhook_lane": job.webhook_lane,
        "max_webhooks": limits.max_webhooks,
        "max_per_minute": limits.max_per_minute,
        "max_per_day": limits.max_per_day,
    }


def _earlier(reply: list[Any]) -> Record | None:
    _check(reply)
    return Record.of(reply[1]) if len(reply) > 1 else None


def _check(reply: list[Any]) -> None:
    if reply[0] == b"CONFLICT":
        raise RequestReused
    if reply[0] == b"REFUSED":
        raise Refused(Reason.of(reply[1].decode()))
    if reply[0] == b"LATE":
        raise BlobsUnavailable(BlobTrouble.SLOW)
