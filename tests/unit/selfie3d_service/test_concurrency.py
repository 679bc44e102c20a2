import pytest

from selfie3d_jobs import Reason
from selfie3d_service import CallError
from selfie3d_service.concurrency import ConcurrencyLimit


def test_a_limit_lets_so_many_in_and_a_slot_released_twice_counts_once() -> None:
    limit = ConcurrencyLimit(2, Reason.UPLOADS_BUSY)
    first, _ = limit.acquire(), limit.acquire()
    with pytest.raises(CallError) as refused:
        limit.acquire()
    assert refused.value.reason is Reason.UPLOADS_BUSY
    first.release()
    first.release()
    limit.acquire()
    with pytest.raises(CallError):
        limit.acquire()
