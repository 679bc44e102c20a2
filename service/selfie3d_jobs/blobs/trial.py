"""Everything that selfie3d does with a bucket, done once."""

from __future__ import annotations

import time

from selfie3d_jobs.blob_trouble import BlobTrouble
from selfie3d_jobs.blobs.async_bucket import AsyncBucket
from selfie3d_jobs.errors import BlobsUnavailable

FOLDER = "doctor"  # listed alone: all of a large bucket would take minutes
NAME = f"{FOLDER}/trial"  # of the object; a trial that is broken off leaves one at most
CONTENT = b"selfie3d doctor was here"


async def try_out(bucket: AsyncBucket) -> float:
    """Write, read, list and delete an object; the seconds that it took. Raises BlobsUnavailable."""
    started = time.monotonic()
    await bucket.put(NAME, [CONTENT])
    try:
        found = await bucket.read(NAME, 9, 6)
        listed = [name async for batch in bucket.listed(FOLDER) for name, _ in batch if name == NAME]
    finally:
        await bucket.delete([NAME])
    if found != CONTENT[9:15] or listed != [NAME]:
        raise BlobsUnavailable(BlobTrouble.BROKEN)
    return time.monotonic() - started
