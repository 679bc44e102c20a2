"""When the store is asked before it gets a photo."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from selfie3d.types import Priority
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import AsyncStore, JobsConfig
from selfie3d_jobs.admission import AdmissionLimits, NewJob, new_id
from selfie3d_jobs.blobs.async_blobs import SMALL_BYTES, AsyncBlobs
from selfie3d_jobs.blobs.async_bucket import AsyncBucket
from selfie3d_jobs.command import Command


class Asked:
    """A store that writes down the commands it gets."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def run(self, command: Command[object]) -> None:
        self.names.append(command.name)


JOB = NewJob(new_id(), "ann", pb.JobSettings(), Priority.INTERACTIVE, (1,), ("",), 60.0, 60.0, "")


@pytest.mark.parametrize(
    ("sizes", "bucket", "asked"),
    [
        ((SMALL_BYTES,), False, []),
        ((SMALL_BYTES + 1,), False, ["admit"]),
        ((SMALL_BYTES, 1), False, ["admit"]),
        ((1,), True, ["admit"]),
    ],
)
def test_only_what_is_small_and_goes_to_redis_is_sent_unasked(
    sizes: tuple[int, ...], bucket: bool, asked: list[str]
) -> None:
    store = Asked()
    place = cast(AsyncBucket, object()) if bucket else None
    blobs = AsyncBlobs(JobsConfig(), cast(AsyncStore, store), place)
    asyncio.run(blobs.admit(replace(JOB, photo_sizes=sizes), AdmissionLimits()))
    assert store.names == asked
