"""When to try again, and how long to wait."""

import math

import pytest

from selfie3d import Client, DeadlineExceeded, NotFound, QuotaExceeded, Retry, Selfie3dError, ServiceError, Unavailable
from selfie3d._retry import Deadline
from tests.scripted_service import Running


def test_pauses_double_up_to_the_largest() -> None:
    retry = Retry(attempts=9, first=0.1, largest=1.0, draw=lambda: 1.0)
    pauses = [retry.pause(Unavailable(), failures) for failures in range(1, 7)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


@pytest.mark.parametrize(("drawn", "pause"), [(0.0, 0.2), (0.5, 0.3), (1.0, 0.4)])
def test_a_pause_is_drawn_from_its_upper_half(drawn: float, pause: float) -> None:
    assert Retry(first=0.4, draw=lambda: drawn).pause(Unavailable(), 1) == pytest.approx(pause)


def test_the_last_attempt_is_the_last() -> None:
    retry = Retry(attempts=3)
    assert retry.pause(Unavailable(), 2) is not None
    assert retry.pause(Unavailable(), 3) is None
    assert Retry(attempts=1).pause(Unavailable(), 1) is None


def test_a_service_that_takes_no_further_photo_at_this_moment_is_asked_again() -> None:
    busy = QuotaExceeded(retry_after=1.0, reason="UPLOADS_BUSY")
    assert Retry().pause(busy, 1) == 1.0
    assert Retry(attempts=1).pause(busy, 1) is None


@pytest.mark.parametrize("error", [NotFound(), DeadlineExceeded(), ServiceError(), QuotaExceeded()])
def test_other_errors_are_raised_at_once(error: Selfie3dError) -> None:
    assert Retry().pause(error, 1) is None


def test_the_service_s_own_pause_is_kept_when_it_is_longer() -> None:
    retry = Retry(first=0.1, quota=True)
    assert retry.pause(QuotaExceeded(retry_after=7.0), 1) == 7.0
    assert retry.pause(Unavailable(retry_after=3.0), 1) == 3.0
    assert retry.pause(QuotaExceeded(retry_after=0.0), 1) == pytest.approx(0.075, abs=0.025)


def test_a_deadline_runs_out_and_never_below_zero() -> None:
    over = Deadline(-1.0)
    assert over.remaining == 0.0
    assert not over.allows(0.0)
    soon = Deadline(100.0)
    assert soon.remaining == pytest.approx(100.0, abs=1.0)
    assert soon.allows(90.0)
    assert not soon.allows(100.0)


def test_an_endless_deadline_allows_everything() -> None:
    endless = Deadline(math.inf)
    assert endless.remaining is None
    assert endless.allows(1e9)


def test_a_call_is_given_no_longer_time_than_grpc_can_count() -> None:
    with Running.with_mesh() as running, Client(running.address, timeout=1e300) as client:
        assert client.submit(b"photo").submitted is not None  # not DEADLINE_EXCEEDED at once
    assert Deadline(1e300).remaining == 366 * 86400.0
