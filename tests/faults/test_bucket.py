"""Photos and meshes in a bucket: kills leave nothing over, and a store that is away is told of at once and heals."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from selfie3d import Retry
from selfie3d.types import Stage
from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_jobs.blobs import names
from selfie3d_jobs.blobs.sweep import OWNER
from tests.azurite import Azurite
from tests.buckets import Nanio, Server
from tests.faults.bucket_proxy import BucketProxy, Mode
from tests.faults.farm import Farm
from tests.faults.test_soak import pool_children
from tests.google_storage import GoogleStorage
from tests.stack import eventually, is_serving, open_api
from tests.tiny import Command

GRACE = "3"  # s
PREFIX = "faults"
STORM_JOBS = 60
STORM_SECONDS = 20
SERVERS: dict[str, Callable[[Path], Server]] = {"nanio": Nanio, "azurite": Azurite, "google": GoogleStorage}
STEADFAST = Retry(attempts=1000, first=0.1, largest=0.5, quota=True)


in_every_store = pytest.mark.parametrize("server", SERVERS, indirect=True)
in_nanio = pytest.mark.parametrize("server", ["nanio"], indirect=True)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as made:
        for name, value in made.credentials.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="module")
def proxy(server: Server) -> Iterator[BucketProxy]:
    with BucketProxy(server.port) as between:
        yield between


@pytest.fixture(scope="module")
def module_farm(server: Server, proxy: BucketProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    place = server.setting(PREFIX, proxy.port)
    settings = {"SELFIE3D_BLOBS": place, "SELFIE3D_BLOB_GRACE_SECONDS": GRACE, "SELFIE3D_MAX_DELIVERIES": "100"}
    with Farm(tmp_path_factory.mktemp("farm"), services=2, workers=2, **settings) as farm:
        yield farm


@pytest.fixture
def farm(module_farm: Farm, proxy: BucketProxy) -> Farm:
    proxy.mode = Mode.PASS
    module_farm.restore()
    return module_farm


def kept_objects(farm: Farm, server: Server) -> set[str]:
    """What the jobs that Redis knows should have in the bucket."""
    found = {OWNER} & server.objects(PREFIX)  # the mark is made in its own time
    for key in farm.db.scan_iter("selfie3d:job:*"):
        record = farm.record(key.decode().rpartition(":")[2])
        if record.state.ended:
            found |= {names.mesh(record.id, record.attempt, face, ".ply") for face in range(record.files)}
        else:
            found.add(names.photo(record.id))
    return found


def await_clean(farm: Farm, server: Server) -> None:
    """Until the bucket holds what the jobs have, and nothing else, and nothing is remembered of the rest."""

    def is_clean() -> bool:
        return server.objects(PREFIX) == kept_objects(farm, server) and not farm.db.exists(
            "selfie3d:uploads", "selfie3d:garbage"
        )

    def what() -> str:
        over, lost = (
            server.objects(PREFIX) - kept_objects(farm, server),
            kept_objects(farm, server) - server.objects(PREFIX),
        )
        return f"left over {over}, lost {lost}"

    try:
        eventually(is_clean, "the bucket is clean")
    except AssertionError as error:
        raise AssertionError(what()) from error
    assert not isinstance(server, Nanio) or server.unfinished_uploads() == []


class Storm:
    """kill -9 of a worker child, a worker, a service or the bucket's server, at random moments."""

    def __init__(self, farm: Farm, nanio: Nanio, seed: int) -> None:
        self._farm, self._nanio, self._draw = farm, nanio, random.Random(seed)
        self.kills: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        end, pause = time.monotonic() + seconds, threading.Event()
        while time.monotonic() < end:
            pause.wait(self._draw.uniform(0.05, 0.7))
            self._kill()

    def _kill(self) -> None:
        kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "worker child": (5, self._kill_child),
            "worker": (2, lambda: self._restart(self._draw.choice(self._farm.workers))),
            "service": (3, lambda: self._restart(self._draw.choice(self._farm.services))),
            "bucket": (1, self._kill_bucket),
        }
        [kind] = self._draw.choices(list(kinds), [weight for weight, _ in kinds.values()])
        kinds[kind][1]()
        self.kills[kind] += 1

    def _kill_child(self) -> None:
        children = [pid for worker in self._farm.workers for pid in pool_children(worker)]
        if children:
            with suppress(ProcessLookupError):
                os.kill(self._draw.choice(children), signal.SIGKILL)

    def _restart(self, process: object) -> None:
        process.kill()  # type: ignore[attr-defined]
        process.start()  # type: ignore[attr-defined]

    def _kill_bucket(self) -> None:
        self._nanio.process.kill()
        self._nanio.start()


