"""Real Celery workers with a tiny reconstructor: the whole road, and what happens when processes die on it."""

from __future__ import annotations

import itertools
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from selfie3d.types import JobState, Priority, Stage
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import JobsConfig, Record, Store, admission, maintenance, queries
from selfie3d_jobs.broker import create_app, publish
from selfie3d_jobs.maintenance import Message
from tests.integration.road import WIDE, Keys, get, new_job, new_person, reap, submit
from tests.stack import BOUND, eventually
from tests.tiny import Command, expected_mesh, make_photo, network_runs

HOLD = "test-hold"


class Worker:
    """A worker process."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as file:
            command = [sys.executable, "-W", "ignore", "-m", "tests.tiny"]
            self.process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)

    @property
    def children(self) -> list[int]:
        """Pool children, by the reports' names."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(BOUND)

    def kill(self) -> None:
        """SIGKILL to all of it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait(BOUND)


@pytest.fixture
def start_worker(worker_environment: dict[str, str], tmp_path: Path, store: Store) -> Iterator[Callable[..., Worker]]:
    started: list[Worker] = []

    def start(ready: int = 1, **env: str) -> Worker:
        worker = Worker(worker_environment | env, tmp_path / f"worker{len(started)}.log")
        started.append(worker)

        def is_ready() -> bool:
            assert worker.process.poll() is None, worker.log.read_text()
            own = [
                w
                for w in store.run(maintenance.snapshot()).workers
                if f":{worker.process.pid}:" in w.name and w.verified
            ]
            return len(own) >= ready

        eventually(is_ready, "the worker reports in")
        return worker

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture
def send(store: Store, jobs_config: JobsConfig) -> Iterator[Callable[..., str]]:
    """Create a job and publish it, as the service does."""
    app = create_app(jobs_config)

    def submit_and_publish(*photos: bytes, priority: Priority = Priority.INTERACTIVE) -> str:
        together = len(photos) > 1
        new = new_person(*photos, priority=priority) if together else new_job(photo=photos[0], priority=priority)
        job, _ = store.run(admission.create(new, photos, WIDE))
        publish(app, Message(job.id, priority, "", job.create_time))
        return job.id

    yield submit_and_publish
    app.close()


def await_end(store: Store, job_id: str) -> Record:
    def look() -> Record | None:
        job = get(store, job_id)
        return job if job.state.ended else None

    found: Record = eventually(look, f"{job_id} has ended")
    return found


def await_stage(store: Store, job_id: str, stage: str) -> Record:
    def look() -> Record | None:
        job = get(store, job_id)
        return job if job.stage == stage else None

    found: Record = eventually(look, f"{job_id} is held at {stage}")
    return found


def child_of(job: Record) -> int:
    """Process id of the child that took the job."""
    return int(job.worker.rpartition(":")[2])


@pytest.fixture
def reaper(store: Store, jobs_config: JobsConfig) -> Iterator[None]:
    """Reap as a service does, only more often."""
    app, ended = create_app(jobs_config), threading.Event()

    def passes() -> None:
        while not ended.wait(0.05):
            for message in reap(store, jobs_config).publish:
                publish(app, message)

    thread = threading.Thread(target=passes)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_jobs_go_all_the_way_and_each_ends_as_its_photo_deserves(
    start_worker: Callable[..., Worker], send: Callable[..., str], store: Store, keys: Keys
) -> None:
    worker = start_worker()
    photos = [make_photo(1), make_photo(2, Command.LARGE), make_photo(3, Command.NO_FACE), make_photo(4, Command.CRASH)]
    jobs = [await_end(store, send(photo)) for photo in photos]
    assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 2 + [JobState.FAILED] * 2
    for photo, job in zip(photos[:2], jobs[:2], strict=True):
        assert store.run(queries.mesh(job.id, 0, 0, 1 << 21)) == expected_mesh(photo)
        assert len(job.outcome.stage_times) == 7
    errors = [job.error for job in jobs[2:]]
    assert [error.reason for error in errors if error] == ["NO_FACE", "INTERNAL"]
    assert "secret" not in str(errors)
    assert all("decode" in str(job.outcome.stage_times).lower() for job in jobs[2:])
    # Delivered again, an ended job is left alone.
    before = get(store, jobs[0].id)
    eventually(lambda: not keys.client.hlen(keys.prefix + "unacked"), "everything is acknowledged")
    assert worker.stop() == 0
    assert get(store, jobs[0].id) == before
    assert not store.run(maintenance.snapshot()).workers


@pytest.mark.usefixtures("reaper")
def test_the_job_of_a_killed_child_ends_on_its_successor_and_a_killer_is_given_up(
    start_worker: Callable[..., Worker], send: Callable[..., str], store: Store, keys: Keys
) -> None:
    start_worker(TEST_BREAKPOINT=f"surface:{keys.prefix}{HOLD}")
    keys.client.set(keys.prefix + HOLD, "1")
    job_id = send(make_photo(1))
    held = await_stage(store, job_id, "surface")
    os.kill(child_of(held), signal.SIGKILL)
    keys.client.delete(keys.prefix + HOLD)
    keys.lose_lease(job_id)
    job = await_end(store, job_id)
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 2)
    assert job.worker != held.worker
    killer = send(make_photo(2, Command.KILL))
    for attempt in range(1, 4):
        eventually(lambda n=attempt: get(store, killer).attempt == n, f"attempt {attempt}")  # type: ignore[misc]
        eventually(lambda: not Path(f"/proc/{child_of(get(store, killer))}").exists(), "the child is dead")
        keys.lose_lease(killer)
    job = await_end(store, killer)
    assert job.error is not None
    assert (job.error.reason, job.attempt) == ("POISON_INPUT", 3)
    assert await_end(store, send(make_photo(3))).state is JobState.SUCCEEDED


@pytest.mark.usefixtures("reaper")
def test_a_killed_worker_takes_its_children_along_and_the_job_ends_on_another(
    start_worker: Callable[..., Worker], send: Callable[..., str], store: Store, keys: Keys
) -> None:
    held_worker = start_worker(TEST_BREAKPOINT=f"network:{keys.prefix}{HOLD}")
    keys.client.set(keys.prefix + HOLD, "1")
    job_id = send(make_photo(1))
    child = child_of(await_stage(store, job_id, "network"))
    held_worker.process.kill()
    held_worker.process.wait(BOUND)
    eventually(lambda: not Path(f"/proc/{child}").exists(), "the child is gone")
    keys.lose_lease(job_id)  # before the next worker has it: that one's lease would be lost
    start_worker()
    job = await_end(store, job_id)
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 2)


def test_sigterm_lets_the_running_job_end_and_leaves_the_others_to_the_next_worker(
    start_worker: Callable[..., Worker], send: Callable[..., str], store: Store, keys: Keys
) -> None:
    worker = start_worker(TEST_BREAKPOINT=f"network:{keys.prefix}{HOLD}")
    keys.client.set(keys.prefix + HOLD, "1")
    running, waiting = send(make_photo(1)), send(make_photo(2))
    await_stage(store, running, "network")
    worker.process.send_signal(signal.SIGTERM)
    eventually(lambda: "Warm shutdown" in worker.log.read_text(), "the worker drains")
    keys.client.delete(keys.prefix + HOLD)
    assert worker.process.wait(BOUND) == 0
    assert get(store, running).state is JobState.SUCCEEDED
    assert get(store, waiting).state is JobState.QUEUED
    assert keys.messages() == 1
    start_worker()
    assert await_end(store, waiting).state is JobState.SUCCEEDED


def test_interactive_jobs_overtake_bulk_ones(
    start_worker: Callable[..., Worker], send: Callable[..., str], store: Store
) -> None:
    bulk = [send(make_photo(i), priority=Priority.BULK) for i in range(4)]
    interactive = [send(make_photo(10 + i)) for i in range(4)]
    start_worker()
    ended = [await_end(store, job_id) for job_id in bulk + interactive]
    order = [job.id for job in sorted(ended, key=lambda job: job.start_time)]
    assert set(order[:4]) == set(interactive)


def test_a_cancelled_job_frees_its_worker_at_the_next_stage(
    start_worker: Callable[..., Worker], send: Callable[..., str], store: Store, keys: Keys
) -> None:
    start_worker(TEST_BREAKPOINT=f"align:{keys.prefix}{HOLD}")
    keys.client.set(keys.prefix + HOLD, "1")
    job_id = send(make_photo(1))
    await_stage(store, job_id, "align")
    assert store.run(queries.cancel(job_id, "anna")).state is JobState.CANCELLED
    keys.client.delete(keys.prefix + HOLD)
    assert await_end(store, send(make_photo(2))).state is JobState.SUCCEEDED
    job = get(store, job_id)
    assert (job.state, job.stage) == (JobState.CANCELLED, "align")


def test_a_worker_fetches_again_after_redis_died_before_its_ack(
    worker_environment: dict[str, str], tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as server:
        config = JobsConfig(redis_url=server.url)
        url = {"SELFIE3D_REDIS_URL": server.url, "SELFIE3D_REDIS_PREFIX": config.prefix}
        url["TEST_BREAKPOINT"] = f"network:{HOLD}"
        client = redis.Redis.from_url(server.url)
        store, app = Store(config), create_app(config)
        worker = Worker(worker_environment | url, tmp_path / "worker.log")
        try:
            eventually(lambda: store.run(maintenance.snapshot()).ready, "the worker reports in")
            for seed in range(2):
                client.set(HOLD, "1")
                job = submit(store, new_job(photo=make_photo(seed)), make_photo(seed))
                publish(app, Message(job.id, "interactive", "", job.create_time))
                eventually(lambda: get(store, job.id).state is not JobState.QUEUED, "a child has the job")  # noqa: B023
                worker.process.send_signal(signal.SIGSTOP)  # the parent, which acknowledges
                client.delete(HOLD)
                assert await_end(store, job.id).state is JobState.SUCCEEDED
                server.kill()
                worker.process.send_signal(signal.SIGCONT)
                eventually(lambda: worker.log.read_text().count("could not be acknowledged") > seed, "no ack")  # noqa: B023
                server.start()
            assert worker.stop() == 0
        finally:
            worker.kill()
            app.close()
            store.close()
            client.close()


def test_a_job_that_takes_too_long_ends_and_frees_its_worker(
    start_worker: Callable[..., Worker], send: Callable[..., str], store: Store, keys: Keys
) -> None:
    start_worker(TEST_BREAKPOINT=f"network:{keys.prefix}{HOLD}", SELFIE3D_TIME_LIMIT_SECONDS="1")
    keys.client.set(keys.prefix + HOLD, "1")
    job = await_end(store, send(make_photo(1)))
    assert job.error is not None
    assert (job.state, job.error.reason, job.stage) == (JobState.FAILED, "TIME_LIMIT", "network")
    keys.client.delete(keys.prefix + HOLD)
    assert await_end(store, send(make_photo(2))).state is JobState.SUCCEEDED


def test_a_worker_whose_model_cannot_be_loaded_says_so_and_ends(
    worker_environment: dict[str, str], tmp_path: Path, store: Store
) -> None:
    worker = Worker(worker_environment | {"SELFIE3D_MODEL": "broken"}, tmp_path / "worker.log")
    try:
        assert worker.process.wait(BOUND) == 1
    finally:
        worker.kill()
    assert "these weights do not fit" in worker.log.read_text()
    seen = store.run(maintenance.snapshot())
    assert not seen.ready


def test_photos_of_one_person_go_all_the_way_together(
    start_worker: Callable[..., Worker], send: Callable[..., str], store: Store, keys: Keys
) -> None:
    start_worker()
    photos = [make_photo(1, Command.NO_FACE), make_photo(2), make_photo(3)]
    job = await_end(store, send(*photos))
    assert job.state is JobState.SUCCEEDED
    assert store.run(queries.mesh(job.id, 0, 0, 1 << 21)) == expected_mesh(photos[1])
    assert [(view.index, view.weight, view.left_out) for view in job.outcome.views] == [
        (0, 0, "NO_FACE"),
        (1, 1, ""),
        (2, 0, "COVERED"),
    ]
    progress = [event.progress for event in store.run(queries.events(job.id, 0))]
    assert progress == sorted(progress)
    stages = [event.stage for event in store.run(queries.events(job.id, 0)) if event.stage]
    assert stages.count(Stage.DECODE) == 3  # of each photo
    assert not any(key.startswith("photo:") for key in keys.of(job.id))


@pytest.mark.usefixtures("reaper")
def test_a_worker_killed_between_two_photos_of_one_person_loses_none(
    start_worker: Callable[..., Worker],
    send: Callable[..., str],
    store: Store,
    keys: Keys,
    tmp_path: Path,
) -> None:
    start_worker(SELFIE3D_MODEL=str(tmp_path), SELFIE3D_ALIGNER="0.4")
    photos = [make_photo(seed) for seed in (1, 2, 3)]
    job_id = send(*photos)
    eventually(lambda: network_runs(tmp_path, photos[1]) == 1, "the second photo is in the network")
    before = get(store, job_id)
    os.kill(child_of(before), signal.SIGKILL)
    keys.lose_lease(job_id)
    job = await_end(store, job_id)
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 2)
    assert [view.index for view in job.outcome.views] == [0, 1, 2]
    assert store.run(queries.mesh(job.id, 0, 0, 1 << 21)) == expected_mesh(photos[0])
    assert [network_runs(tmp_path, photo) for photo in photos] == [2, 2, 1]


def test_a_cancelled_job_of_one_person_stops_before_its_next_photo(
    start_worker: Callable[..., Worker], send: Callable[..., str], store: Store, tmp_path: Path
) -> None:
    start_worker(SELFIE3D_MODEL=str(tmp_path), SELFIE3D_ALIGNER="0.4")
    photos = [make_photo(seed) for seed in (1, 2, 3)]
    job_id = send(*photos)
    eventually(lambda: network_runs(tmp_path, photos[0]) == 1, "the first photo is in the network")
    assert store.run(queries.cancel(job_id, queries.ANYONE)).state is JobState.CANCELLED
    following = make_photo(9)
    assert await_end(store, send(following)).state is JobState.SUCCEEDED  # by the same child, later
    assert network_runs(tmp_path, photos[2]) == 0


def test_an_engine_that_is_not_there_ends_the_worker_with_one_sentence(worker_environment: dict[str, str]) -> None:
    environment = worker_environment | {"SELFIE3D_DEVICE": "cuda:99"}
    command = [sys.executable, "-W", "ignore", "-m", "selfie3d_worker.main"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BOUND, check=False)
    assert done.returncode == 1
    assert "The model cannot be loaded: torch sees no GPU for the device cuda:99: " in done.stderr
    assert "Traceback" not in done.stderr


HEAP_BYTES = 64 << 20  # glibc reserves so much for each heap but the first, at a multiple of it


def heaps_of(pid: int) -> int:
    """The heaps of a process's threads, beside the one that all share."""
    rows = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    spans = [([int(place, 16) for place in row[0].split("-")], row[1]) for row in rows if len(row) == 5]  # of no file
    return sum(
        start % HEAP_BYTES == 0 and rest == ([end, start + HEAP_BYTES], "---p")
        for ((start, end), _), rest in itertools.pairwise(spans)
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other heaps")
def test_the_threads_of_a_child_share_one_heap(
    start_worker: Callable[..., Worker], send: Callable[..., str], store: Store
) -> None:
    start_worker()
    job = await_end(store, send(make_photo()))
    assert job.state is JobState.SUCCEEDED
    assert heaps_of(child_of(job)) == 0
