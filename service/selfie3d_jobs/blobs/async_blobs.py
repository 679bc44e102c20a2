"""What the service takes in and hands out: photos in, meshes and pictures out, wherever their job has them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import admission, queries
from selfie3d_jobs.admission import AdmissionLimits, NewJob
from selfie3d_jobs.blob_trouble import BlobTrouble
from selfie3d_jobs.blobs import garbage, names
from selfie3d_jobs.blobs.async_bucket import AsyncBucket
from selfie3d_jobs.blobs.sweep import is_due, sweep
from selfie3d_jobs.config import JobsConfig
from selfie3d_jobs.errors import BlobsUnavailable, JobNotFound, NoSignedUrl
from selfie3d_jobs.record import MeshAhead, Record
from selfie3d_jobs.store import AsyncStore

CHUNK_BYTES = 256 * 1024  # of a download
PIECE_BYTES = 4 * CHUNK_BYTES  # read at once: most of what reading costs is the way there and back
SMALL_BYTES = 256 * 1024  # photos of a job up to here are sent with the question whether they are taken
SIGNED_SECONDS = 900  # a presigned address is good for so long at most


@dataclass(frozen=True)
class SignedUrl:
    """An address under which anybody can GET a mesh for `seconds`."""

    url: str
    seconds: int


class AsyncBlobs:
    """The blobs of all jobs; a job's own record says where they are.

    bucket : where those of new jobs go; None: to Redis
    """

    def __init__(self, config: JobsConfig, store: AsyncStore, bucket: AsyncBucket | None) -> None:
        self._store = store
        self._bucket = bucket
        self._grace_seconds = config.blob_grace_seconds

    async def admit(self, job: NewJob, limits: AdmissionLimits) -> Record | None:
        """As `admission.admit`. Of small photos that go to Redis `create` decides alone: None."""
        if self._bucket is None and job.photo_bytes <= SMALL_BYTES:
            return None
        return await self._store.run(admission.admit(job, limits, outside=self._bucket is not None))

    async def create(self, job: NewJob, photos: Sequence[bytes], limits: AdmissionLimits) -> tuple[Record, bool]:
        """As `admission.create`. Raises BlobsUnavailable, too."""
        if self._bucket is None:
            return await self._store.run(admission.create(job, photos, limits))
        name = names.photo(job.id)
        await self._store.run(garbage.announce([name], self._grace_seconds))
        await self._bucket.put(name, photos)
        return await self._store.run(admission.create_outside(job, limits))

    async def mesh(self, record: Record, face: int, offset: int, file: pb.MeshFile) -> AsyncIterator[bytes]:
        """A mesh from an offset, in chunks. Raises JobNotFound as soon as the job is not kept any more."""
        while offset < file.size_bytes:
            size = min(PIECE_BYTES, file.size_bytes - offset)
            piece = await self._piece(record, face, offset, size, file.extension)
            if not piece:
                raise JobNotFound(record.id)
            for start in range(0, len(piece), CHUNK_BYTES):
                await self._check_kept(record)
                yield piece[start : start + CHUNK_BYTES]
            offset += len(piece)

    async def mesh_ahead(self, job_id: str, mesh: MeshAhead) -> AsyncIterator[bytes]:
        """A mesh of a job that has not ended, in chunks: as much as there is until the job ends."""
        offset, size = 0, mesh.file.size_bytes
        while offset < size:
            piece = await self._store.run(queries.mesh_ahead(job_id, mesh.attempt, mesh.face, offset, PIECE_BYTES))
            if not piece:
                return
            for start in range(0, len(piece), CHUNK_BYTES):
                yield piece[start : start + CHUNK_BYTES]
            offset += len(piece)

    async def preview(self, record: Record, face: int, file: pb.PreviewFile) -> bytes:
        """The picture of a head. Raises JobNotFound."""
        if record.outside:
            name = names.preview(record.id, record.attempt, face)
            data = await self._bucket_of().read(name, 0, file.size_bytes)
            await self._check_kept(record)
        else:
            data = await self._store.run(queries.preview(record.id, face))
        if data is None:  # its time was over meanwhile
            raise JobNotFound(record.id)
        return data

    async def mesh_url(self, record: Record, face: int, file: pb.MeshFile) -> SignedUrl:
        """A presigned address, for 15 minutes and never past the job's time. Raises NoSignedUrl, JobNotFound."""
        if not record.outside or not self._bucket_of().place.signs:
            raise NoSignedUrl
        seconds = int(min(SIGNED_SECONDS, await self._store.run(garbage.time_left(record.id))))
        if seconds < 1:
            raise JobNotFound(record.id)
        name = names.mesh(record.id, record.attempt, face, file.extension)
        return SignedUrl(await self._bucket_of().sign(name, seconds), seconds)

    async def collect(self) -> int:
        """Delete what is garbage, up to a bound; how many objects that were."""
        if self._bucket is None:
            return 0
        taken = await self._store.run(garbage.take_garbage())
        mixed = random.sample(taken, len(taken))  # one that cannot be deleted must not be the first each time
        gone = await self._bucket.delete(mixed) if mixed else []
        if gone:
            await self._store.run(garbage.forget(gone))
        return len(gone)

    async def sweep(self) -> None:
        """Once an hour, by one of all processes: as `sweep.sweep`."""
        if self._bucket and await is_due(self._store):
            await sweep(self._store, self._bucket, self._grace_seconds)

    async def _piece(self, record: Record, face: int, offset: int, size: int, extension: str) -> bytes | None:
        if not record.outside:
            return await self._store.run(queries.mesh(record.id, face, offset, size))
        return await self._bucket_of().read(names.mesh(record.id, record.attempt, face, extension), offset, size)

    async def _check_kept(self, record: Record) -> None:
        """What lies outside Redis does not vanish with its job at the same moment."""
        if record.outside and not await self._store.run(garbage.time_left(record.id)):
            raise JobNotFound(record.id)

    def _bucket_of(self) -> AsyncBucket:
        if self._bucket is None:
            raise BlobsUnavailable(BlobTrouble.UNSET)
        return self._bucket