@in_nanio
@pytest.mark.timeout(600)
def test_a_storm_of_kills_leaves_nothing_over_in_the_bucket(
    farm: Farm, server: Nanio, figures: dict[str, float]
) -> None:
    storm, jobs, over = Storm(farm, server, seed=7), list[str](), threading.Event()

    def submit_some(seed: int) -> None:
        draw = random.Random(seed)
        with farm.client(retry=STEADFAST) as client:
            while not over.is_set() or len(jobs) < STORM_JOBS:
                photo = farm.new_photo(command=Command.LARGE) if draw.random() < 0.3 else None
                jobs.append(farm.submit(client, photo, job_timeout=600.0))
                if draw.random() < 0.2:
                    client.job(jobs[-1]).cancel()

    with ThreadPoolExecutor(2) as pool:
        submitters = [pool.submit(submit_some, seed) for seed in range(2)]
        storm.run(STORM_SECONDS)
        over.set()
        for submitter in submitters:
            submitter.result()
    farm.restore()
    eventually(lambda: not farm.db.zcard("selfie3d:deadlines"), "all jobs have ended", 300.0)
    tally = farm.audit.check(jobs)
    assert set(tally.states) <= {"SUCCEEDED", "CANCELLED"}
    assert tally.states["SUCCEEDED"] >= STORM_JOBS / 2
    await_clean(farm, server)
    figures |= {f"storm over a bucket: kills of a {kind}": count for kind, count in storm.kills.items()}
    figures |= {f"storm over a bucket: jobs {state}": count for state, count in tally.states.items()}
    figures["storm over a bucket: objects left over"] = 0
    with farm.client() as client, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda job_id: client.job(job_id).delete(), jobs))
    await_clean(farm, server)
    assert server.objects(PREFIX) <= {OWNER}


@in_every_store
@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.CUT, Mode.BUSY, Mode.HANG])
def test_a_bucket_that_is_away_is_unavailable_within_a_second_and_heals(
    farm: Farm, proxy: BucketProxy, mode: Mode, server: Server, figures: dict[str, float]
) -> None:
    with farm.client() as client, farm.channel() as channel:
        api, job_id = open_api(channel), farm.submit(client, farm.new_photo(command=Command.LARGE))
        kind = type(server).__name__
        eventually(lambda: farm.has_ended(job_id), "the job has ended")
        proxy.mode = mode
        slowest = max(
            seconds_to_unavailable(lambda: api.CreateJob(pb.CreateJobRequest(photo=farm.new_photo()), timeout=30)),
            seconds_to_unavailable(lambda: list(api.DownloadMesh(pb.DownloadMeshRequest(job_id=job_id), timeout=30))),
        )
        figures[f"UNAVAILABLE while the bucket fails ({kind}, {mode}), slowest, s"] = slowest
        assert slowest < 5  # 0.8 s and a second for each 8 MiB, and what a busy machine adds; the deadline is 30
        assert api.GetJob(pb.GetJobRequest(job_id=job_id), timeout=10).job.state == pb.JOB_STATE_SUCCEEDED
        eventually(lambda: not is_serving(channel), "the service says that it is not ready")
        healed, proxy.mode = time.monotonic(), Mode.PASS
        eventually(lambda: is_serving(channel), "the service is ready again")
        figures[f"ready again after the bucket failed ({kind}, {mode}), s"] = time.monotonic() - healed
        later = farm.submit(client)
        eventually(lambda: farm.has_ended(later), "a new job has ended")
        farm.audit.check([job_id, later], SUCCEEDED=2)


def seconds_to_unavailable(call: Callable[[], object]) -> float:
    """How long it takes until the call says so."""
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as raised:
        call()
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("server", "mode"), [("nanio", Mode.BUSY), *((name, Mode.HANG) for name in SERVERS)], indirect=["server"]
)
def test_jobs_that_were_accepted_outlast_a_bucket_that_is_away(
    farm: Farm, proxy: BucketProxy, server: Server, mode: Mode
) -> None:
    """One waits for its photo, one has its mesh to leave; neither counts as lost."""
    losses = farm.db.hget("selfie3d:counters", "requeued:lost")
    with farm.client() as client:
        for stage in (Stage.DECODE, Stage.ENCODE):
            farm.hold(f"held-{stage}-{mode}", stage)
        waiting = farm.submit(client, request_id=f"held-{Stage.ENCODE}-{mode}")
        farm.await_stage(waiting, Stage.ENCODE)
        queued = farm.submit(client, request_id=f"held-{Stage.DECODE}-{mode}")
        proxy.mode = mode
        farm.release()
        eventually(lambda: farm.record(waiting).stage is Stage.STORE, "the mesh is made")
        proxy.mode = Mode.PASS
        eventually(lambda: farm.has_ended(waiting) and farm.has_ended(queued), "both have ended")
        farm.audit.check([waiting, queued], SUCCEEDED=2)
    assert farm.db.hget("selfie3d:counters", "requeued:lost") == losses
    await_clean(farm, server)


@in_every_store
def test_a_slow_bucket_is_waited_for_while_bytes_come(farm: Farm, proxy: BucketProxy) -> None:
    with farm.client() as client:
        proxy.mode = Mode.SLOW
        job_id = farm.submit(client, farm.new_photo())
        eventually(lambda: farm.has_ended(job_id), "the job has ended")
        farm.audit.check([job_id], SUCCEEDED=1)


@in_nanio
def test_a_service_starts_without_its_bucket_and_serves_once_it_is_there(
    farm: Farm, server: Nanio, tmp_path: Path
) -> None:
    del tmp_path
    server.process.kill()
    farm.services[0].kill()
    farm.services[0].start()
    try:
        with farm.channel() as channel:
            grpc.channel_ready_future(channel).result(90)
            seconds_to_unavailable(
                lambda: open_api(channel).CreateJob(pb.CreateJobRequest(photo=farm.new_photo()), timeout=30)
            )
    finally:
        server.start()
    farm.restore()
    with farm.client() as client:
        job_id = farm.submit(client)
        eventually(lambda: farm.has_ended(job_id), "the job has ended")
        farm.audit.check([job_id], SUCCEEDED=1)
