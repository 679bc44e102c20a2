"""The gRPC front end over a real Redis; the worker's side is played by hand."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from PIL import Image

from selfie3d.types import Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import JobsConfig, Reason, Record, Store, admission, execution, maintenance
from selfie3d_jobs.maintenance import WorkerReport
from selfie3d_service import Server, ServiceConfig
from selfie3d_service.tokens import new_token
from tests.integration.conftest import served
from tests.integration.road import LEASE, Keys, claim, finish, get, picture_of, result, start
from tests.stack import BOUND, eventually_async
from tests.tiny import make_photo

UNKNOWN = "0" * 32


async def create(api: Any, seed: int = 0, metadata: Any = None, **settings: Any) -> pb.Job:
    request = pb.CreateJobRequest(photo=make_photo(seed), settings=pb.JobSettings(**settings))
    job: pb.Job = (await api.CreateJob(request, metadata=metadata)).job
    return job


async def refused(call: Awaitable[Any] | AsyncIterable[Any]) -> tuple[grpc.StatusCode, str, dict[str, Any]]:
    """The call's code, reason and other details; fails when it is answered."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await (drain(call) if isinstance(call, AsyncIterable) else call)
    status = rpc_status.from_call(raised.value)
    assert status is not None, raised.value
    return raised.value.code(), *_details(status)


async def drain(call: AsyncIterable[Any]) -> list[Any]:
    return [response async for response in call]


def _details(status: status_pb2.Status) -> tuple[str, dict[str, Any]]:
    found: dict[str, Any] = {}
    for kind in (details.ErrorInfo, details.BadRequest, details.ResourceInfo, details.RetryInfo):
        for packed in status.details:
            message = kind()
            if packed.Unpack(message):
                found[kind.DESCRIPTOR.name] = message
    assert found["ErrorInfo"].domain == "selfie3d"
    return found["ErrorInfo"].reason, found


async def test_created_and_read_a_job_is_the_same(api: Any) -> None:
    job = await create(api, priority=pb.PRIORITY_BULK, timeout={"seconds": 20})
    assert (await api.GetJob(pb.GetJobRequest(job_id=job.id))).job == job
    assert job.state == pb.JOB_STATE_QUEUED
    assert job.deadline.ToMilliseconds() - job.create_time.ToMilliseconds() == 20_000
    assert job.expire_time.ToMilliseconds() > job.deadline.ToMilliseconds()
    assert job.settings.priority == pb.PRIORITY_BULK


async def test_an_uploaded_photo_in_parts_is_the_created_one(api: Any) -> None:
    photo = make_photo(7)

    async def parts(*messages: pb.UploadJobRequest) -> AsyncIterator[pb.UploadJobRequest]:
        for message in messages:
            yield message

    settings = pb.UploadJobRequest(settings=pb.JobSettings(request_id="r"))
    chunks = [pb.UploadJobRequest(chunk=photo[i : i + 10]) for i in range(0, len(photo), 10)]
    uploaded = (await api.UploadJob(parts(settings, *chunks))).job
    assert (await create(api, 7, request_id="r")).id == uploaded.id
    for wrong in ([], [*chunks], [settings, settings], [settings, chunks[0], settings]):
        _, reason, _ = await refused(api.UploadJob(parts(*wrong)))
        assert reason == "UPLOAD_INVALID"
    assert (await refused(api.UploadJob(parts(settings))))[1] == "PHOTO_EMPTY"


async def test_twenty_callers_at_once_get_one_job(api: Any) -> None:
    jobs = await asyncio.gather(*[create(api, 3, request_id="same") for _ in range(20)])
    assert len({job.id for job in jobs}) == 1
    code, reason, found = await refused(create(api, 4, request_id="same"))
    assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert found["BadRequest"].field_violations[0].field == "settings.request_id"


SPELLED_OUT = [
    {"options": {}},
    {"options": {"format": pb.MESH_FORMAT_PLY}},
    {"options": {"detail": pb.DETAIL_STANDARD}},
    {"priority": pb.PRIORITY_INTERACTIVE},
    {"timeout": {"seconds": 300}},
    {
        "options": {"format": pb.MESH_FORMAT_PLY, "detail": pb.DETAIL_STANDARD, "all_faces": False},
        "priority": pb.PRIORITY_INTERACTIVE,
        "timeout": {"seconds": 300},
    },
]


@pytest.mark.parametrize("spelled_out", SPELLED_OUT)
async def test_a_default_spelled_out_is_the_same_request(api: Any, spelled_out: Any) -> None:
    first = await create(api, request_id="left-out")
    assert (await create(api, request_id="left-out", **spelled_out)).id == first.id
    second = await create(api, request_id="spelled-out", **spelled_out)
    assert (await create(api, request_id="spelled-out")).id == second.id != first.id


