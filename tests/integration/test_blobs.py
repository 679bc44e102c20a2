"""Photos and meshes in Redis, in a folder and in buckets: the same for callers, and nothing is left over."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import httpx
import pytest

from selfie3d.types import JobState, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs import (
    AsyncStore,
    BlobsUnavailable,
    BlobTrouble,
    JobLost,
    JobsConfig,
    Reason,
    Record,
    Store,
    admission,
    execution,
    maintenance,
    queries,
    webhooks,
)
from selfie3d_jobs.admission import AdmissionLimits
from selfie3d_jobs.blobs import AsyncBlobs, AsyncBucket, WorkerBlobs, async_bucket, garbage, names, place_of
from selfie3d_jobs.blobs.sweep import OWNER, is_due, sweep
from selfie3d_service import ServiceConfig
from selfie3d_worker.runner import Runner
from tests.azurite import Azurite
from tests.buckets import Bucket, Folder, Moto, Nanio, Server
from tests.google_storage import GoogleStorage
from tests.integration.conftest import served
from tests.integration.road import WIDE, Keys, get, new_job, picture_of, reap, start
from tests.integration.test_service import refused
from tests.stack import eventually_async, free_port
from tests.tiny import make_photo

SERVERS: dict[str, Callable[[Path], Server]] = {
    "nanio": Nanio,
    "moto": Moto,
    "azurite": Azurite,
    "google": GoogleStorage,
}
SIGNED = [name for name in SERVERS if name != "moto"]  # it checks no signature
KINDS = ("redis", "folder", *SERVERS)
OUTSIDE = KINDS[1:]
GRACE = 1.0  # s
SIGNED_SECONDS = 900
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bucket]]:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(async_bucket, "ANSWER_SECONDS", 30.0)  # on a busy machine a server answers late
        made: dict[str, Bucket] = {"folder": Folder(tmp_path_factory.mktemp("folder"))}
        for name, make in SERVERS.items():
            made[name] = server = stack.enter_context(make(tmp_path_factory.mktemp(name)))
            for variable, value in server.credentials.items():
                patch.setenv(variable, value)
        yield made


class Place:
    """Where the jobs of a test have their blobs, with the service and a worker's hands there."""

    def __init__(self, kind: str, bucket: Bucket | None, config: JobsConfig, store: Store) -> None:
        self.kind, self._bucket, self.store = kind, bucket, store
        self.prefix = config.prefix.rstrip(":")
        setting = bucket.setting(self.prefix) if bucket else "redis"
        self.config = replace(config, blobs=setting, blob_grace_seconds=GRACE)
        self.worker = WorkerBlobs(self.config, store)

    @property
    def server(self) -> Server:
        """Of a bucket."""
        return cast(Server, self._bucket)

    def objects(self) -> set[str]:
        """All but the mark, which the service makes in its own time."""
        return self._bucket.objects(self.prefix) - {OWNER} if self._bucket else set()

    async def await_objects(self, *wanted: str) -> None:
        """Until the reaper has left these alone."""

        async def look() -> bool:
            return self.objects() == set(wanted)

        await eventually_async(look, f"{wanted} is all there is, not {self.objects()}")

    def begin(self, job_id: str, token: str = "t1") -> Record:
        return start(self.store, job_id, token)

    def finish(self, job: Record, *files: bytes) -> None:
        self.worker.succeed(job, result(*files))


def result(*files: bytes) -> execution.ExecutionResult:
    """What a worker hands in, with all that is said of files."""
    pictures = [picture_of(data) for data in files]
    faces = [
        pb.Face(
            index=i,
            file=pb.MeshFile(
                size_bytes=len(data), extension=".ply", media_type="model/ply", sha256=hashlib.sha256(data).hexdigest()
            ),
            preview=pb.PreviewFile(size_bytes=len(picture), media_type="image/webp"),
        )
        for i, (data, picture) in enumerate(zip(files, pictures, strict=True))
    ]
    return execution.ExecutionResult(faces, files, {"network": 0.02}, pictures)


