"""What a worker reads and leaves: photos in, meshes and pictures out, wherever the job has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from selfie3d.types import MeshFile
from selfie3d.wire import file_message
from selfie3d_jobs import execution
from selfie3d_jobs.blob_trouble import BlobTrouble
from selfie3d_jobs.blobs import garbage, names
from selfie3d_jobs.blobs.bucket import PATIENCE_SECONDS, Bucket
from selfie3d_jobs.config import JobsConfig
from selfie3d_jobs.errors import BlobsUnavailable, JobLost, NotAhead, StoreFull
from selfie3d_jobs.execution import ExecutionResult, Objects
from selfie3d_jobs.record import Record
from selfie3d_jobs.store import Store

AT_ONCE = 4  # files put at the same time
MEDIA_TYPE = "image/webp"  # of pictures


class PhotoMissing(Exception):  # noqa: N818
    """The photo of a job that has not ended is not in the bucket: somebody else has removed it there."""


class WorkerBlobs:
    """The blobs of jobs that this process runs."""

    def __init__(self, config: JobsConfig, store: Store, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Nothing is asked yet. Raises ConfigError.

        patience_seconds : an absence of the bucket that is waited out
        """
        self._store = store
        self._bucket = Bucket(config.place, patience_seconds) if config.place else None
        self._grace_seconds = config.blob_grace_seconds
        self._lease_seconds = config.lease_seconds

    def photo(self, job: Record) -> bytes:
        """The photo's bytes. Raises JobLost when the job ended meanwhile, BlobsUnavailable, PhotoMissing."""
        if not job.outside:
            return job.photo or self._store.run(execution.photo(job.id))
        found = self._bucket_of().get(names.photo(job.id))
        if found is not None:
            return found
        if self._store.run(execution.renew(job, self._lease_seconds)):
            raise PhotoMissing
        raise JobLost

    def photos(self, job: Record) -> list[bytes]:
        """The bytes of each photo of one person; as `photo`."""
        return execution.apart(job, self.photo(job))

    def send_ahead(self, job: Record, files: Sequence[MeshFile]) -> None:
        """Mesh files that `succeed` will not have to send: they are on their way while their pictures are drawn."""
        if job.outside:
            return
        with suppress(StoreFull):  # then it sends them after all
            for face, file in enumerate(files):
                self._store.run(execution.send_ahead(job, face, file.data, self._lease_seconds))
                self._store.run(execution.announce_ahead(job, face, file_message(file)))

    def succeed(self, job: Record, result: ExecutionResult) -> None:
        """Store the meshes and their pictures, and end the job. Raises JobLost, BlobsUnavailable."""
        if not job.outside:
            try:
                self._store.run(execution.succeed_ahead(job, result))
            except NotAhead:
                self._store.run(execution.succeed(job, result))
            return
        extension = result.faces[0].file.extension if result.faces else ""
        meshes = [names.mesh(job.id, job.attempt, face, extension) for face in range(len(result.files))]
        pictures = [names.preview(job.id, job.attempt, face) for face in range(len(result.previews))]
        blobs, types = [*result.files, *result.previews], _types(result)
        self._store.run(garbage.announce_result(job, [*meshes, *pictures], self._grace_seconds))
        self._put_all([*meshes, *pictures], blobs, types)
        objects = Objects([*meshes, *pictures], extension, sum(map(len, blobs)))
        self._store.run(execution.succeed_outside(job, result, objects))

    def _put_all(self, objects: list[str], blobs: list[bytes], types: list[str]) -> None:
        put: Callable[[str, bytes, str], None] = self._bucket_of().put
        with ThreadPoolExecutor(AT_ONCE, "put") as pool:
            for done in [pool.submit(put, *each) for each in zip(objects, blobs, types, strict=True)]:
                done.result()

    def _bucket_of(self) -> Bucket:
        if self._bucket is None:
            raise BlobsUnavailable(BlobTrouble.UNSET)
        return self._bucket


def _types(result: ExecutionResult) -> list[str]:
    media_type = result.faces[0].file.media_type if result.faces else ""
    return [media_type] * len(result.files) + [MEDIA_TYPE] * len(result.previews)
