"""Many watchers at once, slow and reconnecting ones among them (issue 5, point 2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest
from tests.faults.farm import Farm
from tests.stack import BOUND, eventually

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_jobs import Stage

WATCHERS = 500
CHANNELS = 10
JOBS = 4  # children of the farm's workers


@pytest.fixture
async def stubs(farm: Farm) -> AsyncIterator[list[rpc.ReconstructionServiceStub]]:
    """Half of them of each service."""
    async with AsyncExitStack() as stack:
        channels = [grpc.aio.insecure_channel(farm.addresses[i % 2]) for i in range(CHANNELS)]
        yield [rpc.ReconstructionServiceStub(await stack.enter_async_context(channel)) for channel in channels]


async def follow(api: rpc.ReconstructionServiceStub, job_id: str, begun: asyncio.Semaphore) -> list[int]:
    """Read as it comes."""
    numbers = []
    async for answer in api.WatchJob(pb.WatchJobRequest(job_id=job_id), timeout=BOUND):
        numbers.append(answer.event.number)
        if len(numbers) == 1:
            begun.release()
    return numbers


async def follow_slowly(
    api: rpc.ReconstructionServiceStub, job_id: str, begun: asyncio.Semaphore, others_are_done: asyncio.Event
) -> list[int]:
    """Read one event, and the rest only when all others have read everything."""
    stream = api.WatchJob(pb.WatchJobRequest(job_id=job_id), timeout=BOUND)
    numbers = [(await stream.read()).event.number]
    begun.release()
    await others_are_done.wait()
    return numbers + [answer.event.number async for answer in stream]


async def follow_piecemeal(api: rpc.ReconstructionServiceStub, job_id: str, begun: asyncio.Semaphore) -> list[int]:
    """Come again after each event."""
    numbers: list[int] = []
    ended = False
    while not ended:
        after = numbers[-1] if numbers else 0
        stream = api.WatchJob(pb.WatchJobRequest(job_id=job_id, after_event=after), timeout=BOUND)
        answer = await stream.read()
        stream.cancel()
        numbers.append(answer.event.number)
        ended = answer.HasField("job")
        if len(numbers) == 1:
            begun.release()
    return numbers


async def test_500_watchers_see_every_event_once_and_in_order(
    farm: Farm, stubs: list[rpc.ReconstructionServiceStub]
) -> None:
    with farm.client() as client:
        jobs = [await asyncio.to_thread(farm.submit, client, hold=Stage.NETWORK) for _ in range(JOBS)]
    begun, others_are_done = asyncio.Semaphore(0), asyncio.Event()
    prompt, slow = [], []
    for number in range(WATCHERS):
        api, job_id = stubs[number % CHANNELS], jobs[number % JOBS]
        match number % 10:
            case 0 | 1:
                slow.append(asyncio.create_task(follow_slowly(api, job_id, begun, others_are_done)))
            case 2 | 3:
                prompt.append(asyncio.create_task(follow_piecemeal(api, job_id, begun)))
            case _:
                prompt.append(asyncio.create_task(follow(api, job_id, begun)))
    async with asyncio.timeout(BOUND):
        for _ in range(WATCHERS):
            await begun.acquire()
    connections = len(farm.db.client_list())
    farm.release()
    histories = await asyncio.gather(*prompt)
    others_are_done.set()
    histories += await asyncio.gather(*slow)
    [length] = {len(numbers) for numbers in histories}
    assert all(numbers == list(range(1, length + 1)) for numbers in histories)
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
            next(rpc.ReconstructionServiceStub(channel).WatchJob(pb.WatchJobRequest(job_id=job_id)))
        assert farm.open_files(pid) >= before + 30
        for channel in channels:
            channel.close()
        eventually(lambda: farm.open_files(pid) <= before + 5, "the connections of the vanished are closed")
        farm.release()
    farm.audit.check([job_id], SUCCEEDED=1)