@pytest.fixture
def place(request: pytest.FixtureRequest, buckets: dict[str, Bucket], jobs_config: JobsConfig, store: Store) -> Place:
    return Place(request.param, buckets.get(request.param), jobs_config, store)


@pytest.fixture
async def api(place: Place, service_config: ServiceConfig) -> AsyncIterator[Any]:
    async with served(replace(service_config, jobs=place.config, mesh_urls=True)) as stub:
        yield stub


async def create(api: Any, *photos: bytes, **settings: Any) -> str:
    first, *more = photos or (make_photo(),)
    request = pb.CreateJobRequest(settings=pb.JobSettings(**settings), photo=first, more_photos=more)
    return str((await api.CreateJob(request)).job.id)


async def download(api: Any, job_id: str, face: int = 0, offset: int = 0) -> bytes:
    request = pb.DownloadMeshRequest(job_id=job_id, face_index=face, offset=offset)
    return b"".join([answer.chunk.data async for answer in api.DownloadMesh(request)])


every_place = pytest.mark.parametrize("place", KINDS, indirect=True)
outside = pytest.mark.parametrize("place", OUTSIDE, indirect=True)
in_a_bucket = pytest.mark.parametrize("place", SERVERS, indirect=True)
where_signatures_are_checked = pytest.mark.parametrize("place", SIGNED, indirect=True)


@every_place
async def test_photos_and_meshes_come_back_as_they_were_sent_from_any_offset(api: Any, place: Place) -> None:
    photo, mesh = make_photo(3), bytes(range(256)) * 12_000 + b"end"  # 3 MB
    job_id = await create(api, photo)
    job = place.begin(job_id)
    assert place.worker.photo(job) == photo
    place.finish(job, mesh, b"second")
    assert (await api.GetJob(pb.GetJobRequest(job_id=job_id))).job.state == pb.JOB_STATE_SUCCEEDED
    for offset in (0, 1, 256 * 1024, MIB + 5, len(mesh) - 3, len(mesh)):
        assert await download(api, job_id, 0, offset) == mesh[offset:]
    assert await download(api, job_id, 1) == b"second"
    picture = await api.GetPreview(pb.GetPreviewRequest(job_id=job_id, face_index=1))
    assert picture.data == picture_of(b"second")
    watched = [r async for r in api.WatchJob(pb.WatchJobRequest(job_id=job_id, after_event=99, with_result=True))]
    assert b"".join(response.chunk.data for response in watched) == mesh + b"second"
    assert [r.preview.data for r in watched if r.HasField("preview")] == [picture_of(mesh), picture_of(b"second")]


async def test_a_folder_that_is_not_there_is_unavailable_and_is_not_made(
    service_config: ServiceConfig, tmp_path: Path
) -> None:
    """As a volume that is not mounted yet: what would be written beside it, nobody would find."""
    folder = tmp_path / "volume" / "heads"
    jobs = replace(service_config.jobs, blobs=f"file://{folder}")
    async with served(replace(service_config, jobs=jobs)) as api:
        assert (await refused(create(api)))[:2] == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert not folder.parent.exists()
        folder.mkdir(parents=True)
        job_id = await create(api)
        assert (folder / "photo" / job_id).read_bytes() == make_photo()


@every_place
async def test_photos_of_one_person_come_apart_again(api: Any, place: Place) -> None:
    photos = [make_photo(seed, side=40 + 10 * seed) for seed in range(3)]
    job = place.begin(await create(api, *photos, one_person=True))
    assert place.worker.photos(job) == photos


@outside
async def test_redis_holds_no_photo_and_no_mesh_of_a_job_that_lies_outside(api: Any, place: Place, keys: Keys) -> None:
    job_id = await create(api)
    assert keys.of(job_id) == {f"job:{job_id}", f"events:{job_id}"}
    assert place.objects() == {names.photo(job_id)}
    place.finish(place.begin(job_id), b"mesh" * 50_000)
    assert keys.of(job_id) == {f"job:{job_id}", f"ended:{job_id}"}
    await place.await_objects(names.mesh(job_id, 1, 0, ".ply"), names.preview(job_id, 1, 0))


