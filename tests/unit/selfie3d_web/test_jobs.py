"""Jobs over HTTP: what reaches the service, and how its answers come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import code_pb2, error_details_pb2

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import Reason
from selfie3d_web.problem import OWN_STATUSES, STATUSES
from selfie3d_web.settings import NAMES, SWITCHES
from tests.scripted_service import FULL, Running, rich_error

PHOTO = bytes(range(256)) * 4096  # 1 MiB
MIB = 1024 * 1024
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_raw_photo_arrives_byte_by_byte_with_its_options(web: httpx.AsyncClient, service: Running) -> None:
    query = "format=glb&detail=full&all_faces&scene=1&priority=bulk&timeout=12.5&expire_after=60"
    query += "&webhook_url=https%3A%2F%2Fhooks.example.com%2Fx%3Fa%3Db"
    answer = await web.post(f"/v1/jobs?{query}", content=PHOTO, headers={"Idempotency-Key": "key-1"})
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/jobs/{job['id']}")
    assert service.script.photos[job["id"]] == PHOTO
    (settings,) = service.script.requests("UploadJob")
    options = pb.Options(format=pb.MESH_FORMAT_GLB, detail=pb.DETAIL_FULL, all_faces=True, scene=True)
    assert settings.options == options
    assert (settings.request_id, settings.priority, settings.timeout.ToMilliseconds()) == (
        "key-1",
        pb.PRIORITY_BULK,
        12500,
    )
    assert settings.expire_after.ToMilliseconds() == 60_000
    assert settings.webhook_url == "https://hooks.example.com/x?a=b"


async def test_a_form_is_the_same_as_the_raw_photo(web: httpx.AsyncClient, service: Running) -> None:
    fields = {"format": "obj", "textured": "true"}
    answer = await web.post("/v1/jobs", data=fields, files={"photo": ("me.jpg", PHOTO, "image/jpeg")})
    assert service.script.photos[answer.json()["id"]] == PHOTO
    (settings,) = service.script.requests("UploadJob")
    assert settings.options == pb.Options(format=pb.MESH_FORMAT_OBJ, textured=True)


async def test_a_form_may_hold_every_option_there_is_and_the_longest_webhook_url(
    web: httpx.AsyncClient, service: Running
) -> None:
    words = {"format": "glb", "detail": "full", "extent": "head", "topology": "head", "compression": "meshopt"}
    url = "https://hooks.example.com/".ljust(2048, "x")
    fields = words | dict.fromkeys((*SWITCHES, "one_person"), "false")
    fields |= {"priority": "bulk", "timeout": "60", "expire_after": "60", "webhook_url": url}
    assert set(fields) == set(NAMES)
    answer = await web.post("/v1/jobs", data=fields, files={"photo": ("me.jpg", PHOTO, "image/jpeg")})
    assert (answer.status_code, answer.json().get("detail")) == (202, None)
    (settings,) = service.script.requests("UploadJob")
    assert settings.webhook_url == url


@pytest.mark.parametrize("size", [1, 7, 100, 65_536])
async def test_a_form_may_come_in_pieces_of_any_size(web: httpx.AsyncClient, service: Running, size: int) -> None:
    photo = b"\r\n--edge\r\n--" * 300  # nearly the boundary
    body = (
        b'--border\r\nContent-Disposition: form-data; name="format"\r\n\r\nstl\r\n--border\r\n'
        b'Content-Disposition: form-data; name="photo"; filename="a"\r\n\r\n' + photo + b"\r\n--border--\r\n"
    )

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    kind = {"Content-Type": "multipart/form-data; boundary=border"}
    answer = await web.post("/v1/jobs", content=pieces(), headers=kind)
    assert service.script.photos[answer.json()["id"]] == photo


async def test_the_same_key_gives_the_same_job(web: httpx.AsyncClient) -> None:
    first, second = [await web.post("/v1/jobs", content=PHOTO, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert first.json()["id"] == second.json()["id"]


async def test_token_and_trace_travel_on_and_nothing_else_does(web: httpx.AsyncClient, service: Running) -> None:
    headers = {"Authorization": "Bearer secret", "traceparent": TRACEPARENT, "X-Other": "1", "Cookie": "a=b"}
    await web.get("/v1/jobs", headers=headers)
    await web.get("/v1/jobs", headers={"traceparent": TRACEPARENT.upper() + "x"})
    with_both, with_none = service.script.metadata
    assert (with_both["authorization"], with_both["traceparent"]) == ("Bearer secret", TRACEPARENT)
    assert not {"x-other", "cookie"} & set(with_both)
    assert not {"authorization", "traceparent"} & set(with_none)


async def test_the_service_learns_of_a_photo_before_all_of_it_is_here(web: httpx.AsyncClient, service: Running) -> None:
    """Streamed: a body that waits for the service's first call ends, a buffered one would wait for ever."""

    async def body() -> AsyncIterator[bytes]:
        yield PHOTO
        while not service.script.requests("UploadJob"):
            await asyncio.sleep(0.01)
        yield PHOTO

    answer = await web.post("/v1/jobs", content=body())
    assert service.script.photos[answer.json()["id"]] == PHOTO * 2


