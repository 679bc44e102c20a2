"""The service says no in time: bounds, priorities, deadlines, cancelling."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from selfie3d import Client
from selfie3d.types import JobState, Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d.v1 import reconstruction_pb2_grpc as rpc
from tests.faults.farm import Farm
from tests.faults.proxy import Proxy
from tests.stack import Process, eventually, free_port, is_serving, open_api, open_channel
from tests.tiny import network_runs

Api = rpc.ReconstructionServiceStub
CHILDREN = 4  # of the farm's two workers
QUEUED, ACTIVE, UPLOADS, STREAMS = 5, 12, 4, 3
SHARE = UPLOADS // 2  # of the uploads, for one caller
SMALL_WINDOW = ("grpc.http2.bdp_probe", 0)  # else a quick connection may take a whole mesh that nobody reads


@pytest.fixture(scope="module")
def strict(whole_farm: Farm) -> Iterator[Process]:
    """A third service, with narrow bounds."""
    bounds = {"MAX_QUEUED": QUEUED, "MAX_JOBS_PER_CALLER": ACTIVE, "MAX_UPLOADS": UPLOADS, "MAX_STREAMS": STREAMS}
    env = {f"SELFIE3D_{name}": str(value) for name, value in bounds.items()}
    service = whole_farm.make_service(f"127.0.0.1:{free_port()}", **env).start()
    try:
        with open_channel(service.env["SELFIE3D_LISTEN"]) as channel:
            eventually(lambda: is_serving(channel), "the strict service is SERVING")
        yield service
    finally:
        service.end()


@pytest.fixture
def api(strict: Process) -> Iterator[Api]:
    with open_channel(strict.env["SELFIE3D_LISTEN"]) as channel:
        yield open_api(channel)


def refusal(call: Callable[[], object]) -> tuple[str, float]:
    """(reason, seconds until the refusal); it must be RESOURCE_EXHAUSTED and say when to come back."""
    start = time.perf_counter()
    with pytest.raises(grpc.RpcError) as error:
        call()
    seconds = time.perf_counter() - start
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = dict(error.value.trailing_metadata())["grpc-status-details-bin"]
    reason, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status_pb2.Status.FromString(details).details:
        detail.Unpack(reason)
        detail.Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() > 0
    return reason.reason, seconds


def occupy(farm: Farm, client: Client, children: int = CHILDREN) -> list[str]:
    """A held job in so many children."""
    jobs = [farm.submit(client, hold=Stage.NETWORK) for _ in range(children)]
    for job_id in jobs:
        farm.await_stage(job_id, Stage.NETWORK)
    return jobs


def test_over_the_bound_photos_are_refused_at_once_and_running_jobs_go_on(
    farm: Farm, strict: Process, api: Api, figures: dict[str, float]
) -> None:
    with Client(strict.env["SELFIE3D_LISTEN"]) as client:
        jobs = occupy(farm, client)
        jobs += [farm.submit(client) for _ in range(QUEUED)]
        photo = farm.new_photo(side=1000)
        answers = [refusal(lambda: api.CreateJob(pb.CreateJobRequest(photo=photo))) for _ in range(20)]
        assert {reason for reason, _ in answers} == {"QUEUE_FULL"}
        figures["median time to a refusal, ms"] = 1000 * sorted(seconds for _, seconds in answers)[10]
        jobs += [farm.submit(client, priority="bulk") for _ in range(ACTIVE - len(jobs))]
        bulk = pb.JobSettings(priority=pb.PRIORITY_BULK)
        reason, _ = refusal(lambda: api.CreateJob(pb.CreateJobRequest(photo=photo, settings=bulk)))
        assert reason == "QUOTA_EXCEEDED"
        farm.release()
        assert farm.audit.check(jobs, SUCCEEDED=len(jobs)).most_attempts == 1
        jobs = [farm.submit(client)]
    farm.audit.check(jobs, SUCCEEDED=1)


def test_uploads_beyond_the_bound_are_refused_and_vanished_ones_leave_room(farm: Farm, strict: Process) -> None:
    photo = farm.new_photo(side=700)
    sent: list[int] = []

    def half_a_photo() -> Iterator[pb.UploadJobRequest]:
        yield pb.UploadJobRequest(settings=pb.JobSettings())
        yield pb.UploadJobRequest(chunk=photo[: len(photo) // 2])
        sent.append(1)
        eventually(lambda: not sent, "the upload may end")

    def code_of_an_empty_upload(channel: grpc.Channel) -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as error:
            open_api(channel).UploadJob(iter([pb.UploadJobRequest(settings=pb.JobSettings())]))
        return error.value.code()

    def is_refused(channel: grpc.Channel) -> bool:
        return code_of_an_empty_upload(channel) is grpc.StatusCode.RESOURCE_EXHAUSTED

    def is_taken(channel: grpc.Channel) -> bool:
        return code_of_an_empty_upload(channel) is grpc.StatusCode.INVALID_ARGUMENT

    port = int(strict.env["SELFIE3D_LISTEN"].rpartition(":")[2])
    for _ in range(3):
        with Proxy(port) as proxy, open_channel(f"127.0.0.1:{proxy.port}") as channel:
            calls = [open_api(channel).UploadJob.future(half_a_photo()) for _ in range(SHARE)]
            eventually(lambda: len(sent) == SHARE, "the uploads are half-way")
            with open_channel(strict.env["SELFIE3D_LISTEN"]) as other:
                eventually(partial(is_refused, other), "further uploads are refused")
                create = partial(open_api(other).CreateJob, pb.CreateJobRequest(photo=photo))
                assert refusal(create)[0] == "UPLOADS_BUSY"
            proxy.drop()
            for call in calls:
                assert call.exception() is not None
            sent.clear()
        with open_channel(strict.env["SELFIE3D_LISTEN"]) as other:
            eventually(partial(is_taken, other), "the places of the vanished are free again")
    with Client(strict.env["SELFIE3D_LISTEN"]) as client:
        jobs = [farm.submit(client, photo)]
    farm.audit.check(jobs, SUCCEEDED=1)


def test_callers_that_vanish_half_way_through_a_download_leave_room(farm: Farm, strict: Process) -> None:
    photo = farm.new_photo(side=1024)
    with Client(strict.env["SELFIE3D_LISTEN"]) as client:
        job_id = farm.submit(client, photo, detail="full")
        farm.await_ends([job_id], 0)
    port = int(strict.env["SELFIE3D_LISTEN"].rpartition(":")[2])
    request = pb.DownloadMeshRequest(job_id=job_id)

    def first_chunk() -> pb.DownloadMeshResponse:
        with open_channel(strict.env["SELFIE3D_LISTEN"]) as other:
            answer: pb.DownloadMeshResponse = next(open_api(other).DownloadMesh(request))
            return answer

    def is_open() -> bool:
        with suppress(grpc.RpcError):
            return bool(first_chunk().chunk.data)
        return False

    def begun(channel: grpc.Channel) -> object:
        """A download, or None while the one before, which nobody reads any more, still has its place."""
        stream = open_api(channel).DownloadMesh(request)
        with suppress(grpc.RpcError):
            return stream if next(stream).chunk.offset == 0 else None
        return None

    for _ in range(3):
        eventually(is_open, "there is a place for a download")
        with Proxy(port) as proxy, open_channel(f"127.0.0.1:{proxy.port}", SMALL_WINDOW) as channel:
            streams = [eventually(partial(begun, channel), "there is a place for it") for _ in range(STREAMS)]
            assert refusal(first_chunk)[0] == "STREAMS_BUSY"
            assert len(streams) == STREAMS
            proxy.drop()
    eventually(is_open, "the places of the vanished are free again")


def test_interactive_jobs_overtake_bulk_ones(farm: Farm) -> None:
    with farm.client() as client:
        running = occupy(farm, client)
        bulk = [farm.submit(client, priority="bulk") for _ in range(8)]
        interactive = [farm.submit(client) for _ in range(4)]
        farm.release(farm.record(running[0]).settings.request_id)  # one child takes them all, one after the other
        farm.audit.check([running[0], *bulk, *interactive], SUCCEEDED=13)
    last = max(farm.record(job_id).start_time for job_id in interactive)
    assert all(farm.record(job_id).start_time >= last for job_id in bulk)
    farm.release()
    farm.audit.check(running[1:], SUCCEEDED=3)


def test_a_job_past_its_deadline_never_reaches_the_network(farm: Farm) -> None:
    with farm.client() as client:
        running = farm.submit(client, hold=Stage.ALIGN, job_timeout=3.0)
        farm.await_stage(running, Stage.ALIGN)
        busy = occupy(farm, client, CHILDREN - 1)
        queued = farm.submit(client, job_timeout=1.0)
        eventually(lambda: farm.record(running).state is JobState.EXPIRED, "the running job is past its deadline")
        eventually(lambda: farm.record(queued).state is JobState.EXPIRED, "the waiting job is past its deadline")
        farm.release()
        after = farm.submit(client)
        farm.audit.check([*busy, after], SUCCEEDED=len(busy) + 1)
    farm.audit.check([running, queued], EXPIRED=2)
    assert farm.record(queued).attempt == 0
    assert [network_runs(farm.folder, farm.audit.photos[job_id]) for job_id in (running, queued)] == [0, 0]


def test_cancelled_jobs_end_at_once_and_go_no_further(farm: Farm) -> None:
    with farm.client() as client:
        running = farm.submit(client, hold=Stage.ALIGN)
        farm.await_stage(running, Stage.ALIGN)
        busy = occupy(farm, client, CHILDREN - 1)
        queued = farm.submit(client)
        assert client.job(queued).cancel().state is JobState.CANCELLED
        assert client.job(running).cancel().state is JobState.CANCELLED
        farm.release()
        after = farm.submit(client)
        farm.audit.check([*busy, after], SUCCEEDED=len(busy) + 1)
    farm.audit.check([running, queued], CANCELLED=2)
    assert farm.record(queued).attempt == 0
    assert [network_runs(farm.folder, farm.audit.photos[job_id]) for job_id in (running, queued)] == [0, 0]