@outside
@pytest.mark.parametrize("end", ["delete", "cancel", "fail", "expire"])
async def test_what_ends_or_is_removed_leaves_no_object(api: Any, place: Place, keys: Keys, end: str) -> None:
    kept, job_id = await create(api), await create(api)
    if end == "cancel":
        await api.CancelJob(pb.CancelJobRequest(job_id=job_id))
    elif end == "fail":
        place.store.run(execution.fail(place.begin(job_id), Reason.NO_FACE, "nobody there", {}))
    else:
        place.finish(place.begin(job_id), b"first", b"second")
        assert len(place.objects()) >= 5
        if end == "delete":
            await api.DeleteJob(pb.DeleteJobRequest(job_id=job_id))
        else:
            keys.score("expiry", job_id, 1)
    await place.await_objects(names.photo(kept))
    if end in ("delete", "expire"):
        assert (await refused(download(api, job_id)))[1] == "JOB_NOT_FOUND"


@outside
async def test_nothing_is_served_once_a_job_is_deleted_or_its_time_is_over_though_its_objects_are_still_there(
    place: Place, service_config: ServiceConfig, keys: Keys
) -> None:
    mesh = b"m" * (8 * MIB)
    async with served(replace(service_config, jobs=place.config, mesh_urls=True)) as api:
        job_id, over = await create(api), await create(api)
        for each in (job_id, over):
            place.finish(place.begin(each, each), mesh)
        stream = api.DownloadMesh(pb.DownloadMeshRequest(job_id=job_id))
        await stream.read()
        place.store.run(queries.delete(job_id, queries.ANYONE))  # past the service, which would wake its reaper
        assert (await refused(drain(stream)))[1] == "JOB_NOT_FOUND"
        keys.client.hset(f"{keys.prefix}job:{over}", "expire_time", 1)
        assert (await refused(download(api, over)))[1] == "JOB_NOT_FOUND"
        for call in (
            api.GetPreview(pb.GetPreviewRequest(job_id=over)),
            api.GetMeshUrl(pb.GetMeshUrlRequest(job_id=over)),
        ):
            reason = (await refused(call))[1]
            assert reason == ("MESH_URL_UNAVAILABLE" if place.kind == "folder" and "Url" in repr(call) else reason)
            assert reason in ("JOB_NOT_FOUND", "MESH_URL_UNAVAILABLE")


async def drain(stream: Any) -> None:
    """What is left of a stream."""
    while await stream.read() is not grpc.aio.EOF:
        pass


@outside
async def test_a_late_worker_overwrites_nothing_and_leaves_nothing(api: Any, place: Place, keys: Keys) -> None:
    job_id = await create(api)
    slow = place.begin(job_id, "slow")
    late = [names.mesh(job_id, 1, 0, ".ply"), names.preview(job_id, 1, 0)]
    place.store.run(garbage.announce_result(slow, late, GRACE))
    keys.lose_lease(job_id)
    reap(place.store, place.config)
    quick = place.begin(job_id, "quick")
    place.finish(quick, b"the mesh")
    for name in late:  # it had announced them before it lost the job
        place.worker._bucket_of().put(name, b"late")
    with pytest.raises(JobLost):
        place.finish(slow, b"late mesh")
    assert await download(api, job_id) == b"the mesh"
    await place.await_objects(names.mesh(job_id, 2, 0, ".ply"), names.preview(job_id, 2, 0))
    assert await download(api, job_id) == b"the mesh"


@outside
async def test_an_object_that_no_job_has_got_in_time_is_deleted_and_the_job_refused(
    api: Any, place: Place, keys: Keys
) -> None:
    """As after a kill between the put and the script that records it."""
    job_id = await create(api)
    job = place.begin(job_id)
    left = [names.photo("0" * 32), names.mesh(job_id, 1, 0, ".ply")]
    place.store.run(garbage.announce(left, GRACE))
    for name in left:
        place.worker._bucket_of().put(name, b"left over")
    await place.await_objects(names.photo(job_id))
    objects = execution.Objects([left[1]], ".ply", 9)
    with pytest.raises(BlobsUnavailable, match="so long"):
        place.store.run(execution.succeed_outside(job, result(b"left over"), objects))
    assert get(place.store, job_id).state is JobState.RUNNING

    async def look() -> bool:
        return not keys.all() & {"uploads", "garbage"}

    await eventually_async(look, "nothing is remembered of them")


