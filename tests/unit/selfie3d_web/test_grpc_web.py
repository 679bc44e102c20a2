"""gRPC-Web, frame by frame, against a service that knows only gRPC."""

from __future__ import annotations

import asyncio
import base64
import re
import struct
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2

from selfie3d.v1 import admin_pb2
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_web import WebConfig, WebServer, grpc_web
from selfie3d_web.grpc_web import MAX_SMALL_BYTES, METHODS, PHOTOS_AT_ONCE
from tests.scripted_service import FULL, MESH, PICTURE, Running
from tests.stack import eventually_async

SERVICE = "/selfie3d.v1.ReconstructionService"
BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text"


def frame(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


def frames(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    """(messages, trailers) of an answer."""
    messages: list[bytes] = []
    at = 0
    while at < len(body):
        flag, length = struct.unpack_from(">BI", body, at)
        piece = body[at + 5 : at + 5 + length]
        at += 5 + length
        if flag == 0x80:
            assert at == len(body), "trailers come last"
            return messages, dict(line.split(":", 1) for line in piece.decode().split("\r\n") if line)  # type: ignore[misc]
        messages.append(piece)
    raise AssertionError("no trailers")


async def call(web: httpx.AsyncClient, method: str, request: Any, **headers: str) -> tuple[list[bytes], dict[str, str]]:
    body = frame(request.SerializeToString())
    answer = await web.post(f"{SERVICE}/{method}", content=body, headers={"Content-Type": BINARY, **headers})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == BINARY
    return frames(answer.content)


async def create(web: httpx.AsyncClient) -> pb.Job:
    (message,), trailers = await call(web, "CreateJob", pb.CreateJobRequest(photo=b"photo"))
    assert trailers["grpc-status"] == "0"
    return pb.CreateJobResponse.FromString(message).job


def reason_of(trailers: dict[str, str]) -> str:
    packed = trailers["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert str(status.code) == trailers["grpc-status"]
    return info.reason


async def test_one_message_in_one_out(web: httpx.AsyncClient, service: Running) -> None:
    job = await create(web)
    assert service.script.photos[job.id] == b"photo"
    (message,), _ = await call(web, "GetJob", pb.GetJobRequest(job_id=job.id))
    assert pb.GetJobResponse.FromString(message).job.id == job.id
    (message,), _ = await call(web, "GetPreview", pb.GetPreviewRequest(job_id=job.id))
    assert pb.GetPreviewResponse.FromString(message).data == PICTURE


async def test_a_stream_comes_message_by_message_with_the_trailers_last(web: httpx.AsyncClient) -> None:
    job = await create(web)
    messages, trailers = await call(web, "WatchJob", pb.WatchJobRequest(job_id=job.id))
    answers = [pb.WatchJobResponse.FromString(message) for message in messages]
    assert [answer.event.number for answer in answers] == [1, 2, 3, 4, 5, 6]
    assert answers[-1].job.state == pb.JOB_STATE_SUCCEEDED
    assert trailers == {"grpc-status": "0"}
    chunks, _ = await call(web, "DownloadMesh", pb.DownloadMeshRequest(job_id=job.id))
    assert b"".join(pb.DownloadMeshResponse.FromString(chunk).chunk.data for chunk in chunks) == MESH


async def test_an_event_is_passed_on_while_the_job_runs(web: httpx.AsyncClient, service: Running) -> None:
    job = await create(web)
    service.script.hold.clear()
    body = frame(pb.WatchJobRequest(job_id=job.id).SerializeToString())
    async with web.stream("POST", f"{SERVICE}/WatchJob", content=body, headers={"Content-Type": BINARY}) as answer:
        first = await anext(answer.aiter_bytes())
        assert pb.WatchJobResponse.FromString(first[5 : 5 + first[4]]).event.number == 1
        service.script.left.clear()
    assert await asyncio.to_thread(service.script.left.wait, 20), "who goes away leaves the service, too"


async def test_text_is_the_same_in_base64(web: httpx.AsyncClient) -> None:
    job = await create(web)
    body = frame(pb.WatchJobRequest(job_id=job.id).SerializeToString())
    pieces = base64.b64encode(body[:4]) + base64.b64encode(body[4:])  # as a client writes that flushes in between
    answer = await web.post(f"{SERVICE}/WatchJob", content=pieces, headers={"Content-Type": TEXT})
    assert answer.headers["content-type"] == "application/grpc-web-text+proto"
    found = re.findall(rb"[A-Za-z0-9+/]+={0,2}", answer.content)
    messages, trailers = frames(b"".join(base64.b64decode(piece) for piece in found))
    assert (len(messages), trailers["grpc-status"]) == (6, "0")


async def test_a_refusal_of_the_service_keeps_its_reason(web: httpx.AsyncClient, service: Running) -> None:
    service.script.errors["GetJob"] = [FULL]
    messages, trailers = await call(web, "GetJob", pb.GetJobRequest(job_id="x"))
    assert messages == []
    assert trailers["grpc-status"] == str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    assert unquote(trailers["grpc-message"]) == "The queue is full."
    assert reason_of(trailers) == "QUEUE_FULL"


async def test_token_trace_and_timeout_travel_on(web: httpx.AsyncClient, service: Running) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job = await create(web)
    await call(web, "GetJob", pb.GetJobRequest(job_id=job.id), Authorization="Bearer s3d_x", traceparent=trace)
    passed = service.script.metadata[-1]
    assert (passed["authorization"], passed["traceparent"]) == ("Bearer s3d_x", trace)
    service.script.hold.clear()
    messages, trailers = await call(web, "WatchJob", pb.WatchJobRequest(job_id=job.id), **{"grpc-timeout": "300m"})
    assert (len(messages), trailers["grpc-status"]) == (5, str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0]))


@pytest.mark.parametrize("method", [m.name for m in admin_pb2.DESCRIPTOR.services_by_name["AdminService"].methods])
async def test_no_method_of_operators_is_passed_on(web: httpx.AsyncClient, method: str) -> None:
    for service in (SERVICE, "/selfie3d.v1.AdminService", "/v1/..%2fselfie3d.v1.AdminService"):
        answer = await web.post(f"{service}/{method}", content=frame(b""), headers={"Content-Type": BINARY})
        told = frames(answer.content)[1]["grpc-status"] if answer.status_code == 200 else str(answer.status_code)
        assert told in (str(grpc.StatusCode.UNIMPLEMENTED.value[0]), "404"), answer


async def test_a_service_that_is_away_is_unavailable(web: httpx.AsyncClient, service: Running) -> None:
    service.stop()
    _, trailers = await call(web, "GetJob", pb.GetJobRequest(job_id="x"))
    assert trailers["grpc-status"] == str(grpc.StatusCode.UNAVAILABLE.value[0])


@pytest.mark.parametrize("method", ["UploadJob", "Nothing", "GetJob/x"])
async def test_what_cannot_be_said_in_gRPC_Web_is_unimplemented(web: httpx.AsyncClient, method: str) -> None:  # noqa: N802
    answer = await web.post(f"{SERVICE}/{method}", content=frame(b""), headers={"Content-Type": BINARY})
    if answer.status_code == 200:
        assert frames(answer.content)[1]["grpc-status"] == str(grpc.StatusCode.UNIMPLEMENTED.value[0])
    else:
        assert answer.status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0",
        frame(b"abc")[:-1],
        frame(b"") + frame(b""),
        frame(b"", 1),
        frame(b"", 0x80),
        b"\0\xff\xff\xff\xff",
    ],
)
async def test_what_is_no_frame_is_refused(web: httpx.AsyncClient, service: Running, body: bytes) -> None:
    answer = await web.post(f"{SERVICE}/GetJob", content=body, headers={"Content-Type": BINARY})
    assert reason_of(frames(answer.content)[1]) == "REQUEST_MALFORMED"
    answer = await web.post(f"{SERVICE}/GetJob", content=b"A" * 9 + b"!", headers={"Content-Type": TEXT})
    assert reason_of(frames(base64.b64decode(answer.content))[1]) == "REQUEST_MALFORMED"
    assert service.script.calls == []