@pytest.mark.parametrize(
    "other",
    [
        {"options": {"format": pb.MESH_FORMAT_GLB}},
        {"options": {"detail": pb.DETAIL_FULL}},
        {"options": {"all_faces": True}},
        {"options": {"printable": True}},
        {"priority": pb.PRIORITY_BULK},
        {"timeout": {"seconds": 299}},
        {"timeout": {"seconds": 299, "nanos": 999_000_000}},
    ],
)
async def test_another_wish_under_the_same_request_id_is_refused(api: Any, other: Any) -> None:
    await create(api, request_id="r")
    assert (await refused(create(api, request_id="r", **other)))[1] == "REQUEST_ID_REUSED"


async def test_a_repeated_request_is_the_same_after_the_service_got_another_default(
    service_config: ServiceConfig, keys: Keys
) -> None:
    async with served(service_config) as api:
        job = await create(api, request_id="r")
    async with served(dataclasses.replace(service_config, timeout_seconds=77)) as api:
        assert (await create(api, request_id="r")).id == job.id
        assert (await create(api, request_id="r", timeout={"seconds": 300})).id == job.id
        assert (await refused(create(api, request_id="r", timeout={"seconds": 77})))[1] == "REQUEST_ID_REUSED"
        keys.client.hdel(f"{keys.prefix}job:{job.id}", "wish")  # a job of an older service
        assert (await create(api, request_id="r")).id == job.id


async def test_a_photo_only_slightly_over_the_limit_is_told_so(api: Any) -> None:
    request = pb.CreateJobRequest(photo=bytes((20 << 20) + 1))
    code, reason, found = await refused(api.CreateJob(request))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PHOTO_TOO_LARGE")
    assert found["BadRequest"].field_violations[0].field == "photo"
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await api.CreateJob(pb.CreateJobRequest(photo=bytes(22 << 20)))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in error.value.details()


@pytest.mark.parametrize(
    ("settings", "field", "reason"),
    [
        ({"request_id": "a b"}, "settings.request_id", "REQUEST_ID_INVALID"),
        ({"request_id": "x" * 65}, "settings.request_id", "REQUEST_ID_INVALID"),
        ({"options": {"format": 9}}, "settings.options.format", "OPTION_UNKNOWN"),
        ({"options": {"detail": 9}}, "settings.options.detail", "OPTION_UNKNOWN"),
        ({"priority": 9}, "settings.priority", "OPTION_UNKNOWN"),
        ({"options": {"scene": True}}, "settings.options.scene", "OPTION_CONFLICT"),
        ({"options": {"textured": True}}, "settings.options.textured", "OPTION_CONFLICT"),
        ({"timeout": {"seconds": -1}}, "settings.timeout", "TIMEOUT_INVALID"),
        ({"timeout": {"seconds": 10**9}}, "settings.timeout", "TIMEOUT_INVALID"),
    ],
)
async def test_bad_settings_name_their_field(api: Any, keys: Keys, settings: Any, field: str, reason: str) -> None:
    code, got, found = await refused(create(api, **settings))
    assert (code, got) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert [v.field for v in found["BadRequest"].field_violations] == [field]
    assert not [key for key in keys.all() if key.startswith(("job:", "photo:"))]


async def test_unknown_and_malformed_ids(api: Any) -> None:
    calls: list[Callable[[str], Any]] = [
        lambda i: api.GetJob(pb.GetJobRequest(job_id=i)),
        lambda i: api.WatchJob(pb.WatchJobRequest(job_id=i)),
        lambda i: api.DownloadMesh(pb.DownloadMeshRequest(job_id=i)),
        lambda i: api.GetPreview(pb.GetPreviewRequest(job_id=i)),
        lambda i: api.CancelJob(pb.CancelJobRequest(job_id=i)),
        lambda i: api.DeleteJob(pb.DeleteJobRequest(job_id=i)),
    ]
    for call in calls:
        code, reason, found = await refused(call(UNKNOWN))
        assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
        assert found["ResourceInfo"].resource_name == UNKNOWN
        for malformed in ("", "x", UNKNOWN + "0", UNKNOWN[:-1] + "\n"):
            code, reason, found = await refused(call(malformed))
            assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "JOB_ID_INVALID")


