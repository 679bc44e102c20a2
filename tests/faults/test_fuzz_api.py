"""No bytes crash, hang or bloat the service: every request gets a status of the table."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfie3d.v1 import admin_pb2
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_jobs import Reason
from tests.faults.guarded import Door, TokenBook
from tests.faults.mutation import EDITS, SLOWEST_MS, Edits, bounded_memory, mutate
from tests.faults.test_fuzz_photos import SEEDS as PHOTOS
from tests.stack import BOUND, Process, Stack

QUICK, SOAK = 300, 20_000  # calls with mutated requests
QUICK_CONNECTIONS, SOAK_CONNECTIONS = 100, 5_000  # connections with mutated HTTP/2
TRIES = 3  # a hang is a call that never ends in time, not one that met a pause of the machine
STUFFING = 20 << 20  # bytes; a request may have a little more
SERVICE = "selfie3d.v1.ReconstructionService"
METHODS = [method.name for method in pb.DESCRIPTOR.services_by_name["ReconstructionService"].methods]
ADMIN_SERVICE = "selfie3d.v1.AdminService"
ADMIN_METHODS = [method.name for method in admin_pb2.DESCRIPTOR.services_by_name["AdminService"].methods]
CREATING = ("CreateJob", "UploadJob", "Reconstruct")
PLACE = b"0" * 32  # stands for the id of a job that has ended
OK = "OK"
Request = tuple[str, list[bytes]]  # a method, and the messages as they are sent


@dataclass
class Target:
    """A service without workers, and a job of it that has ended; requests name it by PLACE."""

    service: Process
    address: str
    channel: grpc.Channel
    reasons: set[str] = field(default_factory=set)  # every answer so far
    answer_bytes: int = 0  # of the first message of the newest one

    def __post_init__(self) -> None:
        self._api = rpc.ReconstructionServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self._job_id = self._ended_job()

    def exchange(self, method: str, messages: Sequence[bytes], **options: Any) -> str:
        """Send the bytes as they are. OK or the reason of the refusal; nothing else passes."""
        for _ in range(TRIES):
            with suppress(TimeoutError):
                reason = self._exchange(method, messages, **options)
                self.reasons.add(reason)
                return reason
        raise AssertionError(f"{method} hangs")

    def _exchange(self, method: str, messages: Sequence[bytes], **options: Any) -> str:
        service = ADMIN_SERVICE if method in ADMIN_METHODS else SERVICE
        call = self.channel.stream_stream(f"/{service}/{method}")
        placed = (message.replace(PLACE, self._job_id.encode()) for message in messages)
        stream = call(placed, timeout=SLOWEST_MS / 1000, **options)
        try:
            first = next(stream, b"")
            self.answer_bytes = len(first)
            if method in CREATING:
                stream.cancel()  # nobody works here: it would only be watched
                self._remove(getattr(pb, f"{method}Response").FromString(first).job.id)
            elif method == "DeleteJob":
                self._job_id = self._ended_job()
            else:
                list(stream)
        except grpc.RpcError as error:
            return reason_of(error)
        return OK

    def _ended_job(self) -> str:
        job_id: str = self._api.CreateJob(pb.CreateJobRequest(photo=PHOTOS[0]), timeout=BOUND).job.id
        self._api.CancelJob(pb.CancelJobRequest(job_id=job_id), timeout=BOUND)
        return job_id

    def _remove(self, job_id: str) -> None:
        """So that the queue never fills up and every photo is looked at."""
        self._api.CancelJob(pb.CancelJobRequest(job_id=job_id), timeout=BOUND)
        self._api.DeleteJob(pb.DeleteJobRequest(job_id=job_id), timeout=BOUND)

    def knock(self, sent: bytes) -> bytes:
        """All that comes back on a connection of its own until the other side closes it."""
        for _ in range(TRIES):
            with suppress(TimeoutError):
                return self._knock(sent)
        raise AssertionError(f"a connection stays open after {sent!r}")

    def _knock(self, sent: bytes) -> bytes:
        host, _, port = self.address.rpartition(":")
        answer = b""
        connection = socket.create_connection((host, int(port)), timeout=SLOWEST_MS / 1000)
        with connection, suppress(ConnectionError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def is_well(self) -> bool:
        """The process still serves, and nothing unexpected came up in it."""
        self._job_id = self._ended_job()
        answer = self._api.GetJob(pb.GetJobRequest(job_id=self._job_id), timeout=BOUND)
        log = self.service.log.read_text(errors="replace")  # gRPC's own lines repeat what was sent
        return answer.job.id == self._job_id and self.service.running and '"error"' not in log


def reason_of(error: Any) -> str:
    """The reason of a refusal in our form. Raises TimeoutError when it came too late."""
    status = rpc_status.from_call(error)
    if status is None and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        raise TimeoutError
    assert status is not None, f"not ours: {error!r}"
    info = details.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert Reason[info.reason].code == status.code
    assert info.reason != "INTERNAL"
    return str(info.reason)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    stack = Stack(folder, workers=0, SELFIE3D_MAX_QUEUED="1000000")  # nobody takes the messages of the cancelled jobs
    with stack, stack.channel() as channel:
        yield Target(stack.services[0], stack.addresses[0], channel)


INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
SMALL = st.one_of(st.integers(0, 3), st.integers(0, 3), INT32)  # known values of the enumerations, and others
IDS = st.one_of(st.just(PLACE.decode()), st.text(max_size=40), st.from_regex(r"[0-9a-f]{32}", fullmatch=True))
SOME_EDITS: st.SearchStrategy[Edits] = st.one_of(st.just([]), EDITS)  # else most requests would not even be messages
SETTINGS = st.builds(
    lambda request_id, options, priority, timeout: pb.JobSettings(
        request_id=request_id,
        options=pb.Options(**options),
        priority=priority,
        timeout=timeout,
    ),
    st.one_of(st.just(""), st.text(max_size=70), st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)),
    st.fixed_dictionaries(
        {"format": SMALL, "detail": SMALL},
        optional={name: st.booleans() for name in ("all_faces", "scene", "textured", "printable")},
    ),
    SMALL,
    st.one_of(st.none(), st.fixed_dictionaries({"seconds": st.one_of(st.integers(0, 4000), INT64), "nanos": INT32})),
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A method and its request: made of the right fields with any values, then damaged."""
    method = draw(st.sampled_from(METHODS))
    an_id = draw(
        st.one_of(st.just(PLACE.decode()), st.text(max_size=40), st.from_regex(r"[0-9a-f]{32}", fullmatch=True))
    )
    number = draw(st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1)))
    photo = mutate(draw(st.sampled_from(PHOTOS)), draw(SOME_EDITS))
    messages: list[Message] = []
    if method == "UploadJob":
        parts = [pb.UploadJobRequest(settings=draw(SETTINGS)), pb.UploadJobRequest(chunk=photo)]
        messages += draw(st.lists(st.sampled_from(parts), max_size=3)) if draw(st.booleans()) else parts
    elif method in CREATING:
        messages.append(getattr(pb, f"{method}Request")(settings=draw(SETTINGS), photo=photo))
    elif method == "ListJobs":
        token, states = draw(st.text(max_size=20)), draw(st.lists(SMALL, max_size=8))
        messages.append(pb.ListJobsRequest(page_size=number, page_token=token, states=states))  # type: ignore[arg-type]
    else:
        fields = {
            "WatchJob": {"after_event": number},
            "DownloadMesh": {"face_index": number, "offset": number},
            "GetPreview": {"face_index": number},
            "GetMeshUrl": {"face_index": number},
        }
        messages.append(getattr(pb, f"{method}Request")(job_id=an_id, **fields.get(method, {})))
    return method, [mutate(message.SerializeToString(), draw(SOME_EDITS)) for message in messages]


