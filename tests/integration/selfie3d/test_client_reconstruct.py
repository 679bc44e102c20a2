"""Photo in, meshes out, over a real channel, with both faces of the client."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfie3d import (
    InvalidArgument,
    JobCancelled,
    JobEnded,
    JobExpired,
    JobFailed,
    JobPhotoRejected,
    JobState,
    LeftOut,
    NoFace,
    PhotoView,
    Pose,
    ServiceError,
)
from selfie3d.v1 import reconstruction_pb2 as pb
from tests.integration.selfie3d.conftest import ask, collect
from tests.scripted_service import MATRIX, MESH, PICTURE, UNAVAILABLE, Running, Script, make_ply, succeeded

HOOK = "https://hooks.example.com/selfie3d"
PHOTO = b"\xff\xd8 a photo"
LARGE_PHOTO = bytes(range(256)) * (5 << 12)  # 5 MiB


async def test_a_photo_becomes_a_mesh_with_its_arrays(client: Any) -> None:
    events: list[Any] = []
    result = await ask(client.reconstruct(PHOTO, on_event=events.append))
    assert [event.number for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.stage for event in events] == ["", "decode", "detect", "network", "encode", ""]
    assert result.job.state is JobState.SUCCEEDED
    assert result.seconds == {"network": 0.25}
    [face] = result.faces
    assert face.box == (10, 20, 90, 100)
    assert face.pose.yaw == 12
    mesh = face.mesh
    assert mesh.data == MESH
    assert mesh.vertices.shape == (300, 3)
    assert mesh.triangles.max() == 299
    np.testing.assert_array_equal(mesh.mesh_to_photo, np.reshape(MATRIX, (4, 4)))
    assert mesh.landmarks.shape == (68, 3)
    assert mesh.landmark_vertices.tolist() == list(range(68))
    assert face.preview.data == PICTURE
    assert (face.preview.media_type, face.preview.width, face.preview.height) == ("image/webp", 512, 512)


async def test_the_request_says_what_was_asked(client: Any, script: Script) -> None:
    options = {"format": "glb", "detail": "full", "all_faces": True, "textured": True, "extent": "face"}
    of_job = {"job_timeout": 1.5, "expire_after": 60, "request_id": "mine", "priority": "bulk", "webhook_url": HOOK}
    await ask(client.submit(PHOTO, **of_job, **options))
    [request] = script.requests("CreateJob")
    assert request.photo == PHOTO
    assert request.settings == pb.JobSettings(
        request_id="mine",
        options=pb.Options(
            format=pb.MESH_FORMAT_GLB,
            detail=pb.DETAIL_FULL,
            all_faces=True,
            textured=True,
            extent=pb.EXTENT_FACE,
            topology=pb.TOPOLOGY_VOLUME,
            compression=pb.COMPRESSION_NONE,
        ),
        priority=pb.PRIORITY_BULK,
        timeout={"seconds": 1, "nanos": 500_000_000},
        expire_after={"seconds": 60},
        webhook_url=HOOK,
    )


async def test_a_wrong_word_is_an_error_before_anything_is_sent(client: Any, script: Script) -> None:
    with pytest.raises(InvalidArgument, match="ply, obj, glb, stl, usdz") as raised:
        await ask(client.submit(PHOTO, format="fbx"))
    assert raised.value.violations[0].field == "settings.options.format"
    with pytest.raises(TypeError, match="colour"):
        await ask(client.submit(PHOTO, colour="red"))
    assert script.calls == []


async def test_a_photo_may_be_a_path_or_an_open_file(client: Any, script: Script, tmp_path: Path) -> None:
    path = tmp_path / "me.jpg"
    path.write_bytes(PHOTO)
    await ask(client.submit(path))
    await ask(client.submit(str(path)))
    with path.open("rb") as file:
        await ask(client.submit(file))
    with path.open() as text, pytest.raises((TypeError, UnicodeDecodeError)):
        await ask(client.submit(text))
    assert [request.photo for request in script.requests("CreateJob")] == [PHOTO] * 3


async def test_a_large_photo_is_streamed(client: Any, script: Script) -> None:
    job = await ask(client.submit(LARGE_PHOTO, request_id="large"))
    assert script.photos[job.id] == LARGE_PHOTO
    assert [name for name, _ in script.calls] == ["UploadJob"]


async def test_a_picture_can_be_had_without_the_mesh(client: Any, script: Script, tmp_path: Path) -> None:
    job = await ask(client.submit(PHOTO))
    status = await ask(job.wait())
    with pytest.raises(ValueError, match="not downloaded"):
        status.faces[0].preview.data  # noqa: B018
    preview = await ask(job.preview())
    assert preview == status.faces[0].preview
    assert preview.save(tmp_path / "new" / "head.webp").read_bytes() == PICTURE
    assert not script.requests("DownloadMesh")


async def test_an_older_worker_s_result_comes_without_a_picture(client: Any, script: Script) -> None:
    for face in script.outcome.faces:
        face.ClearField("preview")
    [face] = (await ask(client.reconstruct(PHOTO))).faces
    assert face.mesh.data == MESH
    assert not face.has_preview
    with pytest.raises(ValueError, match="no picture"):
        face.preview  # noqa: B018
    assert not script.requests("GetPreview")


@pytest.mark.parametrize(("photo", "rpc"), [(PHOTO, "CreateJob"), (LARGE_PHOTO, "UploadJob")])
async def test_a_create_that_was_cut_makes_one_job(client: Any, script: Script, photo: bytes, rpc: str) -> None:
    script.errors[rpc] = [UNAVAILABLE, UNAVAILABLE]
    job = await ask(client.submit(photo))
    requests = script.requests(rpc)
    settings = [request if rpc == "UploadJob" else request.settings for request in requests]
    assert len(settings) == 3
    assert len({entry.request_id for entry in settings}) == 1
    assert len(settings[0].request_id) == 32
    assert script.photos[job.id] == photo


async def test_two_submits_are_two_jobs(client: Any) -> None:
    first, second = await ask(client.submit(PHOTO)), await ask(client.submit(PHOTO))
    assert first.id != second.id


async def test_cuts_in_every_stream_lose_nothing(client: Any, script: Script, running: Running) -> None:
    running.service.meshes = [make_ply(300), make_ply(500)]
    script.outcome = succeeded(*running.service.meshes)
    script.cuts["WatchJob"] = [0, 2, 1, 6]  # the last three of the six are pieces of the mesh
    script.cuts["DownloadMesh"] = [0, 4]
    events: list[Any] = []
    result = await ask(client.reconstruct(PHOTO, all_faces=True, on_event=events.append))
    assert [event.number for event in events] == [1, 2, 3, 4, 5, 6]
    assert [request.after_event for request in script.requests("WatchJob")] == [0, 0, 2, 3]
    assert [(face.mesh.data, face.preview.data) for face in result.faces] == [
        (mesh, PICTURE) for mesh in running.service.meshes
    ]
    assert [request.offset for request in script.requests("DownloadMesh")] == [3000, 3000, 7000, 0]
    assert [request.face_index for request in script.requests("DownloadMesh")] == [0, 0, 0, 1]


async def test_meshes_and_pictures_come_with_the_watch(client: Any, script: Script, running: Running) -> None:
    running.service.meshes = [make_ply(300), make_ply(500)]
    script.outcome = succeeded(*running.service.meshes)
    result = await ask(client.reconstruct(PHOTO, all_faces=True))
    assert [face.mesh.data for face in result.faces] == running.service.meshes
    assert [face.preview.data for face in result.faces] == [PICTURE] * 2
    assert [name for name, _ in script.calls] == ["CreateJob", "WatchJob"]


async def test_a_mesh_that_comes_before_the_end_is_not_asked_for_again(
    client: Any, script: Script, running: Running
) -> None:
    running.service.meshes = [make_ply(300), make_ply(500)]
    script.outcome = succeeded(*running.service.meshes)
    whole, part = running.service.chunks(0), running.service.chunks(1)[:2]
    for early in ([*whole, *part], [*part], []):
        script.early = [early]
        result = await ask(client.reconstruct(PHOTO, all_faces=True))
        assert [face.mesh.data for face in result.faces] == running.service.meshes
    assert {name for name, _ in script.calls} == {"CreateJob", "WatchJob"}
    assert [request.early_mesh for request in script.requests("WatchJob")] == [True] * 3


async def test_the_mesh_of_a_replaced_worker_is_not_the_result(client: Any, script: Script, running: Running) -> None:
    lost, mesh = make_ply(300), running.service.meshes[0]
    for early in (running.service.chunks(0, mesh=lost), running.service.chunks(0, mesh=lost)[:2]):
        for after in ([], running.service.chunks(0)[:1], running.service.chunks(0)):
            script.early = [[*early, *after]]
            assert (await ask(client.reconstruct(PHOTO))).mesh.data == mesh
    assert {name for name, _ in script.calls} == {"CreateJob", "WatchJob"}


async def test_a_cut_before_the_end_begins_the_mesh_anew(client: Any, script: Script, running: Running) -> None:
    running.service.meshes = [make_ply(500)]
    script.outcome = succeeded(*running.service.meshes)
    script.early = [running.service.chunks(0)[:3], running.service.chunks(0)[:1]]
    script.cuts["WatchJob"] = [2]
    assert (await ask(client.reconstruct(PHOTO))).mesh.data == running.service.meshes[0]
    assert [name for name, _ in script.calls] == ["CreateJob", "WatchJob", "WatchJob"]


async def test_a_mesh_without_a_job_that_succeeded_is_no_result(client: Any, script: Script, running: Running) -> None:
    script.early = [running.service.chunks(0)]
    script.outcome = pb.Job(state=pb.JOB_STATE_CANCELLED)
    with pytest.raises(JobCancelled):
        await ask(client.reconstruct(PHOTO))


@pytest.mark.parametrize("apart", [False, True])
async def test_events_are_asked_for_where_somebody_looks_at_them(client: Any, script: Script, apart: bool) -> None:
    script.apart = apart
    job = await ask(client.submit(PHOTO))
    for mesh in ((await ask(client.reconstruct(PHOTO))).mesh, (await ask(job.result())).mesh):
        assert mesh.data == MESH
    assert (await ask(job.wait())).state is JobState.SUCCEEDED
    assert [request.only_end for request in script.requests("WatchJob")] == [True] * 3
    script.calls.clear()
    events: list[Any] = []
    await ask(client.reconstruct(PHOTO, on_event=events.append))
    await ask(job.result(on_event=events.append))
    events += await collect(job.watch())
    assert [event.number for event in events] == [1, 2, 3, 4, 5, 6] * 3
    assert [request.only_end for request in script.requests("WatchJob")] == [False] * 3


async def test_an_older_service_is_asked_for_meshes_and_pictures(client: Any, script: Script, running: Running) -> None:
    script.apart = True
    running.service.meshes = [make_ply(300), make_ply(500)]
    script.outcome = succeeded(*running.service.meshes)
    result = await ask(client.reconstruct(PHOTO, all_faces=True))
    assert [face.mesh.data for face in result.faces] == running.service.meshes
    assert [face.preview.data for face in result.faces] == [PICTURE] * 2
    assert [name for name, _ in script.calls] == ["CreateJob", "WatchJob", *["DownloadMesh", "GetPreview"] * 2]


@pytest.mark.parametrize("apart", [False, True])
async def test_the_faces_of_a_scene_share_one_download(client: Any, script: Script, apart: bool) -> None:
    script.apart = apart
    script.outcome = succeeded(MESH, b"", b"")
    result = await ask(client.reconstruct(PHOTO, all_faces=True, scene=True))
    assert [face.mesh.data for face in result.faces] == [MESH] * 3
    assert {face.file for face in result.faces} == {result.mesh.file}
    assert len(script.requests("DownloadMesh")) == apart


@pytest.mark.parametrize(
    ("state", "error", "kind"),
    [
        (pb.JOB_STATE_FAILED, pb.JobError(code=3, reason="NO_FACE", message="No face."), NoFace),
        (pb.JOB_STATE_FAILED, pb.JobError(code=3, reason="PHOTO_CORRUPT", message="Damaged."), JobPhotoRejected),
        (pb.JOB_STATE_FAILED, pb.JobError(code=13, reason="POISON_INPUT", message="It kills."), JobFailed),
        (pb.JOB_STATE_EXPIRED, pb.JobError(code=4, reason="DEADLINE", message="Too late."), JobExpired),
        (pb.JOB_STATE_CANCELLED, pb.JobError(), JobCancelled),
    ],
)
async def test_a_job_that_ends_without_a_mesh_raises_its_error(
    client: Any, script: Script, state: pb.JobState, error: pb.JobError, kind: type[JobEnded]
) -> None:
    script.outcome = pb.Job(state=state, error=error)
    with pytest.raises(kind) as raised:
        await ask(client.reconstruct(PHOTO))
    assert type(raised.value) is kind
    assert raised.value.job is not None
    assert raised.value.job.state.value == pb.JobState.Name(state).removeprefix("JOB_STATE_").lower()
    assert raised.value.reason == (error.reason or "JOB_CANCELLED")
    job = await ask(client.submit(PHOTO))
    ended = await ask(job.wait())
    assert isinstance(ended.error, kind)


async def test_a_handle_finds_its_job_again(client: Any, script: Script) -> None:
    made = await ask(client.submit(PHOTO))
    job = client.job(made.id)
    assert (await ask(job.status())).state is JobState.QUEUED
    assert [event.number for event in await collect(job.watch(after_event=4))] == [5, 6]
    assert (await ask(job.wait())).state is JobState.SUCCEEDED
    assert await ask(job.download()) == MESH
    assert (await ask(job.result())).mesh.data == MESH
    assert script.requests("CreateJob")[0].settings.request_id == (await ask(job.status())).request_id


async def test_a_queued_job_is_cancelled_and_removed(client: Any, script: Script) -> None:
    job = await ask(client.submit(PHOTO))
    assert (await ask(job.cancel())).state is JobState.CANCELLED
    await ask(job.delete())
    assert script.jobs == {}


async def test_jobs_are_listed_over_pages_as_needed(client: Any, script: Script) -> None:
    for _ in range(5):
        await ask(client.submit(PHOTO))
    assert [job.id for job in await collect(client.jobs())] == [f"job-{n}" for n in range(5)]
    assert len(script.requests("ListJobs")) == 3
    assert await collect(client.jobs("running", JobState.SUCCEEDED)) == []
    assert list(script.requests("ListJobs")[-1].states) == [pb.JOB_STATE_RUNNING, pb.JOB_STATE_SUCCEEDED]
    with pytest.raises(InvalidArgument, match="queued"):
        await collect(client.jobs("done"))


PERSON = [b"\xff\xd8 left", b"\xff\xd8 front", b"\xff\xd8 right"]


async def test_photos_of_one_person_are_one_job_and_one_result(client: Any, script: Script, tmp_path: Path) -> None:
    views = [pb.PhotoView(index=0, weight=1.0, pose={"yaw": -40}), pb.PhotoView(index=1, left_out="NO_FACE")]
    script.outcome.views.extend(views)
    (tmp_path / "front.jpg").write_bytes(PERSON[1])
    given = [PERSON[0], tmp_path / "front.jpg", BytesIO(PERSON[2])]
    result = await ask(client.reconstruct(given, one_person=True))
    [request] = script.requests("CreateJob")
    assert [request.photo, *request.more_photos] == PERSON
    assert request.settings.one_person
    assert (
        result.views
        == result.job.views
        == (
            PhotoView(0, 1.0, Pose(-40.0, 0.0, 0.0)),
            PhotoView(1, 0.0, None, LeftOut.NO_FACE),
        )
    )
    assert result.faces[0].mesh.data == MESH


async def test_large_photos_of_one_person_are_streamed_and_sent_again_after_a_cut(client: Any, script: Script) -> None:
    photos = [LARGE_PHOTO, PHOTO, LARGE_PHOTO[:-1]]
    script.errors["UploadJob"] = [UNAVAILABLE]
    job = await ask(client.submit(photos, one_person=True, request_id="person"))
    assert script.photos[job.id] == photos[0]
    assert script.more_photos[job.id] == photos[1:]
    assert [settings.request_id for settings in script.requests("UploadJob")] == ["person"] * 2
    assert script.requests("CreateJob") == []


@pytest.mark.parametrize(
    ("photos", "options", "field"),
    [
        (PERSON, {}, "settings.one_person"),
        ([], {"one_person": True}, "settings.one_person"),
        ([PHOTO] * 17, {"one_person": True}, "settings.one_person"),
        (PERSON, {"one_person": True, "all_faces": True}, "settings.options.all_faces"),
        (PERSON, {"one_person": True, "extent": "face"}, "settings.options.extent"),
    ],
)
async def test_photos_that_cannot_be_one_person_are_not_sent(
    client: Any, script: Script, photos: list[bytes], options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgument) as raised:
        await ask(client.submit(photos, **options))
    assert raised.value.violations[0].field == field
    assert script.calls == []


async def test_a_single_photo_says_nothing_of_one_person(client: Any, script: Script) -> None:
    result = await ask(client.reconstruct(PHOTO))
    [request] = script.requests("CreateJob")
    assert not request.settings.one_person
    assert list(request.more_photos) == []
    assert result.views == ()


async def test_an_older_service_does_not_make_the_head_of_one_photo_of_several(client: Any, script: Script) -> None:
    script.old = True
    with pytest.raises(ServiceError, match="first photo alone"):
        await ask(client.reconstruct(PERSON, one_person=True))
    [request] = script.requests("CancelJob")
    assert [job.state for job in script.jobs.values() if job.id == request.job_id] == [pb.JOB_STATE_CANCELLED]
