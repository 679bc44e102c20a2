import pytest
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2 as details

from selfie3d_jobs import JobNotEnded, JobNotFound, Reason, Refused, RequestReused, StoreFull, StoreUnavailable
from selfie3d_photo import PhotoError, PhotoReason
from selfie3d_service.errors import CODES, CallError, translate


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_becomes_a_full_status(reason: Reason) -> None:
    status = CallError(reason, field="settings.x", resource=("kind", "name")).status()
    assert (status.code, status.message) == (reason.code, reason.text)
    assert CODES[status.code].name
    found = {detail.TypeName(): detail for detail in status.details}
    info, bad, retry = details.ErrorInfo(), details.BadRequest(), details.RetryInfo()
    found["google.rpc.ErrorInfo"].Unpack(info)
    assert (info.reason, info.domain) == (reason.name, "selfie3d")
    found["google.rpc.BadRequest"].Unpack(bad)
    assert [(v.field, v.description) for v in bad.field_violations] == [("settings.x", reason.text)]
    assert ("google.rpc.RetryInfo" in found) == bool(reason.retry_seconds)
    if reason.retry_seconds:
        found["google.rpc.RetryInfo"].Unpack(retry)
        assert retry.retry_delay.ToMilliseconds() == reason.retry_seconds * 1000


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (JobNotFound("x"), Reason.JOB_NOT_FOUND),
        (JobNotEnded(), Reason.JOB_NOT_ENDED),
        (RequestReused(), Reason.REQUEST_ID_REUSED),
        (Refused(Reason.QUEUE_FULL), Reason.QUEUE_FULL),
        (StoreFull(), Reason.STORAGE_FULL),
        (StoreUnavailable(), Reason.STORE_UNAVAILABLE),
        (DecodeError(), Reason.REQUEST_MALFORMED),
        *[(PhotoError(reason, "why"), Reason.of(reason)) for reason in PhotoReason],
    ],
)
def test_every_error_below_is_a_row_of_the_table(error: Exception, reason: Reason) -> None:
    assert translate(error).reason is reason


def test_the_unexpected_is_logged_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    answer = translate(ZeroDivisionError("password=hunter2"))
    assert answer.reason is Reason.INTERNAL
    assert "hunter2" not in answer.status().SerializeToString().decode(errors="replace")
    assert caplog.records[0].exc_info
