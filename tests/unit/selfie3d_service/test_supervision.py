import asyncio
import logging

import pytest
from prometheus_client.exposition import generate_latest

from selfie3d_service.metrics import Metrics
from selfie3d_service.supervision import supervise


async def test_work_goes_on_after_a_failure_which_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
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
