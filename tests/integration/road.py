"""What tests do to a job store by hand: jobs in, attempts played, time moved."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import redis

from selfie3d.types import Priority
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import JobsConfig, Record, Store, admission, execution, maintenance, queries

LEASE = 60.0  # seconds
WIDE = admission.AdmissionLimits(max_queued=100_000, max_active=100_000, max_stored_mib=1024, result_reserve_mib=0)


def new_job(owner: str = "anna", photo: bytes = b"photo", **changes: Any) -> admission.NewJob:
    settings = pb.JobSettings(request_id=changes.pop("request_id", ""))
    values: dict[str, Any] = {
        "id": admission.new_id(),
        "owner": owner,
        "settings": settings,
        "priority": Priority.INTERACTIVE,
        "photo_sizes": (len(photo),),
        "photo_sha256s": (photo.hex(),),
        "timeout_seconds": 300.0,
        "retention_seconds": 3600.0,
        "traceparent": "",
    }
    return admission.NewJob(**(values | changes))


def submit(store: Store, job: admission.NewJob | None = None, photo: bytes = b"photo", limits: Any = WIDE) -> Record:
    job = job or new_job(photo=photo)
    return store.run(admission.create(job, [photo], limits))[0]


def new_person(*photos: bytes, **changes: Any) -> admission.NewJob:
    """A job of several photos of one person."""
    settings = pb.JobSettings(request_id=changes.pop("request_id", ""), one_person=True)
    sizes, digests = tuple(map(len, photos)), tuple(hashlib.sha256(photo).hexdigest() for photo in photos)
    return new_job(settings=settings, photo_sizes=sizes, photo_sha256s=digests, **changes)


def claim(store: Store, job_id: str, token: str = "t1", lease: float = LEASE) -> Record | None:
    return store.run(execution.claim(job_id, "host:1:2", token, lease))


def start(store: Store, job_id: str, token: str = "t1", lease: float = LEASE) -> Record:
    job = claim(store, job_id, token, lease)
    assert job is not None
    return job


def result(*files: bytes) -> execution.ExecutionResult:
    pictures = [picture_of(data) for data in files]
    faces = [
        pb.Face(index=i, file=_file_of(data), preview=pb.PreviewFile(size_bytes=len(picture)))
        for i, (data, picture) in enumerate(zip(files, pictures, strict=True))
    ]
    return execution.ExecutionResult(faces, files, {"network": 0.02}, pictures)


def _file_of(mesh: bytes) -> pb.MeshFile:
    return pb.MeshFile(size_bytes=len(mesh), sha256=hashlib.sha256(mesh).hexdigest())


def picture_of(mesh: bytes) -> bytes:
    """What stands for the picture of the head with this mesh."""
    return b"picture of " + mesh[:20]


def finish(store: Store, job_id: str, *files: bytes) -> Record:
    job = start(store, job_id, f"token of {job_id}")
    store.run(execution.succeed(job, result(*(files or (b"mesh",)))))
    return get(store, job_id)


def get(store: Store, job_id: str) -> Record:
    return store.run(queries.get(job_id, queries.ANYONE))


class Keys:
    """The store's keys, read and turned by hand."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client, self.prefix = client, prefix

    def all(self) -> set[str]:
        return {os.fsdecode(key)[len(self.prefix) :] for key in self.client.keys(f"{self.prefix}*")}

    def of(self, job_id: str) -> set[str]:
        return {key for key in self.all() if job_id in key}

    def score(self, name: str, member: str, milliseconds: int) -> None:
        """Move an entry of a time index, e.g. the end of a lease, to the distant past."""
        self.client.zadd(self.prefix + name, {member: milliseconds})

    def trust_leases(self) -> None:
        """As if there had been signs of life all the time."""
        seconds, micros = self.client.time()
        self.client.mset({self.prefix + "life": seconds * 1000 + micros // 1000, self.prefix + "back": 1})

    def lose_lease(self, job_id: str) -> None:
        self.score("leases", job_id, 1)
        self.trust_leases()

    def pass_deadline(self, job_id: str) -> None:
        self.client.hset(f"{self.prefix}job:{job_id}", "deadline", 1)
        self.score("deadlines", job_id, 1)

    def messages(self, queue: str = "interactive") -> int:
        return int(self.client.llen(self.prefix + queue))

    def ids(self, queue: str = "interactive") -> list[str]:
        """The jobs of the queue's messages, the next one first."""
        messages = self.client.lrange(self.prefix + queue, 0, -1)
        return [json.loads(message)["headers"]["id"] for message in reversed(messages)]

    def message(self, queue: str = "interactive") -> dict[str, Any]:
        """The next message of the queue."""
        message: dict[str, Any] = json.loads(self.client.lindex(self.prefix + queue, -1) or "{}")
        return message


def reap(store: Store, config: JobsConfig) -> maintenance.Reaped:
    return store.run(maintenance.reap(config))
