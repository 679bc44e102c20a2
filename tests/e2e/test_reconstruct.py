"""A photo in, a mesh out, through the front door."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
import trimesh
from PIL import Image

from selfie3d.types import Options
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from tests.photos import astronaut, two_faces
from tests.stack import await_end, download, watch
from vrn import Reconstructor

Api = rpc.ReconstructionServiceStub


def create(api: Api, photo: bytes, **settings: Any) -> pb.Job:
    return api.CreateJob(pb.CreateJobRequest(photo=photo, settings=pb.JobSettings(**settings)), timeout=10).job


@pytest.fixture(scope="module")
def done(api: Api) -> pb.Job:
    return await_end(api, create(api, astronaut()).id)


def test_create_and_poll_leads_to_a_mesh(api: Api, done: pb.Job) -> None:
    assert done.state == pb.JOB_STATE_SUCCEEDED
    assert len(done.faces) == 1
    assert {time.stage for time in done.stage_times} >= {pb.STAGE_DETECT, pb.STAGE_NETWORK, pb.STAGE_SURFACE}
    data = download(api, done.id)
    assert len(data) == done.faces[0].file.size_bytes
    assert hashlib.sha256(data).hexdigest() == done.faces[0].file.sha256


def test_the_ply_is_one_closed_coloured_solid_over_the_face(api: Api, done: pb.Job) -> None:
    face = done.faces[0]
    mesh = trimesh.load_mesh(io.BytesIO(download(api, done.id)), file_type="ply", process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert mesh.body_count == 1
    assert (len(mesh.vertices), len(mesh.faces)) == (face.vertices, face.triangles)
    assert isinstance(mesh.visual, trimesh.visual.ColorVisuals)
    colours = np.asarray(mesh.visual.vertex_colors)
    assert colours[:, :3].std(0).min() > 10
    matrix = np.array(face.mesh_to_photo).reshape(4, 4)
    photo = trimesh.transform_points(mesh.vertices, matrix)
    height, width = np.asarray(Image.open(io.BytesIO(astronaut()))).shape[:2]
    assert photo[:, :2].min() >= -0.5
    assert photo[:, 0].max() <= width - 0.5
    assert photo[:, 1].max() <= height - 0.5
    # The astronaut's eyes, nose and mouth lie in this box of the picture; the mesh must cover it.
    assert (photo[:, :2].min(0) < [185, 70]).all()
    assert (photo[:, :2].max(0) > [250, 160]).all()


def test_in_process_and_over_grpc_a_photo_gives_the_same_bytes(api: Api, done: pb.Job) -> None:
    result = Reconstructor.open().reconstruct(astronaut(), Options())
    assert result.files[0].data == download(api, done.id)


def test_create_watch_and_download(api: Api) -> None:
    job = create(api, astronaut())
    answers = list(watch(api, job.id))
    numbers = [answer.event.number for answer in answers]
    assert numbers == list(range(1, len(numbers) + 1))
    assert answers[0].event.state == pb.JOB_STATE_QUEUED
    assert answers[-1].event.state == answers[-1].job.state == pb.JOB_STATE_SUCCEEDED
    progress = [answer.event.progress for answer in answers]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    stages = [answer.event.stage for answer in answers if answer.event.state == pb.JOB_STATE_RUNNING]
    assert stages == sorted(stages)
    assert pb.STAGE_NETWORK in stages
    assert download(api, job.id).startswith(b"ply\n")


def test_reconstruct_gives_events_and_then_the_mesh_in_one_call(api: Api) -> None:
    parts = list(api.Reconstruct(pb.ReconstructRequest(photo=astronaut()), timeout=60))
    kinds = [part.WhichOneof("part") for part in parts]
    assert kinds[0] == "job"
    assert kinds.index("chunk") > kinds.index("event")
    final = [part.job for part in parts if part.WhichOneof("part") == "job"][-1]
    data = b"".join(part.chunk.data for part in parts if part.WhichOneof("part") == "chunk")
    assert hashlib.sha256(data).hexdigest() == final.faces[0].file.sha256


def test_two_watchers_of_one_job_see_the_same(api: Api) -> None:
    job = create(api, astronaut())
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: list(watch(api, job.id)), range(2))
    assert first == second


def test_watch_resumes_after_an_event_and_after_the_end(api: Api, done: pb.Job) -> None:
    everything = list(watch(api, done.id))
    rest = list(watch(api, done.id, after=3))
    assert rest == everything[3:]
    last = list(watch(api, done.id, after=done.last_event))
    assert [answer.job.state for answer in last] == [pb.JOB_STATE_SUCCEEDED]


def test_download_resumes_at_an_offset(api: Api, done: pb.Job) -> None:
    data = download(api, done.id)
    for offset in (1, 100_000, len(data) - 1):
        assert download(api, done.id, offset=offset) == data[offset:]
    assert download(api, done.id, offset=len(data)) == b""
    with pytest.raises(grpc.RpcError) as error:
        download(api, done.id, offset=len(data) + 1)
    assert error.value.code() == grpc.StatusCode.OUT_OF_RANGE


def test_chunks_name_the_file_and_stay_small(api: Api, done: pb.Job) -> None:
    chunks = [a.chunk for a in api.DownloadMesh(pb.DownloadMeshRequest(job_id=done.id), timeout=30)]
    assert all(len(chunk.data) <= 256 << 10 for chunk in chunks)
    assert all(chunk.file == done.faces[0].file for chunk in chunks)


def test_a_photo_uploaded_in_chunks_is_the_same_job(api: Api) -> None:
    photo, key = astronaut(quality=98), uuid.uuid4().hex

    def parts() -> Iterator[pb.UploadJobRequest]:
        yield pb.UploadJobRequest(settings=pb.JobSettings(request_id=key))
        for at in range(0, len(photo), 10_000):
            yield pb.UploadJobRequest(chunk=photo[at : at + 10_000])

    uploaded = api.UploadJob(parts(), timeout=30).job
    assert uploaded.photo_sha256 == hashlib.sha256(photo).hexdigest()
    assert create(api, photo, request_id=key).id == uploaded.id
    assert await_end(api, uploaded.id).state == pb.JOB_STATE_SUCCEEDED


def test_the_same_request_id_gives_one_job_and_refuses_another_photo(api: Api) -> None:
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: create(api, astronaut(), request_id=key).id, range(8)))
    assert len(set(jobs)) == 1
    with pytest.raises(grpc.RpcError) as error:
        create(api, astronaut(quality=50), request_id=key)
    assert error.value.code() == grpc.StatusCode.ALREADY_EXISTS


def test_delete_removes_an_ended_job(api: Api) -> None:
    job = await_end(api, create(api, astronaut()).id)
    api.DeleteJob(pb.DeleteJobRequest(job_id=job.id), timeout=10)
    for call in (
        lambda: api.GetJob(pb.GetJobRequest(job_id=job.id), timeout=10),
        lambda: download(api, job.id),
        lambda: list(watch(api, job.id)),
        lambda: api.CancelJob(pb.CancelJobRequest(job_id=job.id), timeout=10),
    ):
        with pytest.raises(grpc.RpcError) as error:
            call()
        assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_list_pages_through_all_jobs_newest_first(api: Api) -> None:
    made = [create(api, astronaut(), request_id=uuid.uuid4().hex).id for _ in range(3)]
    seen: list[str] = []
    token = ""
    while True:
        page = api.ListJobs(pb.ListJobsRequest(page_size=2, page_token=token), timeout=10)
        assert len(page.jobs) <= 2
        seen += [job.id for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen))
    assert [job for job in seen if job in made] == made[::-1]
    for job_id in made:
        await_end(api, job_id)
    finished = api.ListJobs(pb.ListJobsRequest(states=[pb.JOB_STATE_SUCCEEDED], page_size=1000), timeout=10).jobs
    assert set(made) <= {job.id for job in finished}
    assert {job.state for job in finished} == {pb.JOB_STATE_SUCCEEDED}


def test_five_photos_at_once_on_two_workers(api: Api) -> None:
    qualities = [70, 75, 80, 85, 90]
    with ThreadPoolExecutor(5) as pool:
        jobs = list(pool.map(lambda quality: await_end(api, create(api, astronaut(quality=quality)).id), qualities))
    assert [job.state for job in jobs] == [pb.JOB_STATE_SUCCEEDED] * 5
    assert len({job.faces[0].file.sha256 for job in jobs}) == 5


def test_all_faces_come_by_descending_size(api: Api) -> None:
    job = await_end(api, create(api, two_faces(), options=pb.Options(all_faces=True)).id)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert [face.index for face in job.faces] == [0, 1]
    assert job.faces[0].box.width > job.faces[1].box.width
    assert download(api, job.id, face=0) != download(api, job.id, face=1)
    alone = await_end(api, create(api, two_faces()).id)
    assert len(alone.faces) == 1


@pytest.mark.parametrize(
    ("format", "start"),
    [(pb.MESH_FORMAT_GLB, b"glTF"), (pb.MESH_FORMAT_OBJ, b""), (pb.MESH_FORMAT_STL, b"")],
)
def test_other_formats_are_what_they_say(api: Api, format: pb.MeshFormat, start: bytes) -> None:
    job = await_end(api, create(api, astronaut(), options=pb.Options(format=format, detail=pb.DETAIL_PREVIEW)).id)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    file = job.faces[0].file
    assert file.format == format
    data = download(api, job.id)
    assert data.startswith(start)
    mesh = trimesh.load_mesh(io.BytesIO(data), file_type=file.extension.lstrip("."))
    assert len(mesh.faces) == job.faces[0].triangles
