import asyncio
import logging

import pytest
from prometheus_client.exposition import generate_latest

from selfie3d_service import supervision
from selfie3d_service.metrics import Metrics
from selfie3d_service.supervision import supervise, wait_at_most


async def test_work_goes_on_after_a_failure_which_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "FAILED_SECONDS", 0.0)
    metrics, rounds, done = Metrics(), 0, asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds % 2:
            raise ZeroDivisionError("a bug")
        if rounds == 4:
            done.set()

    with caplog.at_level(logging.ERROR):
        task = asyncio.create_task(supervise("tests", work, metrics, 0.0))
        async with asyncio.timeout(10):
            await done.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert 'selfie3d_background_failures_total{task="tests"} 2.0' in generate_latest(metrics.registry).decode()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError] * 2


async def test_work_that_fails_at_once_again_and_again_takes_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def rest(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    async def work() -> None:
        if len(pauses) < 2:
            raise ZeroDivisionError("a bug")

    monkeypatch.setattr("asyncio.sleep", rest)
    with pytest.raises(asyncio.CancelledError):
        await supervise("tests", work, Metrics(), 0.0)
    assert pauses == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("turns", range(6))
async def test_a_wait_that_is_cancelled_as_its_event_is_set_ends_its_loop(turns: int) -> None:
    event = asyncio.Event()

    async def work() -> None:
        while True:
            event.clear()
            await wait_at_most(event, 0.1)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=10)
    assert done


async def test_a_wait_ends_with_its_time() -> None:
    await wait_at_most(asyncio.Event(), 0.01)
