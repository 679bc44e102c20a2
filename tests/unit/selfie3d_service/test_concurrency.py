import pytest

from selfie3d_jobs import Reason
from selfie3d_service import CallError
from selfie3d_service.concurrency import ConcurrencyLimit, SharedLimit


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


def take_all(limit: SharedLimit, holder: str) -> None:
    while True:
        limit.acquire(holder)


def share_of(limit: SharedLimit, holder: str) -> int:
    """How many slots the holder gets when it takes all it can."""
    before = limit.in_use
    with pytest.raises(CallError) as refused:
        take_all(limit, holder)
    assert refused.value.reason is Reason.UPLOADS_BUSY
    return limit.in_use - before


def test_two_holders_that_take_all_they_can_leave_room_for_a_third() -> None:
    limit = SharedLimit(16, Reason.UPLOADS_BUSY)
    assert [share_of(limit, holder) for holder in ("one", "two", "three")] == [8, 4, 2]
    assert share_of(limit, "one") == 0


def test_a_slot_that_is_released_counts_no_more_for_its_holder() -> None:
    limit = SharedLimit(1, Reason.UPLOADS_BUSY)
    for holder in ("one", "one", "two"):
        slot = limit.acquire(holder)
        assert limit.in_use == 1
        assert share_of(limit, "three") == 0
        slot.release()
        slot.release()
    assert limit.in_use == 0
