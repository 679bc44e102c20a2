from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from selfie3d.types import JobState, Priority
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason
from selfie3d_service import CallError, ServiceConfig, validation

CONFIG = ServiceConfig()


@given(st.binary(max_size=200))
def test_settings_of_any_bytes_are_accepted_or_refused_by_field(data: bytes) -> None:
    settings = pb.JobSettings()
    with suppress(DecodeError):
        settings.MergeFromString(data)
    try:
        validation.check_settings(settings)
        validation.timeout_seconds(settings, CONFIG)
    except CallError as error:
        field = error.field or ""
    else:
        field = "settings."
    assert field.startswith("settings.")


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_page_token_but_ours_is_refused(token: str) -> None:
    try:
        start = validation.page_start(pb.ListJobsRequest(page_token=token), [])
    except CallError:
        return
    assert validation.page_token(start, []) == token


@pytest.mark.parametrize("states", [[], [JobState.QUEUED], [JobState.FAILED, JobState.QUEUED]])
def test_a_page_token_leads_back(states: list[JobState]) -> None:
    token = validation.page_token(12, states)
    assert validation.page_start(pb.ListJobsRequest(page_token=token), states[::-1]) == 12
    assert validation.page_token(None, states) == ""
    with pytest.raises(CallError):
        validation.page_start(pb.ListJobsRequest(page_token=token), [*states, JobState.RUNNING])


@pytest.mark.parametrize(
    ("duration", "field"),
    [
        ({"seconds": 0}, "settings.expire_after"),
        ({"nanos": 999_999_999}, "settings.expire_after"),
        ({"seconds": 3601}, "settings.expire_after"),
        ({"seconds": -60}, "settings.expire_after"),
        ({"seconds": 2, "nanos": -1}, "settings.expire_after.nanos"),
    ],
)
def test_a_job_is_kept_for_a_second_at_least_and_no_longer_than_the_service_keeps_jobs(
    duration: dict[str, int], field: str
) -> None:
    with pytest.raises(CallError) as raised:
        validation.expire_after_seconds(pb.JobSettings(expire_after=duration), CONFIG)
    assert (raised.value.reason, raised.value.field) == (Reason.EXPIRE_AFTER_INVALID, field)


def test_how_long_a_job_is_kept_is_the_services_choice_unless_it_says_so() -> None:
    assert validation.expire_after_seconds(pb.JobSettings(), CONFIG) is None
    assert validation.expire_after_seconds(pb.JobSettings(expire_after={"seconds": 1}), CONFIG) == 1
    assert validation.expire_after_seconds(pb.JobSettings(expire_after={"seconds": 3600}), CONFIG) == 3600


def test_defaults_are_interactive_and_the_services_timeout() -> None:
    assert validation.priority(pb.JobSettings()) is Priority.INTERACTIVE
    assert validation.priority(pb.JobSettings(priority=pb.PRIORITY_BULK)) is Priority.BULK
    assert validation.timeout_seconds(pb.JobSettings(), CONFIG) == CONFIG.timeout_seconds
    assert validation.timeout_seconds(pb.JobSettings(timeout={"seconds": 2, "nanos": 500_000_000}), CONFIG) == 2.5