@pytest.fixture(scope="module")
def operator(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A second service over the same jobs, which knows the token that every request here shows."""
    folder = tmp_path_factory.mktemp("operator")
    book = TokenBook(folder / "tokens.toml")
    shown = Shown(book.add("ops", "admin"))
    env = {name: value for name, value in target.service.env.items() if name != "SELFIE3D_LISTEN"}
    with Door(folder, "operator", **env, SELFIE3D_TOKENS=str(book.path)).open() as door, door.channel() as channel:
        yield Target(door.process, door.address, grpc.intercept_channel(channel, shown))


class Shown(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):  # type: ignore[misc]
    """Shows a token with each call."""

    def __init__(self, token: str) -> None:
        self._metadata = [("authorization", f"Bearer {token}")]

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with_token(details), request)

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(self._with_token(details), requests)

    def _with_token(self, details: Any) -> Any:
        return details._replace(metadata=self._metadata)


CLOCK = {"seconds": st.one_of(st.integers(-(2**35), 2**35), INT64), "nanos": st.one_of(st.just(0), INT32)}
TIMES = st.one_of(st.none(), st.fixed_dictionaries(CLOCK))
CALLERS = st.one_of(st.sampled_from(["anonymous", "ops"]), st.text(max_size=600))
ADMIN_REQUESTS: dict[str, st.SearchStrategy[Message]] = {
    "ListAllJobs": st.builds(
        admin_pb2.ListAllJobsRequest,
        page_size=st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1)),
        page_token=st.one_of(st.just(""), st.text(max_size=20)),
        states=st.one_of(st.just([]), st.lists(SMALL, max_size=8)),
        caller=st.one_of(st.just(""), CALLERS),
        created_after=TIMES,
        created_before=TIMES,
        request_id=st.one_of(st.just(""), st.text(max_size=70)),
    ),
    "CancelJobs": st.builds(admin_pb2.CancelJobsRequest, caller=CALLERS),
    "PauseQueue": st.builds(admin_pb2.PauseQueueRequest, priority=SMALL),
    "ResumeQueue": st.builds(admin_pb2.ResumeQueueRequest, priority=SMALL),
    "ListQueues": st.builds(admin_pb2.ListQueuesRequest),
    "ListWorkers": st.builds(admin_pb2.ListWorkersRequest),
}


@st.composite
def admin_requests(draw: st.DrawFn) -> Request:
    """A method of the operators and its request: any values, then damaged."""
    method = draw(st.sampled_from(ADMIN_METHODS))
    return method, [mutate(draw(ADMIN_REQUESTS[method]).SerializeToString(), draw(SOME_EDITS))]


def exchange(target: Target, drawn: st.SearchStrategy[Request], examples: dict[str, Request], count: int) -> None:
    """Send so many drawn requests, and the examples by the answer that each must get."""

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(drawn)
    def run(request: Request) -> None:
        target.exchange(*request)

    with bounded_memory(target.service.pid):
        run()
    assert target.is_well()
    assert {reason: target.exchange(*request) for reason, request in examples.items()} == {r: r for r in examples}


def whole(method: str, message: Message) -> Request:
    """An undamaged request."""
    return method, [message.SerializeToString()]


ADMIN_EXAMPLES = {
    OK: whole("ListQueues", admin_pb2.ListQueuesRequest()),
    "REQUEST_MALFORMED": ("CancelJobs", [b"\xff"]),
    "OPTION_UNKNOWN": whole("PauseQueue", admin_pb2.PauseQueueRequest(priority=99)),  # type: ignore[arg-type]
    "TIME_INVALID": whole("ListAllJobs", admin_pb2.ListAllJobsRequest(created_after={"seconds": 2**40})),
    "REQUEST_ID_INVALID": whole("ListAllJobs", admin_pb2.ListAllJobsRequest(request_id="?")),
}


def fuzz_operators(operator: Target, examples: int) -> None:
    exchange(operator, admin_requests(), ADMIN_EXAMPLES, examples)
    assert not operator.reasons & {"TOKEN_MISSING", "TOKEN_INVALID", "SCOPE_MISSING"}  # every request was looked at


def test_damaged_requests_of_operators_get_a_status_of_the_table(operator: Target) -> None:
    fuzz_operators(operator, QUICK)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_tens_of_thousands_of_damaged_requests_of_operators_get_a_status_of_the_table(operator: Target) -> None:
    fuzz_operators(operator, SOAK)


@pytest.mark.parametrize("method", ADMIN_METHODS)
def test_a_stuffed_request_of_an_operator_is_answered_in_time(operator: Target, method: str) -> None:
    with bounded_memory(operator.service.pid):
        assert operator.exchange(method, [stuffed(1)]) == "REQUEST_MALFORMED"
    assert operator.is_well()


EXAMPLES = {
    OK: whole("GetJob", pb.GetJobRequest(job_id=PLACE.decode())),
    "REQUEST_MALFORMED": ("GetJob", [b"\xff"]),
    "OPTION_UNKNOWN": whole("ListJobs", pb.ListJobsRequest(states=[99])),  # type: ignore[list-item]
    "JOB_ID_INVALID": whole("GetJob", pb.GetJobRequest(job_id="?")),
    "JOB_NOT_FOUND": whole("GetJob", pb.GetJobRequest(job_id="f" * 32)),
}


def fuzz(target: Target, examples: int) -> None:
    exchange(target, requests(), EXAMPLES, examples)
    assert "QUEUE_FULL" not in target.reasons  # every photo was looked at


def test_damaged_requests_get_a_status_of_the_table(target: Target) -> None:
    fuzz(target, QUICK)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_tens_of_thousands_of_damaged_requests_get_a_status_of_the_table(target: Target) -> None:
    fuzz(target, SOAK)


def stuffed(field_number: int, piece: bytes = b"\1") -> bytes:
    """A request with a field of 20 MiB: a string, bytes, a packed list, or one that the message does not have."""
    return varint(field_number << 3 | 2) + varint(STUFFING) + piece * (STUFFING // len(piece))


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


STUFFABLE = {"CreateJob": 99, "UploadJob": 2, "Reconstruct": 2, "ListJobs": 3}  # else the first: a job's id


@pytest.mark.parametrize("method", METHODS)
def test_a_request_stuffed_to_the_brim_is_answered_in_time(target: Target, method: str) -> None:
    field_number = STUFFABLE.get(method, 1)
    with bounded_memory(target.service.pid):
        target.exchange(method, [stuffed(field_number)])
    assert target.is_well()


@pytest.mark.parametrize("method", CREATING)
def test_fields_that_the_service_does_not_know_are_not_kept(target: Target, method: str) -> None:
    unknown = stuffed(99)
    settings_field = b"\x0a" + varint(len(unknown)) + unknown
    photo_field = pb.CreateJobRequest(photo=PHOTOS[0]).SerializeToString()
    parts = [settings_field, photo_field] if method == "UploadJob" else [settings_field + photo_field]
    with bounded_memory(target.service.pid):
        assert target.exchange(method, parts) == OK
    assert target.answer_bytes < 1024


def test_a_message_that_unpacks_to_more_than_a_photo_is_refused_on_the_way(target: Target) -> None:
    call = target.channel.stream_stream(f"/{SERVICE}/CreateJob")
    bomb = call(iter([bytes(200 << 20)]), timeout=BOUND, compression=grpc.Compression.Gzip)
    with bounded_memory(target.service.pid, 100 << 20), pytest.raises(grpc.RpcError) as raised:
        list(bomb)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert target.is_well()


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # and empty SETTINGS (RFC 9113, 3.4)
END_HEADERS, END_STREAM = 4, 1
NOT_TEXT = b"\xfc\xfe"  # a method's name that is not UTF-8: grpcio 1.84.0 to 1.85.1 stop serving when they see it


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113, 4.1."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def headers(method: bytes) -> bytes:
    """A HEADERS frame, every field literal and never indexed (RFC 7541, 6.2.3)."""
    fields = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/" + SERVICE.encode() + b"/" + method,
        b":authority": b"localhost",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
    }
    words = [word for pair in fields.items() for word in pair]
    block = b"".join((b"" if i % 2 else b"\x10") + bytes([len(word)]) + word for i, word in enumerate(words))
    return frame(1, END_HEADERS, 1, block)


def data(message: bytes) -> bytes:
    """A DATA frame that ends the stream."""
    return frame(0, END_STREAM, 1, message)


def connection_bytes() -> list[bytes]:
    get = pb.GetJobRequest(job_id=PLACE.decode()).SerializeToString()
    message = bytes(1) + len(get).to_bytes(4, "big") + get
    return [PREFACE + headers(method) + data(message) for method in (b"GetJob", b"WatchJob", NOT_TEXT)]


def fuzz_connections(target: Target, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.sampled_from(connection_bytes()), st.binary(max_size=200)), EDITS)
    def run(seed: bytes, edits: Edits) -> None:
        target.knock(mutate(seed, edits))

    with bounded_memory(target.service.pid):
        run()
    assert target.is_well()


def test_damaged_connections_are_closed(target: Target) -> None:
    fuzz_connections(target, QUICK_CONNECTIONS)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_thousands_of_damaged_connections_are_closed(target: Target) -> None:
    fuzz_connections(target, SOAK_CONNECTIONS)


def test_whole_connections_are_answered_whatever_the_method(target: Target) -> None:
    for sent in connection_bytes():
        assert b"grpc-status" in target.knock(sent)
    assert target.is_well()
