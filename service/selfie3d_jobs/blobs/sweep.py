"""Objects that nobody knows any more, as after a Redis that lost its last writes: found by listing the place.

A place has a mark, the object `owner`, with a number that Redis has, too. Where they differ, the place is another
deployment's, or Redis came back empty, and nothing is touched.
"""

from __future__ import annotations

import logging
import secrets
import time

from selfie3d_jobs.blobs import garbage
from selfie3d_jobs.blobs.async_bucket import AsyncBucket
from selfie3d_jobs.command import Command
from selfie3d_jobs.store import AsyncStore

log = logging.getLogger(__name__)

OWNER = "owner"
OWNER_BYTES = 32
EVERY_SECONDS = 3600


async def sweep(store: AsyncStore, bucket: AsyncBucket, grace_seconds: float) -> int:
    """Make garbage of objects older than twice the grace that are no job's; how many those were.

    Raises BlobsUnavailable, StoreUnavailable, StoreFull.
    """
    if not await _is_ours(store, bucket):
        log.warning(
            "The objects in SELFIE3D_BLOBS are another deployment's, or Redis has lost its data: none is swept. "
            "If they are this one's, remove the object `%s` there.",
            OWNER,
            extra={"action": "sweep"},
        )
        return 0
    found, newest = 0, time.time() - 2 * grace_seconds
    async for batch in bucket.listed():
        names = [name for name, written in batch if written < newest]
        for start in range(0, len(names), garbage.BATCH):
            found += await store.run(garbage.discard_strays(names[start : start + garbage.BATCH]))
    if found:
        log.warning("Objects that were no job's were found.", extra={"action": "sweep", "count": found})
    return found


async def is_due(store: AsyncStore, every_seconds: int = EVERY_SECONDS) -> bool:
    """Whether this process is to sweep now: one of all does in each hour."""
    return await store.run(Command("SET", ("sweep", "1", "NX", "EX", every_seconds), bool))


async def _is_ours(store: AsyncStore, bucket: AsyncBucket) -> bool:
    await store.run(Command("SET", ("owner", secrets.token_hex(OWNER_BYTES // 2), "NX"), bool))
    ours = await store.run(Command[bytes]("GET", ("owner",), bytes))
    marked = await bucket.read(OWNER, 0, OWNER_BYTES)
    if marked is None:
        await bucket.put(OWNER, [ours])
    return marked in (None, ours)