@pytest.mark.parametrize("place", ["folder"], indirect=True)
async def test_a_file_that_was_being_written_when_its_process_was_killed_is_removed(api: Any, place: Place) -> None:
    await create(api)  # and so the service's reaper is at work
    kept, folder = place.objects(), Path(place.config.blobs.removeprefix("file://"))
    left = [names.photo("0" * 32), names.mesh("0" * 32, 1, 0, ".ply")]
    place.store.run(garbage.announce(left, GRACE))
    for name in left:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}#1").write_bytes(b"hal")
    await place.await_objects(*kept)
    assert not (folder / left[1]).parent.exists()


@outside
async def test_twenty_callers_with_one_request_id_leave_one_photo(api: Any, place: Place) -> None:
    made = await asyncio.gather(*(create(api, request_id="same") for _ in range(20)))
    assert len(set(made)) == 1
    await place.await_objects(names.photo(made[0]))


@outside
async def test_a_refused_photo_is_not_kept(place: Place, service_config: ServiceConfig) -> None:
    limits = AdmissionLimits(max_active=3)
    async with served(replace(service_config, jobs=place.config, limits=limits)) as api:
        tries = await asyncio.gather(*(create(api) for _ in range(12)), return_exceptions=True)
        made = [each for each in tries if isinstance(each, str)]
        assert len(made) == 3
        await place.await_objects(*map(names.photo, made))


@outside
async def test_a_worker_that_cannot_reach_the_bucket_gives_the_job_back_without_a_loss(
    api: Any, place: Place, keys: Keys
) -> None:
    job_id = await create(api)
    for attempt in range(1, 6):
        job = place.begin(job_id, f"t{attempt}")
        assert job.attempt == attempt
        for _ in range(2):
            with suppress(JobLost):  # the second time it is not this attempt's any more
                place.store.run(execution.give_back(job))
    record = get(place.store, job_id)
    assert record.state is JobState.QUEUED
    assert keys.client.hget(f"{keys.prefix}job:{job_id}", "losses") == b"0"


async def test_a_worker_whose_bucket_stays_away_goes_on_with_other_jobs_and_this_one_waits(
    jobs_config: JobsConfig, store: Store, buckets: dict[str, Bucket], keys: Keys
) -> None:
    place = Place("nanio", buckets["nanio"], jobs_config, store)
    new = new_job()
    store.run(garbage.announce([names.photo(new.id)], GRACE))
    store.run(admission.create_outside(new, WIDE))
    gone = replace(place.config, blobs=f"s3://heads/x?endpoint=http://127.0.0.1:{free_port()}&region=us-east-1")
    heartbeat: Any = SimpleNamespace(holding=lambda _: nullcontext())
    model: Any = None
    Runner("me", store, WorkerBlobs(gone, store, 0.2), heartbeat, model, 60.0).run(new.id)
    record = get(store, new.id)
    assert (record.state, record.attempt) == (JobState.QUEUED, 1)
    assert keys.client.hget(f"{keys.prefix}counters", "requeued:blobs") == b"1"
    assert [message.job_id for message in reap(store, jobs_config).publish] == [new.id]


async def test_a_job_whose_photo_somebody_has_removed_fails_at_once(
    jobs_config: JobsConfig, store: Store, buckets: dict[str, Bucket]
) -> None:
    place = Place("nanio", buckets["nanio"], jobs_config, store)
    new = new_job()
    store.run(garbage.announce([names.photo(new.id)], GRACE))
    store.run(admission.create_outside(new, WIDE))
    heartbeat: Any = SimpleNamespace(holding=lambda _: nullcontext())
    model: Any = None
    Runner("me", store, place.worker, heartbeat, model, 60.0).run(new.id)
    record = get(store, new.id)
    assert record.error is not None
    assert (record.state, record.error.reason) == (JobState.FAILED, "INTERNAL")


