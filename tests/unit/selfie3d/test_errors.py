"""The translation of errors is complete and says what the service said."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from selfie3d import errors
from selfie3d.errors import (
    CODES,
    DETAILS_KEY,
    REASONS,
    JobEnded,
    PhotoRejected,
    QuotaExceeded,
    Selfie3dError,
    ServiceError,
    Unavailable,
    Violation,
    from_rpc_error,
)
from selfie3d_photo import PhotoReason


class FailedCall(grpc.RpcError):  # type: ignore[misc]
    """A failed call as grpc hands it out."""

    def __init__(self, code: grpc.StatusCode, message: str | None, *details: Message, others: bool = False) -> None:
        self._code = code
        self._message = message
        status = status_pb2.Status(code=code.value[0], message=message or "")
        for detail in details:
            status.details.add().Pack(detail)
        self._metadata = [(DETAILS_KEY, status.SerializeToString())] if details else []
        if others:
            self._metadata.insert(0, ("x-other", b"1"))

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._message

    def trailing_metadata(self) -> list[tuple[str, bytes]] | None:
        return self._metadata or None


def tree() -> list[type[Selfie3dError]]:
    """Every error of the module."""
    return [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Selfie3dError)]


def test_every_status_has_its_error() -> None:
    assert set(CODES) == set(grpc.StatusCode) - {grpc.StatusCode.OK}
    for code, kind in CODES.items():
        assert type(from_rpc_error(FailedCall(code, "No."))) is kind


def test_every_reason_to_refuse_a_photo_is_a_photo_rejected() -> None:
    for reason in PhotoReason:
        assert REASONS[reason.value] is PhotoRejected


@pytest.mark.parametrize("reason", REASONS)
def test_the_reason_decides_before_the_status(reason: str) -> None:
    info = error_details_pb2.ErrorInfo(reason=reason, domain="selfie3d")
    error = from_rpc_error(FailedCall(grpc.StatusCode.INTERNAL, "No.", info, others=True))
    assert type(error) is REASONS[reason]
    assert (error.reason, error.code, str(error)) == (reason, grpc.StatusCode.INTERNAL, "No.")


def test_every_detail_arrives_and_unknown_ones_do_no_harm() -> None:
    error = from_rpc_error(
        FailedCall(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "Full.",
            error_details_pb2.DebugInfo(detail="unknown here"),
            error_details_pb2.ErrorInfo(reason="QUEUE_FULL"),
            error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)),
            error_details_pb2.BadRequest(field_violations=[{"field": "photo", "description": "Later."}]),
        )
    )
    assert isinstance(error, QuotaExceeded)
    assert (error.reason, error.retry_after, error.violations) == ("QUEUE_FULL", 1.5, (Violation("photo", "Later."),))


def test_a_call_without_words_gets_the_class_s_own() -> None:
    error = from_rpc_error(FailedCall(grpc.StatusCode.UNAVAILABLE, None))
    assert type(error) is Unavailable
    assert str(error).startswith("The service cannot be reached: check the address")
    assert error.reason == "UNAVAILABLE"


def test_the_tree_at_the_top_of_the_file_is_the_tree() -> None:
    drawn = [line.strip("│├└─ ").split()[0] for line in (errors.__doc__ or "").splitlines() if "─ " in line]
    assert drawn == [kind.__name__ for kind in tree() if kind is not Selfie3dError]


@pytest.mark.parametrize("kind", tree())
def test_every_error_says_something_by_itself(kind: type[Selfie3dError]) -> None:
    assert str(kind()).endswith((".", "`."))
    assert "\n" not in str(kind())


def test_a_job_s_end_is_no_failure_of_the_service() -> None:
    assert not issubclass(JobEnded, ServiceError)
