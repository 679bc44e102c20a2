import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_service import CallError
from selfie3d_service.small_requests import MAX_LOOKS, MAX_SMALL_BYTES, large_field, small

LONG = "x" * (MAX_SMALL_BYTES + 1)


def test_a_small_request_is_parsed() -> None:
    request = pb.WatchJobRequest(job_id="a", after_event=1 << 63)
    assert small(pb.WatchJobRequest.FromString)(request.SerializeToString()) == request


@pytest.mark.parametrize(
    "request_",
    [
        pb.ListJobsRequest(page_size=7, page_token=LONG),
        pb.ListJobsRequest(page_token=LONG, states=["JOB_STATE_QUEUED", "JOB_STATE_RUNNING"]),
    ],
)
def test_the_large_field_is_named(request_: pb.ListJobsRequest) -> None:
    with pytest.raises(CallError, match="page_token is too large: this method takes 65536 bytes at most") as raised:
        small(pb.ListJobsRequest.FromString)(request_.SerializeToString())
    assert raised.value.field == "page_token"


@pytest.mark.parametrize("data", [b"\x0a\x01a" * MAX_SMALL_BYTES, b"\xff" * 2 * MAX_SMALL_BYTES, b"\x0d1234" * 20_000])
def test_what_has_no_large_field_is_refused_all_the_same(data: bytes) -> None:
    with pytest.raises(CallError, match=r"^The request is too large"):
        small(pb.GetJobRequest.FromString)(data)


class Counted(bytes):
    """Bytes that count how often one of them is read."""

    reads = 0

    def __getitem__(self, at):  # type: ignore[no-untyped-def]
        self.reads += 1
        return super().__getitem__(at)


@given(st.binary(max_size=64))
def test_looking_for_it_is_a_bounded_number_of_reads(start: bytes) -> None:
    data = Counted(start + b"\x80" * MAX_SMALL_BYTES)
    large_field(data, pb.GetJobRequest.DESCRIPTOR)  # type: ignore[arg-type]
    assert data.reads <= MAX_LOOKS * 2 * 20
