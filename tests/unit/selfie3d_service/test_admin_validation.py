from __future__ import annotations

from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from selfie3d.v1 import admin_pb2 as pb
from selfie3d.v1 import reconstruction_pb2 as api
from selfie3d_service import CallError
from selfie3d_service import admin_validation as validation

FIELDS = {field.name for field in pb.ListAllJobsRequest.DESCRIPTOR.fields}


@given(st.binary(max_size=200))
def test_a_filter_of_any_bytes_is_accepted_or_refused_by_field(data: bytes) -> None:
    request = pb.ListAllJobsRequest()
    with suppress(DecodeError):
        request.MergeFromString(data)
    field: str | None = ""
    try:
        validation.page_start(request, validation.job_filter(request))
    except CallError as error:
        field = error.field
    assert field in FIELDS | {""}


@given(
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.lists(st.integers(1, 6), max_size=6),
    st.integers(0, 2**53),
)
def test_a_page_token_leads_back_whatever_the_order_of_the_states(caller: str, states: list[int], below: int) -> None:
    wanted = validation.job_filter(pb.ListAllJobsRequest(caller=caller, states=states))  # type: ignore[arg-type]
    turned = pb.ListAllJobsRequest(caller=caller, states=states[::-1])  # type: ignore[arg-type]
    turned.page_token = validation.page_token(below, wanted)
    assert validation.page_start(turned, validation.job_filter(turned)) == below
    with pytest.raises(CallError):
        validation.page_start(turned, validation.job_filter(pb.ListAllJobsRequest(caller=f"{caller}x")))


@pytest.mark.parametrize(
    ("seconds", "nanos", "milliseconds"),
    [(0, 0, 0), (0, 1, 1), (1, 1_000_000, 1001), (1, 1_000_001, 1002), (-1, 999_999_999, 0), (-62135596800, 0, None)],
)
def test_a_time_between_two_milliseconds_is_the_later_one(seconds: int, nanos: int, milliseconds: int | None) -> None:
    for field in ("created_after", "created_before"):
        request = pb.ListAllJobsRequest(**{field: Timestamp(seconds=seconds, nanos=nanos)})  # type: ignore[arg-type]
        found = getattr(validation.job_filter(request), field)
        assert found == (seconds * 1000 if milliseconds is None else milliseconds)
    assert validation.job_filter(pb.ListAllJobsRequest()).created_after is None


@pytest.mark.parametrize(
    "stamp", [{"seconds": 253402300800}, {"seconds": -62135596801}, {"nanos": -1}, {"nanos": 10**9}]
)
def test_a_time_that_there_is_not_is_refused(stamp: dict[str, int]) -> None:
    request = pb.ListAllJobsRequest(created_before=Timestamp(**stamp))  # type: ignore[arg-type]
    with pytest.raises(CallError, match="created_before must be a time of the years 1 to 9999") as error:
        validation.job_filter(request)
    assert error.value.field == "created_before"


def test_a_caller_and_a_queue_are_never_guessed() -> None:
    for name in ("", "x" * 513):
        with pytest.raises(CallError):
            validation.caller(name)
    assert validation.caller("cert:Jörg") == "cert:Jörg"
    with pytest.raises(CallError):
        validation.queue(api.PRIORITY_UNSPECIFIED)
    assert [validation.queue(value) for value in (1, 2)] == ["interactive", "bulk"]