async def test_a_request_is_read_no_further_than_it_may_be_long(web: httpx.AsyncClient, service: Running) -> None:
    large = frame(bytes(MAX_SMALL_BYTES))
    answer = await web.post(f"{SERVICE}/GetJob", content=large, headers={"Content-Type": BINARY})
    assert reason_of(frames(answer.content)[1]) == "REQUEST_MALFORMED"
    answer = await web.post(f"{SERVICE}/CreateJob", content=bytes(21 << 20), headers={"Content-Type": BINARY})
    assert reason_of(frames(answer.content)[1]) == "PHOTO_TOO_LARGE"
    assert service.script.calls == []


async def test_other_types_and_other_sites_are_refused(web: httpx.AsyncClient, service: Running) -> None:
    body = frame(pb.GetJobRequest(job_id="x").SerializeToString())
    for headers, status in (
        ({"Content-Type": "application/grpc"}, 415),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": BINARY, "Origin": "https://evil.example"}, 403),
    ):
        assert (await web.post(f"{SERVICE}/GetJob", content=body, headers=headers)).status_code == status
    assert service.script.calls == []


async def test_a_stream_is_told_when_the_door_closes(service: Running) -> None:
    config = WebConfig(listen="127.0.0.1:0", server=service.address, drain_seconds=5)
    service.script.hold.clear()
    async with httpx.AsyncClient(timeout=20) as client:
        async with WebServer(config) as server:
            web = f"http://127.0.0.1:{server.port}"
            client.base_url = httpx.URL(web)
            job = await create(client)
            body = frame(pb.WatchJobRequest(job_id=job.id).SerializeToString())
            request = client.build_request(
                "POST", f"{SERVICE}/WatchJob", content=body, headers={"Content-Type": BINARY}
            )
            answer = await client.send(request, stream=True)
        _, trailers = frames(await answer.aread())
    assert reason_of(trailers) == "SHUTTING_DOWN"


def test_every_method_but_the_streamed_upload_is_there() -> None:
    assert {name for name, method in METHODS.items() if method.client_streaming} == {"UploadJob"}
    assert PHOTOS_AT_ONCE * 20 < 200  # MiB


async def test_no_more_photos_are_held_than_there_is_room_for(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_web, "PHOTOS_AT_ONCE", 1)
    arrived, rest = asyncio.Event(), asyncio.Event()
    body = frame(pb.CreateJobRequest(photo=b"photo").SerializeToString())

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:7]
        arrived.set()
        await rest.wait()
        yield body[7:]

    headers = {"Content-Type": BINARY}
    first = asyncio.create_task(web.post(f"{SERVICE}/CreateJob", content=slowly(), headers=headers))
    await arrived.wait()

    async def is_full() -> bool:
        return (await call(web, "CreateJob", pb.CreateJobRequest(photo=b"x")))[1]["grpc-status"] == "8"

    await eventually_async(is_full, "the first photo is being received")
    rest.set()
    assert frames((await first).content)[1] == {"grpc-status": "0"}
    await create(web)
