"""What is not accepted: no job is queued, and the status says what to do."""

from __future__ import annotations

import re
import struct
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from PIL import Image
from skimage import data as pictures

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from tests.photos import astronaut, coffee, encode
from tests.stack import Stack, await_end, eventually, is_serving

Api = rpc.ReconstructionServiceStub
PORTRAIT = Image.fromarray(pictures.astronaut())


def bomb() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")


BAD_PHOTOS = {
    "empty": (b"", "PHOTO_EMPTY"),
    "truncated": (astronaut()[:9000], "PHOTO_CORRUPT"),
    "not an image": (b"%PDF-1.7 not a photo", "PHOTO_UNSUPPORTED"),
    "wrong magic": (b"\xff\xd8\xff" + encode(PORTRAIT, "PNG")[3:], "PHOTO_CORRUPT"),
    "unsupported format": (encode(PORTRAIT, "GIF"), "PHOTO_UNSUPPORTED"),
    "over the byte limit": (astronaut() + bytes(20 << 20), "PHOTO_TOO_LARGE"),
    "over the pixel limit": (bomb(), "PHOTO_TOO_MANY_PIXELS"),
    "animated": (encode(PORTRAIT, "WEBP", save_all=True, append_images=[PORTRAIT.rotate(90)]), "PHOTO_ANIMATED"),
}

BAD_SETTINGS = {
    "unknown format": (pb.JobSettings(options=pb.Options(format=99)), "settings.options.format"),  # type: ignore[arg-type]
    "unknown detail": (pb.JobSettings(options=pb.Options(detail=99)), "settings.options.detail"),  # type: ignore[arg-type]
    "unknown priority": (pb.JobSettings(priority=99), "settings.priority"),  # type: ignore[arg-type]
    "scene of one face": (pb.JobSettings(options=pb.Options(scene=True)), "settings.options.scene"),
    "textured STL": (
        pb.JobSettings(options=pb.Options(format=pb.MESH_FORMAT_STL, textured=True)),
        "settings.options.textured",
    ),
    "malformed request_id": (pb.JobSettings(request_id="no spaces please"), "settings.request_id"),
    "negative timeout": (pb.JobSettings(timeout={"seconds": -1}), "settings.timeout"),
}


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, details.ErrorInfo, status_pb2.Status]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    status = rpc_status.from_call(raised.value)
    assert status is not None, raised.value
    info = details.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert info.domain == "selfie3d"
    return raised.value.code(), info, status


def violated_fields(status: status_pb2.Status) -> list[str]:
    bad = details.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    assert all(violation.description for violation in bad.field_violations)
    return [violation.field for violation in bad.field_violations]


def count_jobs(api: Api) -> int:
    return len(api.ListJobs(pb.ListJobsRequest(page_size=1000), timeout=10).jobs)


@pytest.mark.parametrize("case", BAD_PHOTOS)
def test_a_bad_photo_is_refused_and_queues_nothing(api: Api, case: str) -> None:
    photo, reason = BAD_PHOTOS[case]
    before = count_jobs(api)
    code, info, status = refusal(lambda: api.CreateJob(pb.CreateJobRequest(photo=photo), timeout=20))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert violated_fields(status) == ["photo"]
    assert count_jobs(api) == before


@pytest.mark.parametrize("case", BAD_PHOTOS)
def test_a_bad_photo_is_refused_in_chunks_and_in_one_call_too(api: Api, case: str) -> None:
    photo, reason = BAD_PHOTOS[case]

    def parts() -> Iterator[pb.UploadJobRequest]:
        yield pb.UploadJobRequest(settings=pb.JobSettings())
        for at in range(0, len(photo), 1 << 20):
            yield pb.UploadJobRequest(chunk=photo[at : at + (1 << 20)])

    assert refusal(lambda: api.UploadJob(parts(), timeout=20))[1].reason == reason
    assert refusal(lambda: list(api.Reconstruct(pb.ReconstructRequest(photo=photo), timeout=20)))[1].reason == reason


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_are_refused_by_field(api: Api, case: str) -> None:
    settings, field = BAD_SETTINGS[case]
    before = count_jobs(api)
    request = pb.CreateJobRequest(photo=astronaut(), settings=settings)
    code, _, status = refusal(lambda: api.CreateJob(request, timeout=20))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(status) == [field]
    assert count_jobs(api) == before


