"""A bucket for the service: asyncio, and it gives up within about a second, because a caller waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from selfie3d_jobs.blob_place import Place
from selfie3d_jobs.blob_trouble import BlobTrouble
from selfie3d_jobs.blobs.access import Access, translated
from selfie3d_jobs.blobs.opening import open_store
from selfie3d_jobs.errors import BlobsUnavailable

T = TypeVar("T")

ANSWER_SECONDS = 0.8  # the service answers UNAVAILABLE when the store has not answered by then ...
BYTES_A_SECOND = 8 * 1024 * 1024  # ... and for each of these bytes it has a second more
CONNECT_SECONDS = 0.5
REQUEST_SECONDS = 30.0  # never reached: every call is bounded
RETRIES = 2  # connections that died with the old store
AT_ONCE = 16  # deletions
LOOKERS = 4  # threads that look at a folder
PROBE = "probe"  # an object that is never there

Observe = Callable[[str, float, BlobTrouble | None], None]  # operation, seconds, what was wrong


def observe_nothing(operation: str, seconds: float, trouble: BlobTrouble | None) -> None:
    """For those who do not measure."""


class AsyncBucket:
    """Objects in, parts of them out, deletions and presigned addresses. All methods raise BlobsUnavailable."""

    def __init__(self, place: Place, observe: Observe = observe_nothing) -> None:
        """Nothing is asked yet. Raises ConfigError without obstore.

        observe : told of every call, how long it took and what was wrong
        """
        self.place = place
        self.observe = observe
        self._access = Access(place, seconds=REQUEST_SECONDS, connect_seconds=CONNECT_SECONDS, retries=RETRIES)
        self._public = self._open_public()
        self._lookers = ThreadPoolExecutor(LOOKERS, "folder")  # of their own: a dead NFS server holds them for ever

    async def put(self, name: str, parts: Sequence[bytes], media_type: str = "") -> None:
        """Store an object, whole or not at all; the parts lie one behind the other."""
        import obstore

        attributes = self._access.attributes(media_type)
        body = parts[0] if len(parts) == 1 else iter(parts)
        async with self._bounded("put", sum(map(len, parts))):
            await obstore.put_async(await self._store(), name, body, attributes=attributes, use_multipart=False)

    async def read(self, name: str, start: int, size: int) -> bytes | None:
        """`size` bytes, all of which the object has; None when it is not there."""
        import obstore

        try:
            async with self._bounded("get", size):
                return bytes(await obstore.get_range_async(await self._store(), name, start=start, length=size))
        except FileNotFoundError:
            return None

    async def delete(self, names: Sequence[str]) -> list[str]:
        """Remove objects, one at least, whether they are there or not; the names of those that are gone now."""
        places, gone = asyncio.Semaphore(AT_ONCE), list[str]()

        async def delete_one(name: str) -> None:
            async with places:
                await self._delete(name)
            gone.append(name)

        await delete_one(names[0])  # when the store is away this tells at once
        results = await asyncio.gather(*map(delete_one, names[1:]), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, BlobsUnavailable):
                raise result
        return gone

    async def _delete(self, name: str) -> None:
        import obstore

        try:
            async with self._bounded("delete", 0):
                await obstore.delete_async(await self._store(), name)
        except FileNotFoundError:
            pass
        if self.place.scheme == "file":
            async with self._bounded("delete", 0):
                await self._in_thread(lambda: self._access.remove_unfinished(name))

    async def probe(self) -> None:
        """Whether the store answers, knows the bucket and lets us read."""
        import obstore

        try:
            async with self._bounded("probe", 0):
                await obstore.get_range_async(await self._store(), PROBE, start=0, length=1)
        except FileNotFoundError:
            pass

    async def sign(self, name: str, seconds: int) -> str:
        """An address under which anybody can GET the object for so long."""
        import obstore

        async with self._bounded("sign", 0):  # asks a provider for a key where the credentials are a role's
            return await obstore.sign_async(self._public, "GET", name, timedelta(seconds=seconds))

    async def listed(self, folder: str = "") -> AsyncIterator[list[tuple[str, float]]]:
        """All objects of the place, or of a folder in it, in batches: name, and when it was written, seconds since the
        epoch by its clock."""
        import obstore

        with translated():
            async for batch in obstore.list(await self._store(), folder or None, chunk_size=1000):
                yield [(entry["path"], entry["last_modified"].timestamp()) for entry in batch]

    async def _store(self) -> Any:
        """obstore's store, as `Access.store`."""
        if self.place.scheme == "file":
            return await self._in_thread(lambda: self._access.store)
        return self._access.store

    async def _in_thread(self, look: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._lookers, look)

    def _open_public(self) -> Any:
        """The store as callers reach it, which is only signed for; None where it cannot be."""
        if self.place.public_endpoint:
            endpoint = self.place.public_endpoint
            return open_store(self.place, seconds=1.0, connect_seconds=1.0, retries=0, endpoint=endpoint)
        return self._access.store if self.place.signs else None

    @asynccontextmanager
    async def _bounded(self, operation: str, size: int) -> AsyncIterator[None]:
        started, trouble = time.monotonic(), None
        try:
            with translated():
                async with asyncio.timeout(ANSWER_SECONDS + size / BYTES_A_SECOND):
                    yield
        except BlobsUnavailable as error:
            trouble = error.trouble
            raise
        finally:
            self.observe(operation, time.monotonic() - started, trouble)
