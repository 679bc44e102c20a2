"""The asyncio client: thin faces over `_core.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

import grpc

from selfie3d._base import BaseClient, JobHandle
from selfie3d._connection import Connection
from selfie3d._core import Photos
from selfie3d._effects import Driver, Effects, drive_async
from selfie3d.types.job_status import Event, JobState, JobStatus
from selfie3d.types.options import JobOptions

if TYPE_CHECKING:
    from selfie3d.types.preview import Preview
    from selfie3d.types.result import Result

T = TypeVar("T")


class AsyncClient(BaseClient):
    """A connection to the service, for any number of tasks of the event loop it was made on.

    ::

        async with AsyncClient("localhost:50051") as client:
            result = await client.reconstruct("me.jpg")
            result.faces[0].mesh.save("me.ply")

    The arguments are those of `BaseClient`. Every method raises Selfie3dError (see errors.py).
    """

    def _open(self, connection: Connection) -> grpc.aio.Channel:
        return connection.async_channel()

    async def reconstruct(
        self,
        photo: Photos,
        *,
        timeout: float | None = None,
        on_event: Callable[[Event], None] | None = None,
        **options: Unpack[JobOptions],
    ) -> Result:
        """Photo in, meshes out: submits, follows and downloads, and survives cuts on the way.

        photo : its bytes, its path or an open file; with one_person a list of them, which gives one head
        on_event : called with each event of the job
        """
        effects = self._core.reconstruct(photo, options, timeout, events=on_event is not None)
        return await self._drive(effects, on_event)

    async def submit(self, photo: Photos, *, timeout: float | None = None, **options: Unpack[JobOptions]) -> AsyncJob:
        """Queue a photo, or with one_person a list of them. Safe to repeat with the same request_id."""
        status = await self._drive(self._core.submit(photo, options, timeout))
        return AsyncJob(self, status.id, status)

    def job(self, job_id: str) -> AsyncJob:
        """The handle of a job that was made before; asks nothing yet."""
        return AsyncJob(self, job_id)

    def jobs(self, *states: JobState | str, timeout: float | None = None) -> AsyncIterator[JobStatus]:
        """The caller's jobs, newest first, in these states or all; pages are fetched as needed."""
        return aiter(Driver[None, JobStatus](self._core.jobs(states, timeout), self._transport))

    async def close(self) -> None:
        """Close the connection; running calls end."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _drive(self, effects: Effects[T], on_event: Callable[[Event], None] | None = None) -> T:
        return await drive_async(effects, self._transport, on_event)


class AsyncJob(JobHandle[AsyncClient]):
    """A job, by its id."""

    async def status(self, *, timeout: float | None = None) -> JobStatus:
        """The job as it is now."""
        return await self._client._drive(self._core.status(self.id, timeout))

    def watch(self, after_event: int = 0, *, timeout: float | None = None) -> AsyncIterator[Event]:
        """The events behind that number, each once, until the job has ended; goes on by itself after a cut."""
        return aiter(Driver[JobStatus, Event](self._core.watch(self.id, after_event, timeout), self._client._transport))

    async def wait(self, *, timeout: float | None = None) -> JobStatus:
        """The job once it has ended, in whatever state; `JobStatus.error` says why there is no mesh."""
        return await self._client._drive(self._core.wait(self.id, timeout))

    async def result(self, *, timeout: float | None = None, on_event: Callable[[Event], None] | None = None) -> Result:
        """Wait and download. Raises JobFailed, JobCancelled or JobExpired when there is no mesh.

        on_event : called with each event of the job
        """
        return await self._client._drive(self._core.result(self.id, timeout, events=on_event is not None), on_event)

    async def download(self, face_index: int = 0, *, timeout: float | None = None) -> bytes:
        """One face's mesh file, checked against its size and SHA-256; goes on where it was after a cut."""
        return await self._client._drive(self._core.download(self.id, face_index, timeout))

    async def mesh_url(self, face_index: int = 0, *, timeout: float | None = None) -> str:
        """An address from which anybody can GET the mesh file for 15 minutes at most, to hand on to a browser.

        Raises FailedPrecondition where the service gives none.
        """
        return await self._client._drive(self._core.mesh_url(self.id, face_index, timeout))

    async def preview(self, face_index: int = 0, *, timeout: float | None = None) -> Preview:
        """A picture of one face's head, checked against its SHA-256."""
        return await self._client._drive(self._core.preview(self.id, face_index, timeout))

    async def cancel(self, *, timeout: float | None = None) -> JobStatus:
        """Stop the job; one that has ended stays as it is."""
        return await self._client._drive(self._core.cancel(self.id, timeout))

    async def delete(self, *, timeout: float | None = None) -> None:
        """Remove the ended job, its photo and its meshes now."""
        await self._client._drive(self._core.delete(self.id, timeout))