async def test_bytes_that_are_no_request_are_refused(api: Any) -> None:
    call = api.channel.unary_unary("/selfie3d.v1.ReconstructionService/GetJob")
    assert (await refused(call(b"\xff\xff\xff")))[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED")


async def test_a_job_says_where_in_the_line_it_stands(api: Any, store: Store) -> None:
    first, second = await create(api, 1), await create(api, 2)
    assert (first.queue_position, second.queue_position) == (1, 2)
    start(store, first.id)
    jobs = [(await api.GetJob(pb.GetJobRequest(job_id=job.id))).job for job in (first, second)]
    assert [job.queue_position for job in jobs] == [0, 1]


async def test_watchers_see_every_event_once_and_the_job_at_the_end(api: Any, store: Store) -> None:
    job = await create(api)

    async def watch(after: int = 0) -> list[pb.WatchJobResponse]:
        return [r async for r in api.WatchJob(pb.WatchJobRequest(job_id=job.id, after_event=after))]

    watchers = [asyncio.create_task(watch()) for _ in range(5)]
    running = start(store, job.id)
    for stage in (Stage.DECODE, Stage.NETWORK):
        await asyncio.to_thread(store.run, execution.advance(running, stage, 0.5, LEASE))
    late = asyncio.create_task(watch(2))
    await asyncio.to_thread(store.run, execution.succeed(running, result(b"mesh")))
    seen = await asyncio.gather(*watchers)
    assert all(responses == seen[0] for responses in seen)
    assert [r.event.number for r in seen[0]] == [1, 2, 3, 4, 5]
    assert seen[0][-1].job.state == pb.JOB_STATE_SUCCEEDED
    assert not any(r.HasField("job") for r in seen[0][:-1])
    assert await late == seen[0][2:]
    assert await watch(3) == seen[0][3:]
    assert [(r.HasField("event"), r.job.state) for r in await watch(5)] == [(False, pb.JOB_STATE_SUCCEEDED)]
    assert [r.job.state for r in await watch(99)] == [pb.JOB_STATE_SUCCEEDED]


async def test_a_watch_brings_meshes_and_pictures_where_they_are_wanted(api: Any, store: Store) -> None:
    job = await create(api)

    async def watch(after: int) -> list[pb.WatchJobResponse]:
        return [r async for r in api.WatchJob(pb.WatchJobRequest(job_id=job.id, after_event=after, with_result=True))]

    early = asyncio.create_task(watch(0))
    meshes = [secrets.token_bytes(600_000), b"another"]
    await asyncio.to_thread(finish, store, job.id, *meshes)
    for responses in (await early, await watch(2), await watch(99)):
        [ended] = [number for number, response in enumerate(responses) if response.HasField("job")]
        *chunks, first, second = responses[ended + 1 :]
        joined = [b"", b""]
        for chunk in (each.chunk for each in chunks):
            assert chunk.offset == len(joined[chunk.face_index])
            assert chunk.file == responses[ended].job.faces[chunk.face_index].file
            joined[chunk.face_index] += chunk.data
        assert joined == meshes
        for index, (mesh, response) in enumerate(zip(meshes, (first, second), strict=True)):
            file = responses[ended].job.faces[index].preview
            assert response.preview == pb.Preview(face_index=index, file=file, data=picture_of(mesh))


def send_ahead(store: Store, running: Record, mesh: bytes, there: int | None = None) -> None:
    """As a worker does. there : only so many bytes of it."""
    store.run(execution.send_ahead(running, 0, mesh[:there], LEASE))
    store.run(execution.announce_ahead(running, 0, result(mesh).faces[0].file))


async def test_a_mesh_is_sent_before_the_end_where_that_is_wanted(api: Any, store: Store) -> None:
    job = await create(api)
    patient = asyncio.create_task(drain(api.WatchJob(pb.WatchJobRequest(job_id=job.id, with_result=True))))
    early = aiter(api.WatchJob(pb.WatchJobRequest(job_id=job.id, with_result=True, early_mesh=True)))
    running, mesh = start(store, job.id), secrets.token_bytes(600_000)
    assert [(await anext(early)).event.number for _ in range(2)] == [1, 2]
    for _ in range(2):  # the second as when the first answer gets lost
        await asyncio.to_thread(send_ahead, store, running, mesh)
    chunks = [(await anext(early)).chunk for _ in range(3)]
    assert b"".join(chunk.data for chunk in chunks) == mesh
    assert {chunk.offset + len(chunk.data) for chunk in chunks} == {262_144, 524_288, 600_000}
    await asyncio.to_thread(store.run, execution.advance(running, Stage.STORE, 0.9, LEASE))
    assert (await anext(early)).event.stage == pb.STAGE_STORE
    await asyncio.to_thread(store.run, execution.succeed_ahead(running, result(mesh)))
    last, picture = [response async for response in early]
    assert all(chunk.file == last.job.faces[0].file for chunk in chunks)
    assert picture.preview.data == picture_of(mesh)
    *events, ended, _, _, _, also_picture = await patient
    assert [each.event.number for each in events] == [1, 2, 3]
    assert [ended, also_picture] == [last, picture]


async def test_what_could_not_be_sent_before_the_end_comes_after_it(api: Any, store: Store) -> None:
    job = await create(api)
    running, mesh = start(store, job.id), secrets.token_bytes(600_000)
    watch = aiter(api.WatchJob(pb.WatchJobRequest(job_id=job.id, with_result=True, early_mesh=True)))
    assert [(await anext(watch)).event.number for _ in range(2)] == [1, 2]
    await asyncio.to_thread(send_ahead, store, running, mesh, 262_144)
    assert (await anext(watch)).chunk.data == mesh[:262_144]
    await asyncio.to_thread(store.run, execution.succeed(running, result(mesh)))
    assert (await anext(watch)).job.state == pb.JOB_STATE_SUCCEEDED
    rest = [response.chunk async for response in watch if response.HasField("chunk")]
    assert [chunk.offset for chunk in rest] == [262_144, 524_288]
    assert b"".join(chunk.data for chunk in rest) == mesh[262_144:]


async def test_the_mesh_of_an_attempt_that_was_given_up_is_replaced(api: Any, store: Store) -> None:
    job = await create(api)
    late, lost, mesh = start(store, job.id), secrets.token_bytes(1000), secrets.token_bytes(2000)
    watch = aiter(api.WatchJob(pb.WatchJobRequest(job_id=job.id, with_result=True, early_mesh=True)))
    assert [(await anext(watch)).event.number for _ in range(2)] == [1, 2]
    await asyncio.to_thread(send_ahead, store, late, lost)
    assert (await anext(watch)).chunk.data == lost
    await asyncio.to_thread(store.run, execution.give_back(late))
    running = await asyncio.to_thread(start, store, job.id, "t2")
    assert [(await anext(watch)).event.number for _ in range(2)] == [3, 4]
    await asyncio.to_thread(send_ahead, store, late, lost + b"!")  # it does not know yet
    await asyncio.to_thread(send_ahead, store, running, mesh)
    assert (await anext(watch)).chunk == pb.MeshChunk(data=mesh, file=result(mesh).faces[0].file)
    await asyncio.to_thread(store.run, execution.succeed_ahead(running, result(mesh)))
    assert [field.name async for each in watch for field, _ in each.ListFields()] == ["event", "job", "preview"]


async def test_a_watch_of_the_end_alone_brings_the_last_event(api: Any, store: Store) -> None:
    job = await create(api)
    seen = asyncio.create_task(drain(api.WatchJob(pb.WatchJobRequest(job_id=job.id))))
    early = asyncio.create_task(drain(api.WatchJob(pb.WatchJobRequest(job_id=job.id, only_end=True))))
    await asyncio.to_thread(finish, store, job.id)
    late = await drain(api.WatchJob(pb.WatchJobRequest(job_id=job.id, only_end=True)))
    assert [await early, late] == [(await seen)[-1:]] * 2


async def test_a_watch_brings_no_more_than_there_is(api: Any, store: Store) -> None:
    failed, plain = await create(api, 1), await create(api, 2)
    store.run(execution.fail(start(store, failed.id), Reason.NO_FACE, "No face was found.", {}))
    faces = [pb.Face(file=pb.MeshFile(size_bytes=4))]  # of an older worker, without a picture
    store.run(execution.succeed(start(store, plain.id), execution.ExecutionResult(faces, [b"mesh"], {})))
    for job, wanted in ((failed, ["job"]), (plain, ["job", "chunk"])):
        call = api.WatchJob(pb.WatchJobRequest(job_id=job.id, after_event=99, with_result=True))
        assert [field.name async for response in call for field, _ in response.ListFields()] == wanted


async def test_a_watch_ends_also_when_no_doorbell_rings(api: Any, store: Store, keys: Keys) -> None:
    job = await create(api)
    call = api.WatchJob(pb.WatchJobRequest(job_id=job.id))
    assert (await anext(aiter(call))).event.number == 1
    keys.client.client_kill_filter(_type="pubsub")
    await asyncio.to_thread(finish, store, job.id)
    assert [r.event.number async for r in call] == [2, 3]


async def test_a_watch_of_a_job_that_is_removed_ends(api: Any, keys: Keys) -> None:
    job = await create(api)
    call = api.WatchJob(pb.WatchJobRequest(job_id=job.id))
    await anext(aiter(call))
    keys.client.delete(*(keys.prefix + key for key in keys.of(job.id)))
    assert (await refused(call))[1] == "JOB_NOT_FOUND"


async def test_a_mesh_comes_in_chunks_from_any_offset(api: Any, store: Store) -> None:
    job = await create(api)
    mesh = secrets.token_bytes(600_000)
    await asyncio.to_thread(finish, store, job.id, mesh)

    async def download(offset: int, face: int = 0) -> bytes:
        request = pb.DownloadMeshRequest(job_id=job.id, face_index=face, offset=offset)
        chunks = [r.chunk async for r in api.DownloadMesh(request)]
        assert all(len(c.data) <= 256 * 1024 and c.file.size_bytes == len(mesh) for c in chunks)
        assert [c.offset for c in chunks] == list(range(offset, len(mesh), 256 * 1024))
        return b"".join(c.data for c in chunks)

    for offset in (0, 1, 300_000, 599_999, 600_000):
        assert await download(offset) == mesh[offset:]
    for offset, face, reason in ((600_001, 0, "OFFSET_OUT_OF_RANGE"), (0, 1, "FACE_NOT_FOUND")):
        request = pb.DownloadMeshRequest(job_id=job.id, face_index=face, offset=offset)
        assert (await refused(api.DownloadMesh(request)))[1] == reason


async def test_a_picture_of_each_head_comes_whole(api: Any, store: Store, keys: Keys) -> None:
    job = await create(api)

    async def picture(face: int = 0) -> pb.GetPreviewResponse:
        answer: pb.GetPreviewResponse = await api.GetPreview(pb.GetPreviewRequest(job_id=job.id, face_index=face))
        return answer

    assert (await refused(picture()))[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "JOB_NOT_SUCCEEDED")
    await asyncio.to_thread(finish, store, job.id, b"one", b"two")
    faces = (await api.GetJob(pb.GetJobRequest(job_id=job.id))).job.faces
    for face, mesh in enumerate((b"one", b"two")):
        answer = await picture(face)
        assert (answer.data, answer.file) == (picture_of(mesh), faces[face].preview)
    assert (await refused(picture(2)))[:2] == (grpc.StatusCode.NOT_FOUND, "FACE_NOT_FOUND")
    keys.client.delete(f"{keys.prefix}preview:{job.id}:0")
    assert (await refused(picture()))[1] == "JOB_NOT_FOUND"


async def test_a_job_of_an_older_worker_has_no_picture(api: Any, store: Store) -> None:
    job = await create(api)
    running = start(store, job.id)
    faces = [pb.Face(file=pb.MeshFile(size_bytes=4))]
    store.run(execution.succeed(running, execution.ExecutionResult(faces, [b"mesh"], {})))
    assert (await refused(api.GetPreview(pb.GetPreviewRequest(job_id=job.id))))[1] == "FACE_NOT_FOUND"


async def test_a_job_without_a_mesh_says_why(api: Any, store: Store) -> None:
    waiting, failed = await create(api, 1), await create(api, 2)
    running = start(store, failed.id)
    store.run(execution.fail(running, Reason.NO_FACE, "No face was found: look at the camera.", {}))
    for job, reason in ((waiting, "JOB_NOT_SUCCEEDED"), (failed, "NO_FACE")):
        answer = await refused(api.DownloadMesh(pb.DownloadMeshRequest(job_id=job.id)))
        assert answer[:2] == (grpc.StatusCode.FAILED_PRECONDITION, reason)
    error = (await api.GetJob(pb.GetJobRequest(job_id=failed.id))).job.error
    assert (error.reason, error.message) == ("NO_FACE", "No face was found: look at the camera.")


async def test_one_call_goes_all_the_way(api: Any, store: Store) -> None:
    call = api.Reconstruct(pb.ReconstructRequest(photo=make_photo()))
    first = await anext(aiter(call))
    await asyncio.to_thread(finish, store, first.job.id, b"one mesh", b"another")
    parts = [part async for part in call]
    assert [p.event.number for p in parts if p.HasField("event")] == [1, 2, 3]
    assert [p.job.state for p in parts if p.HasField("job")] == [pb.JOB_STATE_SUCCEEDED]
    assert [(p.chunk.face_index, p.chunk.data) for p in parts if p.HasField("chunk")] == [
        (0, b"one mesh"),
        (1, b"another"),
    ]


async def test_cancel_and_delete(api: Any, store: Store) -> None:
    job = await create(api)
    assert (await refused(api.DeleteJob(pb.DeleteJobRequest(job_id=job.id))))[1] == "JOB_NOT_ENDED"
    for _ in range(2):
        cancelled = (await api.CancelJob(pb.CancelJobRequest(job_id=job.id))).job
        assert cancelled.state == pb.JOB_STATE_CANCELLED
    assert claim(store, job.id) is None
    await api.DeleteJob(pb.DeleteJobRequest(job_id=job.id))
    assert (await refused(api.GetJob(pb.GetJobRequest(job_id=job.id))))[1] == "JOB_NOT_FOUND"


async def test_lists_page_by_token_and_refuse_a_foreign_one(api: Any) -> None:
    made = [(await create(api, seed)).id for seed in range(5)]
    seen, token = [], ""
    while True:
        page = await api.ListJobs(pb.ListJobsRequest(page_size=2, page_token=token))
        seen += [job.id for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert seen == made[::-1]
    token = (await api.ListJobs(pb.ListJobsRequest(page_size=2))).next_page_token
    unknown_state = pb.ListJobsRequest()
    unknown_state.states.append(77)  # type: ignore[arg-type]
    for request, reason in (
        (pb.ListJobsRequest(page_token="!!"), "PAGE_TOKEN_INVALID"),
        (pb.ListJobsRequest(page_token="bm90IG91cnM="), "PAGE_TOKEN_INVALID"),
        (pb.ListJobsRequest(page_token=token, states=[pb.JOB_STATE_QUEUED]), "PAGE_TOKEN_INVALID"),
        (pb.ListJobsRequest(page_size=1001), "PAGE_SIZE_INVALID"),
        (pb.ListJobsRequest(states=[pb.JOB_STATE_UNSPECIFIED]), "OPTION_UNKNOWN"),
        (unknown_state, "OPTION_UNKNOWN"),
    ):
        assert (await refused(api.ListJobs(request)))[1] == reason


async def test_over_a_bound_the_answer_says_when_to_come_back(service_config: ServiceConfig) -> None:
    full = dataclasses.replace(service_config, limits=admission.AdmissionLimits(max_queued=1))
    async with served(full) as api:
        await create(api)
        code, reason, found = await refused(create(api))
        assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert found["RetryInfo"].retry_delay.ToMilliseconds() > 0
        assert (await create(api, priority=pb.PRIORITY_BULK)).id


async def test_uploads_and_streams_are_bounded_and_the_bound_is_given_free(service_config: ServiceConfig) -> None:
    async with served(dataclasses.replace(service_config, max_uploads=1, max_streams=1)) as api:
        half = api.UploadJob()
        await half.write(pb.UploadJobRequest(settings=pb.JobSettings()))

        async def is_refused() -> bool:
            try:
                await create(api)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            return False

        await eventually_async(is_refused, "the half upload holds the only place")
        half.cancel()
        job = None
        async with asyncio.timeout(BOUND):
            while job is None:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    job = await create(api)
        watch = api.WatchJob(pb.WatchJobRequest(job_id=job.id))
        await anext(aiter(watch))
        _, reason, _ = await refused(api.WatchJob(pb.WatchJobRequest(job_id=job.id)))
        assert reason == "STREAMS_BUSY"
        # A reconstruction that waits for its worker holds a stream, but no upload.
        watch.cancel()
        one = api.Reconstruct(pb.ReconstructRequest(photo=make_photo(5)))
        await anext(aiter(one))
        assert (await create(api, 6)).id


async def test_two_senders_of_hostile_photos_do_not_keep_an_honest_one_out(
    service_config: ServiceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tokens.toml"
    made = {name: new_token(name, ["submit", "read"]) for name in ("first", "second", "honest")}
    file.write_text("\n".join(entry for _, entry in made.values()))
    bearer = {name: (("authorization", f"Bearer {token}"),) for name, (token, _) in made.items()}
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("The service had a photo decoded."))
    chain = b"\xff\xd8" + b"\xff\xe0\0\x02" * 5_000_000
    async with served(dataclasses.replace(service_config, tokens=file, max_uploads=8)) as api:

        async def send(name: str) -> str:
            return (await refused(api.CreateJob(pb.CreateJobRequest(photo=chain), metadata=bearer[name])))[1]

        hostile = [asyncio.ensure_future(send(name)) for _ in range(8) for name in ("first", "second")]
        half = [api.UploadJob(metadata=bearer[name]) for _ in range(8) for name in ("first", "second")]
        for call in half:
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await call.write(pb.UploadJobRequest(settings=pb.JobSettings()))
        job = await create(api, metadata=bearer["honest"])  # one try: there is a place for it
        assert (await api.GetJob(pb.GetJobRequest(job_id=job.id), metadata=bearer["honest"])).job.id == job.id
        for call in half:
            call.cancel()
        assert set(await asyncio.gather(*hostile)) <= {"PHOTO_CORRUPT", "UPLOADS_BUSY"}


async def test_an_upload_that_stalls_is_ended(service_config: ServiceConfig) -> None:
    async with served(dataclasses.replace(service_config, upload_seconds=0.05)) as api:
        call = api.UploadJob()
        await call.write(pb.UploadJobRequest(settings=pb.JobSettings()))
        assert (await refused(call))[:2] == (grpc.StatusCode.DEADLINE_EXCEEDED, "UPLOAD_STALLED")


async def test_tokens_scopes_and_owners(service_config: ServiceConfig, tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    made = {name: new_token(*who) for name, who in CALLERS.items()}
    file.write_text("\n".join(entry for _, entry in made.values()) + "max_active = 1\n")
    bearer = {name: (("authorization", f"Bearer {token}"),) for name, (token, _) in made.items()}
    async with served(dataclasses.replace(service_config, tokens=file)) as api:
        code, reason, _ = await refused(create(api))
        assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
        code, reason, _ = await refused(create(api, metadata=(("authorization", "Bearer s3d_wrong"),)))
        assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
        code, reason, _ = await refused(create(api, metadata=bearer["reader"]))
        assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
        job = await create(api, metadata=bearer["anna"])
        request = pb.GetJobRequest(job_id=job.id)
        assert (await refused(api.GetJob(request, metadata=bearer["bob"])))[1] == "JOB_NOT_FOUND"
        for name in ("anna", "reader", "admin"):  # reader is another token of anna's
            assert (await api.GetJob(request, metadata=bearer[name])).job.id == job.id
        assert not (await api.ListJobs(pb.ListJobsRequest(), metadata=bearer["bob"])).jobs
        await create(api, metadata=bearer["bob"])
        assert (await refused(create(api, metadata=bearer["bob"])))[1] == "QUOTA_EXCEEDED"
        health = health_pb2_grpc.HealthStub(api.channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status


CALLERS = {
    "anna": ("anna", ["submit", "read"]),
    "reader": ("anna", ["read"]),
    "admin": ("root", ["admin"]),
    "bob": ("bob", ["submit", "read"]),
}


async def test_reflection_and_lists_can_be_switched_off(service_config: ServiceConfig) -> None:
    async with served(dataclasses.replace(service_config, reflection=False, listing=False)) as api:
        code, reason, _ = await refused(api.ListJobs(pb.ListJobsRequest()))
        assert (code, reason) == (grpc.StatusCode.UNIMPLEMENTED, "LIST_DISABLED")
        call = api.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await anext(aiter(call(iter([b""]))))
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_follows_the_workers(api: Any, store: Store, keys: Keys) -> None:
    health = health_pb2_grpc.HealthStub(api.channel)

    def is_status(status: int) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            names = ("", "selfie3d.v1.ReconstructionService")
            answers = [await health.Check(health_pb2.HealthCheckRequest(service=name)) for name in names]
            return all(answer.status == status for answer in answers)

        return look

    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    await eventually_async(is_status(not_serving), "no worker")
    store.run(maintenance.report(WorkerReport("host:1:2", verified=False, error="weights do not fit")))
    seen = store.run(maintenance.snapshot())
    assert (len(seen.workers), seen.ready) == (1, False)
    store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
    await eventually_async(is_status(serving), "a verified worker")
    keys.score("seen", "host:1:2", 1)
    await eventually_async(is_status(not_serving), "the worker was not heard of for long")


async def test_redis_away_is_told_within_a_second_and_heals(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        config = ServiceConfig(jobs=JobsConfig(redis_url=redis.url), listen="127.0.0.1:0", drain_seconds=2.0)
        async with served(config) as api:
            job = await create(api)
            watch = api.WatchJob(pb.WatchJobRequest(job_id=job.id))
            await anext(aiter(watch))
            redis.kill()
            for call in (create(api), api.GetJob(pb.GetJobRequest(job_id=job.id)), watch):
                code, reason, found = await refused(call)
                assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
                assert found["RetryInfo"].retry_delay.ToMilliseconds() > 0
            redis.start()
            assert (await api.GetJob(pb.GetJobRequest(job_id=job.id))).job == job
            store = Store(config.jobs)
            watch = api.WatchJob(pb.WatchJobRequest(job_id=job.id, after_event=1))
            await asyncio.to_thread(finish, store, job.id)
            assert [r.event.number async for r in watch] == [2, 3]
            store.close()


async def test_a_job_whose_publish_was_lost_is_published_by_any_service(
    service_config: ServiceConfig, store: Store, keys: Keys
) -> None:
    config = dataclasses.replace(service_config.jobs, lease_seconds=1.0)
    async with served(dataclasses.replace(service_config, jobs=config)) as api:
        job = await create(api)
        await eventually_async(lambda: asyncio.to_thread(keys.messages), "published")
        keys.client.delete(keys.prefix + "interactive")
        await eventually_async(lambda: asyncio.to_thread(keys.messages), "published again")
        assert keys.message()["headers"]["id"] == job.id
        assert get(store, job.id).attempt == 0


async def test_the_message_is_the_id_and_the_trace_alone(api: Any, keys: Keys) -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    job = await create(api, metadata=(("traceparent", parent),))
    await eventually_async(lambda: asyncio.to_thread(keys.messages), "published")
    message = keys.message()
    assert message["content-type"] == "application/json"
    assert message["headers"]["traceparent"].split("-")[1] == "a" * 32
    assert message["headers"]["argsrepr"] == f"('{job.id}',)"


async def test_going_down_sends_watchers_elsewhere(service_config: ServiceConfig) -> None:
    server = await Server(service_config).__aenter__()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        api: Any = rpc.ReconstructionServiceStub(channel)  # type: ignore[no-untyped-call]
        job = await create(api)
        watch = api.WatchJob(pb.WatchJobRequest(job_id=job.id))
        await anext(aiter(watch))
        down = asyncio.create_task(server.__aexit__())
        code, reason, found = await refused(watch)
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        assert found["RetryInfo"].retry_delay.ToMilliseconds() > 0
        await down


PERSON = [make_photo(seed) for seed in (31, 32, 33)]


async def create_person(api: Any, photos: list[bytes], **settings: Any) -> pb.Job:
    settings = {"one_person": True} | settings
    request = pb.CreateJobRequest(settings=settings, photo=photos[0], more_photos=photos[1:])
    job: pb.Job = (await api.CreateJob(request)).job
    return job


async def uploaded(api: Any, settings: pb.JobSettings, photos: list[bytes], chunk: int = 1 << 20) -> pb.Job:
    async def parts() -> AsyncIterator[pb.UploadJobRequest]:
        yield pb.UploadJobRequest(settings=settings)
        for number, photo in enumerate(photos):
            if number:
                yield pb.UploadJobRequest(next_photo=True)
            for start_ in range(0, len(photo), chunk):
                yield pb.UploadJobRequest(chunk=photo[start_ : start_ + chunk])

    job: pb.Job = (await api.UploadJob(parts())).job
    return job


async def test_photos_of_one_person_are_one_job_by_every_method(api: Any, store: Store) -> None:
    created = await create_person(api, PERSON, request_id="person")
    digests = [hashlib.sha256(photo).hexdigest() for photo in PERSON]
    assert list(created.photo_sha256s) == digests
    assert created.photo_sha256 == digests[0]
    assert created.settings.one_person
    settings = pb.JobSettings(request_id="person", one_person=True)
    assert (await uploaded(api, settings, PERSON, 100)).id == created.id
    request = pb.ReconstructRequest(settings=settings, photo=PERSON[0], more_photos=PERSON[1:])
    call = api.Reconstruct(request)
    assert (await anext(aiter(call))).job.id == created.id
    call.cancel()
    job = await asyncio.to_thread(start, store, created.id)
    assert execution.apart(job, job.photo) == PERSON
    views = [pb.PhotoView(index=n, weight=w, left_out=o) for n, w, o in ((0, 0.3, ""), (1, 0.7, ""), (2, 0, "BLURRED"))]
    done = dataclasses.replace(result(b"mesh"), views=views)
    await asyncio.to_thread(store.run, execution.succeed(job, done))
    assert list((await api.GetJob(pb.GetJobRequest(job_id=job.id))).job.views) == views
    _, reason, _ = await refused(create_person(api, PERSON[::-1], request_id="person"))
    assert reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("photos", "settings", "reason", "field"),
    [
        (PERSON, {"one_person": False}, "OPTION_CONFLICT", "more_photos"),
        (PERSON[:1] * 17, {}, "OPTION_CONFLICT", "more_photos"),
        (PERSON, {"options": {"all_faces": True}}, "OPTION_CONFLICT", "settings.options.all_faces"),
        (PERSON, {"options": {"printable": True}}, "OPTION_CONFLICT", "settings.options.printable"),
        (PERSON, {"options": {"extent": pb.EXTENT_FACE}}, "OPTION_CONFLICT", "settings.options.extent"),
    ],
)
async def test_what_one_person_cannot_have_is_refused(
    api: Any, photos: list[bytes], settings: dict[str, Any], reason: str, field: str
) -> None:
    for call in (
        create_person(api, photos, **settings),
        uploaded(api, pb.JobSettings(**({"one_person": True} | settings)), photos),
    ):
        code, found, more = await refused(call)
        assert (code, found) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
        assert more["BadRequest"].field_violations[0].field == field


async def test_a_photo_that_is_none_is_named_among_several(api: Any, keys: Keys) -> None:
    for photos, reason in (
        ([PERSON[0], b"GIF89a nothing", PERSON[1]], "PHOTO_UNSUPPORTED"),
        ([PERSON[0], b"", PERSON[1]], "PHOTO_EMPTY"),
        ([PERSON[0], PERSON[1][:30], PERSON[2]], "PHOTO_CORRUPT"),
    ):
        for call in (create_person(api, photos), uploaded(api, pb.JobSettings(one_person=True), photos)):
            with pytest.raises(grpc.aio.AioRpcError, match=r"Photo 2: ") as raised:
                await call
            status = rpc_status.from_call(raised.value)
            assert status is not None
            assert _details(status)[0] == reason
    assert not any(key.startswith("photo:") for key in keys.all())


async def test_each_photo_and_all_together_have_their_limit(api: Any) -> None:
    settings, large = pb.JobSettings(one_person=True), PERSON[0] + bytes(17 << 20)
    last = PERSON[0] + bytes((60 << 20) - 3 * len(large) - len(PERSON[0]) + 1)  # too much by its last byte
    with pytest.raises(grpc.aio.AioRpcError, match=r"Photo 2: .*20 MiB"):
        await uploaded(api, settings, [PERSON[0], PERSON[0] + bytes(20 << 20)])
    with pytest.raises(grpc.aio.AioRpcError, match=r"together.*60 MiB") as raised:
        await uploaded(api, settings, [large, large, large, last])
    status = rpc_status.from_call(raised.value)
    assert status is not None
    assert _details(status)[0] == "PHOTO_TOO_LARGE"


async def test_a_next_photo_without_one_person_is_refused_before_it_is_sent(api: Any) -> None:
    call = api.UploadJob()
    await call.write(pb.UploadJobRequest(settings=pb.JobSettings()))
    await call.write(pb.UploadJobRequest(chunk=PERSON[0]))
    await call.write(pb.UploadJobRequest(next_photo=True))
    assert (await refused(call))[1] == "OPTION_CONFLICT"
    call = api.UploadJob()
    await call.write(pb.UploadJobRequest(next_photo=True))
    assert (await refused(call))[1] == "UPLOAD_INVALID"


async def test_all_photos_of_one_person_count_against_the_store(service_config: ServiceConfig) -> None:
    photos = [make_photo(seed, side=500) for seed in range(3)]
    together = sum(map(len, photos))
    assert together > 1 << 20 > max(map(len, photos))
    limits = admission.AdmissionLimits(max_stored_mib=1, result_reserve_mib=0)
    async with served(dataclasses.replace(service_config, limits=limits)) as own:
        assert (await refused(uploaded(own, pb.JobSettings(one_person=True), photos)))[1] == "STORAGE_FULL"
        await uploaded(own, pb.JobSettings(one_person=True), photos[:1])


async def test_a_cancelled_job_of_one_person_leaves_no_photo(api: Any, keys: Keys) -> None:
    job = await create_person(api, PERSON)
    assert any(key.startswith("photo:") for key in keys.of(job.id))
    await api.CancelJob(pb.CancelJobRequest(job_id=job.id))
    assert not any(key.startswith("photo:") for key in keys.of(job.id))
    await api.DeleteJob(pb.DeleteJobRequest(job_id=job.id))
    assert keys.of(job.id) == set()