@in_a_bucket
async def test_a_presigned_address_gives_the_mesh_for_fifteen_minutes_at_most(api: Any, place: Place) -> None:
    job_id = await create(api)
    place.finish(place.begin(job_id), b"mesh" * 1000)
    before = time.time()
    answer = await api.GetMeshUrl(pb.GetMeshUrlRequest(job_id=job_id))
    assert int(before) + SIGNED_SECONDS <= answer.expire_time.ToSeconds() <= time.time() + SIGNED_SECONDS
    assert place.server.lifetime(answer.url) == SIGNED_SECONDS
    got = httpx.get(answer.url, headers={"Range": "bytes=4-7"})
    assert (got.status_code, got.content, got.headers["content-type"]) == (206, b"mesh", "model/ply")
    assert hashlib.sha256(httpx.get(answer.url).content).hexdigest() == answer.file.sha256
    assert (await refused(api.GetMeshUrl(pb.GetMeshUrlRequest(job_id=job_id, face_index=1))))[1] == "FACE_NOT_FOUND"
    await api.DeleteJob(pb.DeleteJobRequest(job_id=job_id))
    await place.await_objects()
    assert httpx.get(answer.url).status_code == 404


@in_a_bucket
async def test_a_presigned_address_ends_with_its_job(place: Place, service_config: ServiceConfig, keys: Keys) -> None:
    async with served(replace(service_config, jobs=place.config, mesh_urls=True)) as api:
        job_id = await create(api)
        place.finish(place.begin(job_id), b"mesh")
        now = keys.client.time()[0]
        keys.client.hset(f"{keys.prefix}job:{job_id}", "expire_time", (now + 100) * 1000)
        url = (await api.GetMeshUrl(pb.GetMeshUrlRequest(job_id=job_id))).url
        assert 95 <= place.server.lifetime(url) <= 100


@where_signatures_are_checked
async def test_a_presigned_address_is_good_for_its_own_mesh_and_time_alone(api: Any, place: Place) -> None:
    job_id = await create(api)
    place.finish(place.begin(job_id), b"mesh", b"another")
    url = (await api.GetMeshUrl(pb.GetMeshUrlRequest(job_id=job_id))).url
    assert httpx.get(url).status_code == 200
    assert httpx.get(url.replace("/0.ply", "/1.ply")).status_code == 403
    assert httpx.get(place.server.prolonged(url)).status_code == 403
    assert httpx.delete(url).status_code == 403
    bucket = AsyncBucket(place.config.place)  # type: ignore[arg-type]
    brief = await bucket.sign(names.mesh(job_id, 1, 0, ".ply"), 1)

    async def is_over() -> bool:
        return httpx.get(brief).status_code == 403

    await eventually_async(is_over, "the address is not good any more")


@where_signatures_are_checked
async def test_a_presigned_address_names_the_store_as_callers_reach_it(place: Place) -> None:
    public = place_of(f"{place.config.blobs}&public_endpoint=https://s3.example")
    assert public is not None
    url = httpx.URL(await AsyncBucket(public).sign("mesh/0/1/0.ply", 60))
    assert (url.scheme, url.host, url.path) == ("https", "s3.example", f"/heads/{place.prefix}/mesh/0/1/0.ply")


@pytest.mark.parametrize("place", ["redis", "folder"], indirect=True)
async def test_without_a_bucket_there_are_no_addresses(api: Any, place: Place) -> None:
    job_id = await create(api)
    place.finish(place.begin(job_id), b"mesh")
    refusal = await refused(api.GetMeshUrl(pb.GetMeshUrlRequest(job_id=job_id)))
    assert refusal[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "MESH_URL_UNAVAILABLE")


@pytest.mark.parametrize("place", ["nanio"], indirect=True)
async def test_addresses_are_off_unless_they_are_switched_on(place: Place, service_config: ServiceConfig) -> None:
    async with served(replace(service_config, jobs=place.config)) as api:
        job_id = await create(api)
        place.finish(place.begin(job_id), b"mesh")
        assert (await refused(api.GetMeshUrl(pb.GetMeshUrlRequest(job_id=job_id))))[1] == "MESH_URL_UNAVAILABLE"


