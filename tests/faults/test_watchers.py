"""Many watchers at once, slow and reconnecting ones among them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest

from selfie3d.types import Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from tests.faults.farm import Farm
from tests.stack import BOUND, eventually, open_api

WATCHERS = 500
CHANNELS = 10
JOBS = 4  # children of the farm's workers


@pytest.fixture
async def stubs(farm: Farm) -> AsyncIterator[list[rpc.ReconstructionServiceStub]]:
    """Half of them of each service."""
    async with AsyncExitStack() as stack:
        channels = [grpc.aio.insecure_channel(farm.addresses[i % 2]) for i in range(CHANNELS)]
        yield [open_api(await stack.enter_async_context(channel)) for channel in channels]


class Watcher:
    """Reads a job's events, and comes again when the service says UNAVAILABLE, as every client should.

    begun : set with the first event
    numbers : of the events so far
    """

    def __init__(self, api: rpc.ReconstructionServiceStub, job_id: str) -> None:
        self._api, self._job_id = api, job_id
        self.begun = asyncio.Event()
        self.numbers: list[int] = []

    async def follow(self) -> None:
        """Read as it comes."""
        while not await self._read():
            pass

    async def follow_slowly(self, others_are_done: asyncio.Event) -> None:
        """Read one event, and the rest only when all others have read everything."""
        while not await self._read(others_are_done):
            pass

    async def follow_piecemeal(self) -> None:
        """Come again after each event."""
        while not await self._read(most=1):
            pass

    async def _read(self, pause: asyncio.Event | None = None, most: int = 10**9) -> bool:
        """Whether the job has ended."""
        after = self.numbers[-1] if self.numbers else 0
        stream = self._api.WatchJob(pb.WatchJobRequest(job_id=self._job_id, after_event=after), timeout=BOUND)
        try:
            async for answer in stream:
                self.numbers.append(answer.event.number)
                self.begun.set()
                if answer.HasField("job"):
                    return True
                if pause:
                    await pause.wait()
                most -= 1
                if most == 0:
                    break
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        finally:
            stream.cancel()
        return False


async def test_500_watchers_see_every_event_once_and_in_order(
    farm: Farm, stubs: list[rpc.ReconstructionServiceStub]
) -> None:
    with farm.client() as client:
        jobs = [await asyncio.to_thread(farm.submit, client, hold=Stage.NETWORK) for _ in range(JOBS)]
    watchers = [Watcher(stubs[n % CHANNELS], jobs[n % JOBS]) for n in range(WATCHERS)]
    others_are_done = asyncio.Event()
    prompt, slow = [], []
    async with asyncio.timeout(BOUND):
        for number, watcher in enumerate(watchers):
            match number % 10:
                case 0 | 1:
                    slow.append(asyncio.create_task(watcher.follow_slowly(others_are_done)))
                case 2 | 3:
                    prompt.append(asyncio.create_task(watcher.follow_piecemeal()))
                case _:
                    prompt.append(asyncio.create_task(watcher.follow()))
        for watcher in watchers:
            await watcher.begun.wait()
    connections = len(farm.db.client_list())
    farm.release()
    await asyncio.gather(*prompt)
    others_are_done.set()
    await asyncio.gather(*slow)
    [length] = {len(watcher.numbers) for watcher in watchers}
    assert all(watcher.numbers == list(range(1, length + 1)) for watcher in watchers)
    assert connections < WATCHERS / 2, "one connection to Redis for all watchers of a process, not one each"
    farm.audit.check(jobs, SUCCEEDED=JOBS)


def test_watchers_that_vanish_leave_nothing_behind(farm: Farm) -> None:
    """Feeds and streams of a service end with their watchers: its file descriptors come down again."""
    pid = farm.services[0].pid
    before = farm.open_files(pid)
    with farm.client() as client:
        job_id = farm.submit(client, hold=Stage.NETWORK)
        farm.await_stage(job_id, Stage.NETWORK)
        own = [("grpc.use_local_subchannel_pool", 1)]  # a connection each
        channels = [grpc.insecure_channel(farm.addresses[0], own) for _ in range(40)]
        for channel in channels:
            next(open_api(channel).WatchJob(pb.WatchJobRequest(job_id=job_id)))
        assert farm.open_files(pid) >= before + 30
        for channel in channels:
            channel.close()
        eventually(lambda: farm.open_files(pid) <= before + 5, "the connections of the vanished are closed")
        farm.release()
    farm.audit.check([job_id], SUCCEEDED=1)
