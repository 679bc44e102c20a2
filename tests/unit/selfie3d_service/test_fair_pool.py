"""Callers take turns in the pool, and one caller never holds all of it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from selfie3d_service.fair_pool import FairPool
from tests.stack import BOUND


class Work:
    """Notes what was begun, and waits until it may end."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.may_end = threading.Event()

    def __call__(self, data: bytes) -> bytes:
        self.begun.append(data)
        assert self.may_end.wait(BOUND)
        return data

    async def await_begun(self, count: int) -> None:
        async with asyncio.timeout(BOUND):
            while len(self.begun) < count:
                await asyncio.sleep(0.001)


async def test_an_honest_caller_is_served_while_two_others_have_a_hundred_pieces_waiting() -> None:
    pool, work = FairPool(2, "test"), Work()
    hostile = [asyncio.ensure_future(pool.run(who, work, who.encode())) for _ in range(50) for who in ("one", "two")]
    await work.await_begun(2)
    honest = asyncio.ensure_future(pool.run("honest", work, b"honest"))
    await asyncio.sleep(0)
    work.may_end.set()
    assert await honest == b"honest"
    assert work.begun.index(b"honest") <= 4  # two ran, one more of each may have its turn before
    assert len(await asyncio.gather(*hostile)) == 100
    pool.close()


async def test_one_caller_leaves_a_thread_to_the_others() -> None:
    pool, stuck, free = FairPool(2, "test"), Work(), Work()
    free.may_end.set()
    many = [asyncio.ensure_future(pool.run("greedy", stuck, b"")) for _ in range(5)]
    await stuck.await_begun(1)
    async with asyncio.timeout(BOUND):
        assert await pool.run("honest", free, b"x") == b"x"
    assert len(stuck.begun) == 1
    stuck.may_end.set()
    await asyncio.gather(*many)
    pool.close()


async def test_callers_that_vanish_give_their_turns_back() -> None:
    pool, work = FairPool(2, "test"), Work()
    calls = [asyncio.ensure_future(pool.run(who, work, b"")) for who in ("a", "a", "b", "b", "c")]
    await work.await_begun(2)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    work.may_end.set()
    again = [pool.run(who, work, who.encode()) for who in ("a", "b", "c")]
    async with asyncio.timeout(BOUND):
        assert await asyncio.gather(*again) == [b"a", b"b", b"c"]
    assert len(work.begun) == 5  # those that waited were never begun
    pool.close()


async def test_what_the_work_raises_reaches_its_caller_alone() -> None:
    pool = FairPool(1, "test")
    with pytest.raises(ZeroDivisionError):
        await pool.run("a", lambda data: 1 // len(data), b"")
    assert await pool.run("a", len, b"xy") == 2
    pool.close()
