"""The primary of Redis killed, stopped and replaced while sentinels watch it."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest

from selfie3d.v1 import reconstruction_pb2 as pb
from tests.faults.farm import Farm
from tests.sentinels import Sentinels
from tests.stack import eventually, open_api, open_channel

pytestmark = pytest.mark.timeout(600)  # as long as a slow machine needs for what eventually() allows

JOBS = 200
CALLERS = 4


@dataclass
class Calls:
    """What callers without any retry were answered. Times are of time.monotonic."""

    accepted: dict[str, bytes] = field(default_factory=dict)  # job id -> photo
    refused: list[tuple[float, grpc.StatusCode]] = field(default_factory=list)  # when the call began

    @property
    def unavailable_seconds(self) -> float:
        """From the first refusal to the beginning of the last one."""
        return self.refused[-1][0] - self.refused[0][0] if self.refused else 0.0


class Callers:
    """Create jobs one after the other until each of `count` was accepted, whatever becomes of the primary."""

    def __init__(self, farm: Farm) -> None:
        self.farm, self.calls, self._lock = farm, Calls(), threading.Lock()

    def create(self, count: int) -> None:
        """With the same request id until it is accepted, as our client does, but at once."""
        channels = [open_channel(address) for address in self.farm.addresses]
        for number in range(count):
            with self._lock:
                photo = self.farm.new_photo()
            self._create(channels, number, photo)
        for channel in channels:
            channel.close()

    def _create(self, channels: list[grpc.Channel], number: int, photo: bytes) -> None:
        request = pb.CreateJobRequest(photo=photo, settings=pb.JobSettings(request_id=uuid.uuid4().hex))
        while True:
            began = time.monotonic()
            try:
                job = open_api(channels[number % len(channels)]).CreateJob(request, timeout=30).job
            except grpc.RpcError as error:
                with self._lock:
                    self.calls.refused.append((began, error.code()))
                threading.Event().wait(0.05)  # as a caller would; nothing is waited for
                continue
            with self._lock:
                self.calls.accepted[job.id] = photo
            return

    def run(self, strike: Callable[[], float], after: int) -> float:
        """Let all jobs be created, strike once `after` were; what the strike returns."""
        with ThreadPoolExecutor(CALLERS) as pool:
            running = [pool.submit(self.create, JOBS // CALLERS) for _ in range(CALLERS)]
            eventually(lambda: len(self.calls.accepted) >= after, f"{after} jobs were accepted")
            struck = strike()
            for each in running:
                each.result()
        self.farm.audit.photos |= self.calls.accepted
        return struck


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    folder = tmp_path_factory.mktemp("watched")
    with Farm(folder, redis=Sentinels(folder / "redis"), SELFIE3D_ALIGNER="0.05") as farm:
        yield farm


@pytest.fixture(scope="module")
def guarded_watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """As docs/operations.md wants it: two replicas, and a primary that writes nothing alone."""
    folder = tmp_path_factory.mktemp("guarded")
    guard = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")
    with Farm(folder, redis=Sentinels(folder / "redis", *guard, replicas=2), SELFIE3D_ALIGNER="0.05") as farm:
        yield farm


@pytest.fixture
def farm(watched: Farm) -> Farm:
    watched.restore()
    return watched


def check(farm: Farm, calls: Calls) -> None:
    """Every accepted job has ended once, as its photo says, and nobody was told anything but UNAVAILABLE."""
    assert {code for _, code in calls.refused} <= {grpc.StatusCode.UNAVAILABLE}
    farm.await_ends(calls.accepted, 0)
    farm.audit.check(calls.accepted, SUCCEEDED=JOBS)
    eventually(lambda: not farm.contradictions(), "Redis holds nothing that contradicts itself")


def test_a_primary_that_is_killed_costs_no_accepted_job(farm: Farm, figures: dict[str, float]) -> None:
    redis, callers = farm.redis, Callers(farm)

    def kill() -> float:
        old, struck = redis.primary, time.monotonic()
        old.kill()
        redis.await_failover(old)
        figures["failover after kill -9 of the primary, s"] = time.monotonic() - struck
        return time.monotonic()

    failed_over = callers.run(kill, after=JOBS // 4)
    check(farm, callers.calls)
    last = max((began for began, _ in callers.calls.refused), default=failed_over)
    figures["after the failover the last refused call began, s"] = last - failed_over
    figures["callers of a killed primary see UNAVAILABLE for, s"] = callers.calls.unavailable_seconds
    figures["messages published again after it"] = float(farm.db.hget("selfie3d:counters", "republished") or 0)


def test_a_primary_that_hangs_and_comes_back_accepts_nothing_that_is_lost(
    farm: Farm, figures: dict[str, float]
) -> None:
    """It does not know yet that it was replaced, and connections to it are still open."""
    redis, callers = farm.redis, Callers(farm)

    def hang() -> float:
        old, struck = redis.primary, time.monotonic()
        old.send(signal.SIGSTOP)
        try:
            redis.await_failover(old)
        finally:
            old.send(signal.SIGCONT)
        figures["failover after SIGSTOP of the primary, s"] = time.monotonic() - struck
        eventually(lambda: old.db.role()[0] == "slave", "it has become a replica")
        return time.monotonic()

    callers.run(hang, after=JOBS // 4)
    check(farm, callers.calls)
    figures["callers of a stopped primary see UNAVAILABLE for, s"] = callers.calls.unavailable_seconds


def test_a_planned_failover_costs_no_accepted_job_and_no_worker(farm: Farm, figures: dict[str, float]) -> None:
    """The old primary goes on as a replica, and tells blocked clients so."""
    redis, callers = farm.redis, Callers(farm)
    workers = [worker.pid for worker in farm.workers]

    def hand_over() -> float:
        old = redis.primary
        redis.hand_over(old)
        eventually(lambda: old.db.role()[0] == "slave", "it has become a replica")
        return time.monotonic()

    callers.run(hand_over, after=JOBS // 4)
    check(farm, callers.calls)
    assert [worker.pid for worker in farm.workers if worker.running] == workers
    figures["callers at a planned failover see UNAVAILABLE for, s"] = callers.calls.unavailable_seconds


def test_with_two_replicas_and_a_primary_that_writes_nothing_alone_the_same_holds(guarded_watched: Farm) -> None:
    """Killed, then replaced while it lives: it refuses everything then, also what workers wait for."""
    farm = guarded_watched
    workers = [worker.pid for worker in farm.workers]

    def kill() -> float:
        old = farm.redis.primary
        old.kill()
        farm.redis.await_failover(old)
        return time.monotonic()

    def hand_over() -> float:
        old = farm.redis.primary
        farm.redis.hand_over(old)
        eventually(lambda: old.db.role()[0] == "slave", "it has become a replica")
        return time.monotonic()

    for strike in (kill, hand_over):
        farm.restore()
        callers = Callers(farm)
        callers.run(strike, after=JOBS // 4)
        check(farm, callers.calls)
    assert [worker.pid for worker in farm.workers if worker.running] == workers


def test_jobs_whose_messages_the_failover_lost_are_published_again(farm: Farm) -> None:
    """The record is acknowledged by the replica, the message behind it is not."""
    for worker in farm.workers:
        worker.stop()
    with farm.client() as client:
        waiting = [farm.submit(client) for _ in range(5)]
    eventually(lambda: farm.db.llen("selfie3d:interactive") >= len(waiting), "all are published")
    old = farm.redis.primary
    farm.db.delete("selfie3d:interactive")
    old.kill()
    farm.redis.await_failover(old)
    farm.restore()
    farm.await_ends(waiting, 0)
    farm.audit.check(waiting, SUCCEEDED=5)


def test_a_job_is_not_accepted_before_a_replica_has_it(farm: Farm) -> None:
    redis = farm.redis
    [replica] = [node for node in redis.servers if node is not redis.primary]
    request = pb.CreateJobRequest(photo=farm.new_photo(), settings=pb.JobSettings(request_id=uuid.uuid4().hex))
    with farm.channel() as channel:
        api = open_api(channel)
        replica.send(signal.SIGSTOP)
        try:
            for _ in range(2):  # the second finds the job of the first, which no replica has, either
                with pytest.raises(grpc.RpcError) as refused:
                    api.CreateJob(request, timeout=20)
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        finally:
            replica.send(signal.SIGCONT)
        job = eventually(lambda: accepted(api, request), "the job is accepted")
    farm.audit.photos[job.id] = request.photo
    farm.audit.check([job.id], SUCCEEDED=1)


def accepted(api: object, request: pb.CreateJobRequest) -> pb.Job | None:
    try:
        return api.CreateJob(request, timeout=20).job  # type: ignore[attr-defined,no-any-return]
    except grpc.RpcError:
        return None