@pytest.mark.parametrize("place", ["nanio"], indirect=True)
async def test_jobs_of_redis_are_served_on_when_new_ones_go_to_a_bucket(
    place: Place, service_config: ServiceConfig
) -> None:
    async with served(service_config) as before:
        job_id = await create(before)
    async with served(replace(service_config, jobs=place.config)) as api:
        job = place.begin(job_id)
        assert place.worker.photo(job) == make_photo()
        place.finish(job, b"mesh of Redis")
        assert await download(api, job_id) == b"mesh of Redis"
        assert place.objects() == set()


@pytest.mark.parametrize("place", ["folder"], indirect=True)
async def test_what_lies_outside_takes_no_room_in_redis_also_when_new_jobs_go_back_there(
    place: Place, service_config: ServiceConfig, store: Store
) -> None:
    def counted() -> tuple[int, int]:
        sizes = store.run(maintenance.snapshot()).sizes
        return sizes["bytes"], sizes["outside_bytes"]

    async with served(replace(service_config, jobs=place.config)) as before:
        job_id = await create(before)
        assert counted() == (0, len(make_photo()))
        mesh = bytes(5 * MIB)
        place.finish(place.begin(job_id), mesh)
        assert counted() == (0, len(mesh) + len(picture_of(mesh)))
    narrow = replace(service_config.limits, max_stored_mib=4, result_reserve_mib=1)
    async with served(replace(service_config, limits=narrow)) as api:
        await create(api)
        assert counted()[0] == len(make_photo())
        await api.DeleteJob(pb.DeleteJobRequest(job_id=job_id))
        assert counted() == (len(make_photo()), 0)


@pytest.mark.parametrize("place", ["nanio"], indirect=True)
async def test_a_service_without_the_bucket_of_a_job_says_unavailable(
    place: Place, service_config: ServiceConfig, api: Any
) -> None:
    job_id = await create(api)
    place.finish(place.begin(job_id), b"mesh")
    async with served(service_config) as other:
        assert (await refused(download(other, job_id)))[:2] == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


@outside
async def test_what_was_announced_does_not_survive_its_deletion(place: Place, jobs_config: JobsConfig) -> None:
    """A reaper that dies between deleting and saying so: the next one deletes again, which does no harm."""
    store, bucket = AsyncStore(jobs_config), AsyncBucket(place.config.place)  # type: ignore[arg-type]
    try:
        place.worker._bucket_of().put("photo/00", b"left")
        await store.run(garbage.announce(["photo/00"], 0.0))
        assert await store.run(garbage.take_garbage()) == ["photo/00"]
        assert await bucket.delete(["photo/00"]) == ["photo/00"]
        assert await store.run(garbage.take_garbage()) == []  # somebody is at it
        assert await bucket.delete(["photo/00"]) == ["photo/00"]
        await store.run(garbage.forget(["photo/00"]))
        assert place.objects() == set()
    finally:
        await store.close()


@every_place
async def test_the_history_of_a_job_that_has_ended_is_the_same_as_while_it_ran(api: Any, place: Place) -> None:
    job_id = await create(api)
    job = place.begin(job_id)
    place.store.run(execution.advance(job, Stage.DECODE, 0.125, 60.0))
    place.store.run(execution.give_back(job))
    job = place.begin(job_id, "t2")
    for number, stage in enumerate(Stage):
        place.store.run(execution.advance(job, stage, number / 7, 60.0))
    while_it_ran = place.store.run(queries.events(job_id, 0))
    place.finish(job, b"mesh")
    afterwards = place.store.run(queries.events(job_id, 0))
    assert afterwards[:-1] == while_it_ran
    assert (afterwards[-1].number, afterwards[-1].state) == (len(while_it_ran) + 1, JobState.SUCCEEDED)
    assert place.store.run(queries.events(job_id, 5)) == afterwards[5:]
    seen = [answer async for answer in api.WatchJob(pb.WatchJobRequest(job_id=job_id))]
    assert [answer.event.number for answer in seen] == [event.number for event in afterwards]
    assert seen[-1].job.faces == result(b"mesh").faces