@pytest.mark.parametrize(
    ("query", "reason", "field"),
    [
        ("colour=red", "OPTION_UNKNOWN", "colour"),
        ("format=fbx", "OPTION_UNKNOWN", "format"),
        ("scene=maybe", "OPTION_UNKNOWN", "scene"),
        ("format=ply&format=obj", "OPTION_CONFLICT", "format"),
        ("timeout=nan", "TIMEOUT_INVALID", "timeout"),
        ("expire_after=soon", "EXPIRE_AFTER_INVALID", "expire_after"),
        ("timeout=-1", "TIMEOUT_INVALID", "timeout"),
        ("timeout=1e12", "TIMEOUT_INVALID", "timeout"),
    ],
)
async def test_a_bad_option_is_named_without_asking_the_service(
    web: httpx.AsyncClient, service: Running, query: str, reason: str, field: str
) -> None:
    answer = await web.post(f"/v1/jobs?{query}", content=PHOTO)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert (problem["reason"], problem["violations"][0]["field"]) == (reason, field)
    assert service.script.calls == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b'--b\r\nContent-Disposition: form-data; name="format"\r\n\r\nglb\r\n--b--\r\n', "photo"),
        (b"no form at all", "damaged"),
        (b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\nabc', "cut short"),
        (b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"a" * 2049 + b"\r\n--b--\r\n", "2048"),
        (
            b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\nabc\r\n'
            b'--b\r\nContent-Disposition: form-data; name="format"\r\n\r\nglb\r\n--b--\r\n',
            "last",
        ),
        (b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' * 65 + b"--b--\r\n", "64"),
    ],
)
async def test_a_form_that_is_none_is_refused_with_what_is_wrong(
    web: httpx.AsyncClient, service: Running, body: bytes, word: str
) -> None:
    answer = await web.post("/v1/jobs", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 400
    assert word in answer.json()["detail"]
    assert service.script.photos == {}


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_above_the_limit_is_refused_although_the_sender_goes_on(
    web: httpx.AsyncClient, service: Running, declared: bool
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(22):
            yield bytes(MIB)

    headers = {"Content-Length": str(22 * MIB)} if declared else {}
    answer = await web.post("/v1/jobs", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (413, "PHOTO_TOO_LARGE")
    assert service.script.photos == {}


async def test_a_refusal_keeps_reason_violations_and_the_time_to_come_again(
    web: httpx.AsyncClient, service: Running
) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="settings.timeout", description="no", reason="T")
    invalid = rich_error(
        code_pb2.INVALID_ARGUMENT,
        "Not so.",
        error_details_pb2.ErrorInfo(reason="TIMEOUT_INVALID", domain="selfie3d"),
        error_details_pb2.BadRequest(field_violations=[violation]),
    )
    answers = []
    for error in (FULL, invalid):
        service.script.errors.update({"UploadJob": [error], "CreateJob": [error]})
        answers.append(await web.post("/v1/jobs", content=PHOTO * 4))
    full, bad = answers
    assert (full.status_code, full.json()["reason"], full.headers["retry-after"]) == (429, "QUEUE_FULL", "1")
    assert full.json()["retry_after"] == pytest.approx(0.03)
    assert bad.json() == {
        "type": "urn:selfie3d:TIMEOUT_INVALID",
        "title": "Timeout invalid",
        "status": 400,
        "detail": "Not so.",
        "reason": "TIMEOUT_INVALID",
        "violations": [{"field": "settings.timeout", "description": "no", "reason": "T"}],
    }


async def test_a_refusal_in_the_middle_of_a_photo_is_the_service_s_own(
    web: httpx.AsyncClient, service: Running
) -> None:
    for _ in range(20):  # grpc.aio forgets the status that comes while a piece is being written
        service.script.errors.update({"UploadJob": [FULL], "CreateJob": [FULL]})
        answer = await web.post("/v1/jobs", content=PHOTO * 4)
        assert (answer.status_code, answer.json()["reason"]) == (429, "QUEUE_FULL")
    assert not any(request.photo for request in service.script.requests("CreateJob"))


async def test_an_upload_that_was_ended_for_what_is_over_by_now_is_to_be_sent_again(
    web: httpx.AsyncClient, service: Running
) -> None:
    lost = rich_error(code_pb2.INTERNAL, "Internal error from Core")  # as grpc.aio words it
    empty = error_details_pb2.ErrorInfo(reason=Reason.PHOTO_EMPTY.name, domain="selfie3d")
    refusal = rich_error(code_pb2.INVALID_ARGUMENT, "The photo has no bytes.", empty)
    service.script.errors.update({"UploadJob": [lost], "CreateJob": [refusal]})
    answer = await web.post("/v1/jobs", content=PHOTO * 4)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
async def test_every_reason_of_the_table_has_its_status(
    web: httpx.AsyncClient, service: Running, reason: Reason
) -> None:
    info = error_details_pb2.ErrorInfo(reason=reason.name, domain="selfie3d")
    service.script.errors["GetJob"] = [rich_error(reason.code, reason.text, info)]
    answer = await web.get("/v1/jobs/0123")
    assert answer.status_code == OWN_STATUSES.get(reason.name, STATUSES[reason.code])
    assert answer.json()["reason"] == reason.name
    assert ("www-authenticate" in answer.headers) == (reason.code == code_pb2.UNAUTHENTICATED)


def test_every_code_of_grpc_has_a_status() -> None:
    assert set(STATUSES) == {code.value[0] for code in grpc.StatusCode} - {code_pb2.OK}


async def test_a_service_that_is_not_there_is_unavailable_and_not_ready_but_this_process_is_healthy(
    web: httpx.AsyncClient, service: Running
) -> None:
    service.stop()
    answers = [await web.get(path) for path in ("/v1/jobs", "/readyz", "/healthz")]
    assert [answer.status_code for answer in answers] == [503, 503, 200]


async def test_get_cancel_list_and_delete_are_the_calls_of_the_same_name(
    web: httpx.AsyncClient, service: Running
) -> None:
    ids = [
        (await web.post("/v1/jobs", content=b"photo", headers={"Idempotency-Key": key})).json()["id"]
        for key in ("a", "b", "c")
    ]
    assert (await web.get(f"/v1/jobs/{ids[0]}")).json()["state"] == "queued"
    assert (await web.post(f"/v1/jobs/{ids[0]}/cancel")).json()["state"] == "cancelled"
    page = (await web.get("/v1/jobs?state=queued&state=cancelled&page_size=2")).json()
    rest = (await web.get(f"/v1/jobs?page_token={page['next_page_token']}")).json()
    assert [job["id"] for job in page["jobs"] + rest["jobs"]] == ids
    assert service.script.requests("ListJobs")[0].states == [pb.JOB_STATE_QUEUED, pb.JOB_STATE_CANCELLED]
    assert (await web.delete(f"/v1/jobs/{ids[0]}")).status_code == 204
    assert (await web.get(f"/v1/jobs/{ids[0]}")).status_code == 404


@pytest.mark.parametrize("query", ["page_size=-1", "page_size=x", "page_size=99999999999", "state=resting"])
async def test_a_bad_page_is_refused(web: httpx.AsyncClient, query: str) -> None:
    assert (await web.get(f"/v1/jobs?{query}")).status_code == 400


def events_of(text: str) -> list[dict[str, Any]]:
    blocks = [block for block in text.split("\n\n") if "data: " in block]
    return [
        {line.partition(": ")[0]: line.partition(": ")[2] for line in block.splitlines()}
        | {"json": json.loads(block.partition("data: ")[2])}
        for block in blocks
    ]


async def test_events_are_numbered_and_the_last_one_carries_the_job(web: httpx.AsyncClient) -> None:
    job = (await web.post("/v1/jobs", content=b"photo")).json()["id"]
    answer = await web.get(f"/v1/jobs/{job}/events")
    events = events_of(answer.text)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [event["id"] for event in events] == ["1", "2", "3", "4", "5", "6"]
    assert [event["json"].get("stage") for event in events[1:5]] == ["decode", "detect", "network", "encode"]
    assert [event["event"] for event in events] == ["progress"] * 5 + ["end"]
    assert events[-1]["json"]["job"]["state"] == "succeeded"
    assert len(events[-1]["json"]["job"]["faces"][0]["mesh_to_photo"]) == 16


@pytest.mark.parametrize("how", [{"headers": {"Last-Event-ID": "3"}}, {"params": {"after": "3"}}])
async def test_events_go_on_behind_the_last_one_seen(web: httpx.AsyncClient, how: dict[str, Any]) -> None:
    job = (await web.post("/v1/jobs", content=b"photo")).json()["id"]
    events = events_of((await web.get(f"/v1/jobs/{job}/events", **how)).text)
    assert [event["id"] for event in events] == ["4", "5", "6"]


async def test_a_quiet_stream_shows_signs_of_life_and_a_reader_who_leaves_ends_the_watch(
    web: httpx.AsyncClient, service: Running
) -> None:
    job = (await web.post("/v1/jobs", content=b"photo")).json()["id"]
    service.script.hold.clear()
    async with web.stream("GET", f"/v1/jobs/{job}/events") as answer:
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                break
    assert await asyncio.to_thread(service.script.left.wait, 10)


async def test_an_unknown_job_is_a_404_and_a_bad_number_a_400_also_for_events(web: httpx.AsyncClient) -> None:
    assert (await web.get("/v1/jobs/nobody/events")).status_code == 404
    assert (await web.get("/v1/jobs/nobody/events", headers={"Last-Event-ID": "-1"})).status_code == 400


async def test_paths_and_methods_that_are_none_are_problems_too(web: httpx.AsyncClient) -> None:
    answers = [await web.get("/nowhere"), await web.put("/v1/jobs")]
    assert [answer.status_code for answer in answers] == [404, 405]
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert answers[1].headers["allow"]


PERSON = [b"\xff\xd8 left", b"\xff\xd8 front" * 40_000, b"\xff\xd8 right"]


async def test_the_files_of_a_form_are_the_photos_of_one_person(web: httpx.AsyncClient, service: Running) -> None:
    files = [("photo", (f"{n}.jpg", photo, "image/jpeg")) for n, photo in enumerate(PERSON)]
    answer = await web.post("/v1/jobs", data={"one_person": "true", "format": "glb"}, files=files)
    assert answer.status_code == 202
    job = answer.json()
    assert service.script.photos[job["id"]] == PERSON[0]
    assert service.script.more_photos[job["id"]] == PERSON[1:]
    [settings] = service.script.requests("UploadJob")
    assert settings.one_person
    assert job["settings"]["one_person"] is True
    assert (job["views"], job["photo_sha256s"]) == ([], [])


async def test_a_field_behind_the_photos_is_refused(web: httpx.AsyncClient, service: Running) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\nabc\r\n'
    body = part % b"photo" + part % b"photo" + part % b"format" + b"--b--\r\n"
    answer = await web.post("/v1/jobs", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (answer.status_code, answer.json()["reason"]) == (400, "REQUEST_MALFORMED")
    assert "last parts" in answer.json()["detail"]
    assert service.script.photos == {}


async def test_a_form_may_be_longer_than_a_photo_but_has_an_end(web: httpx.AsyncClient, service: Running) -> None:
    for size, headers in ((20, {}), (60, {"Content-Type": "multipart/form-data; boundary=b"})):
        answer = await web.post("/v1/jobs", content=bytes((size << 20) + (65 << 10)), headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (413, "PHOTO_TOO_LARGE")
    two = [("photo", (f"{n}.jpg", bytes(15 << 20), "image/jpeg")) for n in range(2)]
    answer = await web.post("/v1/jobs?one_person=true", files=two)
    assert answer.status_code == 202
    assert [len(photo) for photo in service.script.photos.values()] == [15 << 20]


async def test_views_are_told_in_the_job(web: httpx.AsyncClient, service: Running) -> None:
    service.script.outcome.views.extend(
        [pb.PhotoView(weight=1.0, pose={"yaw": 5}), pb.PhotoView(index=1, left_out="COVERED")]
    )
    answer = await web.post("/v1/jobs?one_person=on", content=b"photo")
    job = answer.json()["id"]
    await web.get(f"/v1/jobs/{job}/events")
    views = (await web.get(f"/v1/jobs/{job}")).json()["views"]
    assert views == [
        {"index": 0, "weight": 1.0, "pose": {"yaw": 5.0, "pitch": 0.0, "roll": 0.0}, "left_out": ""},
        {"index": 1, "weight": 0.0, "left_out": "COVERED"},
    ]