@pytest.mark.parametrize("job_id", ["", "no-such-shape", "x" * 500, "../../etc/passwd"])
def test_a_malformed_id_is_refused_by_field(api: Api, job_id: str) -> None:
    code, _, status = refusal(lambda: api.GetJob(pb.GetJobRequest(job_id=job_id), timeout=10))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(status) == ["job_id"]


def test_an_unknown_job_is_not_found(api: Api) -> None:
    real = api.CreateJob(pb.CreateJobRequest(photo=astronaut()), timeout=10).job.id
    unknown = re.sub(r"[0-9a-f]", "0", real)
    code, info, _ = refusal(lambda: api.GetJob(pb.GetJobRequest(job_id=unknown), timeout=10))
    assert (code, info.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
    await_end(api, real)


def test_a_bad_page_token_is_refused_by_field(api: Api) -> None:
    code, _, status = refusal(lambda: api.ListJobs(pb.ListJobsRequest(page_token="!!"), timeout=10))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert violated_fields(status) == ["page_token"]


def test_a_photo_without_a_face_fails_with_its_reason(api: Api) -> None:
    job = await_end(api, api.CreateJob(pb.CreateJobRequest(photo=coffee()), timeout=10).job.id)
    assert job.state == pb.JOB_STATE_FAILED
    assert job.error.reason == "NO_FACE"
    assert "face" in job.error.message
    code, info, _ = refusal(lambda: list(api.DownloadMesh(pb.DownloadMeshRequest(job_id=job.id), timeout=10)))
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_FACE")


def test_damage_that_only_decoding_finds_fails_the_job_with_the_photos_reason(api: Api) -> None:
    photo = bytearray(encode(PORTRAIT, "PNG"))
    photo[len(photo) // 2] ^= 0x55
    job = await_end(api, api.CreateJob(pb.CreateJobRequest(photo=bytes(photo)), timeout=10).job.id)
    assert (job.state, job.error.reason) == (pb.JOB_STATE_FAILED, "PHOTO_CORRUPT")


def test_reflection_describes_the_service(channel: grpc.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = next(iter(stub.ServerReflectionInfo(iter([request]), timeout=10)))
    names = {service.name for service in answer.list_services_response.service}
    assert {"selfie3d.v1.ReconstructionService", "grpc.health.v1.Health"} <= names


def test_health_speaks_for_the_service(channel: grpc.Channel) -> None:
    request = health_pb2.HealthCheckRequest(service="selfie3d.v1.ReconstructionService")
    answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_redis_away_is_unavailable_within_a_second_and_heals(tmp_path: Path) -> None:
    with Stack(tmp_path, workers=1) as stack, stack.channel() as channel:
        api = rpc.ReconstructionServiceStub(channel)
        first = api.CreateJob(pb.CreateJobRequest(photo=astronaut()), timeout=10).job.id
        await_end(api, first)
        stack.redis.kill()
        for call in (
            lambda: api.GetJob(pb.GetJobRequest(job_id=first), timeout=10),
            lambda: api.CreateJob(pb.CreateJobRequest(photo=astronaut()), timeout=10),
        ):
            # The service's own answer, with details; a client-side deadline would have none.
            code, info, _ = refusal(call)
            assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        eventually(lambda: not is_serving(channel), "health is NOT_SERVING")
        stack.redis.start()
        eventually(lambda: is_serving(channel), "health is SERVING again")
        assert api.GetJob(pb.GetJobRequest(job_id=first), timeout=10).job.state == pb.JOB_STATE_SUCCEEDED
        again = api.CreateJob(
            pb.CreateJobRequest(photo=astronaut(), settings=pb.JobSettings(request_id=uuid.uuid4().hex)), timeout=10
        )
        assert await_end(api, again.job.id).state == pb.JOB_STATE_SUCCEEDED