@outside
async def test_a_webhook_tells_the_faces_of_a_job_that_lies_outside(place: Place) -> None:
    job = new_job(webhook_lane="https://receiver.example anna")
    place.store.run(garbage.announce([names.photo(job.id)], GRACE))
    place.store.run(admission.create_outside(job, WIDE))
    place.finish(place.begin(job.id), b"mesh")
    [webhook] = place.store.run(webhooks.take(10, 10, 60.0, {}, {}))
    assert list(webhook.job.outcome.faces) == result(b"mesh").faces


@outside
async def test_objects_that_redis_has_forgotten_are_found_and_those_of_jobs_stay(
    api: Any, place: Place, keys: Keys
) -> None:
    """As after a failover that lost the last writes."""
    queued, done, lost = await create(api), await create(api), await create(api)
    for job_id in (done, lost):
        place.finish(place.begin(job_id, job_id), b"mesh")
    wanted = {names.photo(queued), names.mesh(done, 1, 0, ".ply"), names.preview(done, 1, 0)}
    await place.await_objects(*wanted, names.mesh(lost, 1, 0, ".ply"), names.preview(lost, 1, 0))
    keys.client.delete(*(f"{keys.prefix}{kind}:{lost}" for kind in ("job", "ended")))
    store, bucket = AsyncStore(place.config), AsyncBucket(place.config.place)  # type: ignore[arg-type]
    try:
        await bucket.put("notes/by-somebody-else.txt", [b"not ours"])
        assert await sweep(store, bucket, 3600.0) == 0  # all are young
        assert await sweep(store, bucket, -60.0) == 2
        await place.await_objects(*wanted, "notes/by-somebody-else.txt")
        assert await sweep(store, bucket, -60.0) == 0
    finally:
        await store.close()


@pytest.mark.parametrize("place", ["folder"], indirect=True)
async def test_an_object_that_cannot_be_deleted_keeps_no_other_one(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a lock of the bucket on it: the names of a batch stay together, and come in the same order each time."""
    locked, *others = [names.photo(f"{number:032x}") for number in range(20)]
    delete = AsyncBucket._delete

    async def refuse_one(bucket: AsyncBucket, name: str) -> None:
        if name == locked:
            raise BlobsUnavailable(BlobTrouble.RIGHTS)
        await delete(bucket, name)

    monkeypatch.setattr(AsyncBucket, "_delete", refuse_one)
    monkeypatch.setattr(garbage, "DELETING_SECONDS", 0.0)  # due again at once
    service_store = AsyncStore(place.config)
    bucket = AsyncBucket(place.config.place)  # type: ignore[arg-type]
    blobs = AsyncBlobs(place.config, service_store, bucket)
    for name in (locked, *others):
        await bucket.put(name, [b"a photo"])
    store.run(garbage.discard_strays([locked, *others]))
    for _ in range(20):  # all of them begin with the locked one once in 20^20 runs
        with suppress(BlobsUnavailable):
            await blobs.collect()
    assert place.objects() == {locked}
    await service_store.close()


@outside
async def test_the_objects_of_another_deployment_are_not_touched(
    api: Any, place: Place, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await create(api)
    store, bucket = AsyncStore(place.config), AsyncBucket(place.config.place)  # type: ignore[arg-type]
    try:
        assert await sweep(store, bucket, -60.0) == 0
        keys.client.delete(*(keys.prefix + key for key in keys.all()))  # Redis came back empty
        assert await sweep(store, bucket, -60.0) == 0
        assert place.objects() == {names.photo(job_id)}
        assert "another deployment's" in caplog.text
    finally:
        await store.close()


async def test_one_process_in_an_hour_sweeps(jobs_config: JobsConfig) -> None:
    store = AsyncStore(jobs_config)
    try:
        assert [await is_due(store), await is_due(store)] == [True, False]
    finally:
        await store.close()
