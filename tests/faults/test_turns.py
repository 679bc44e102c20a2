"""Bulk jobs get their turn, however many interactive ones come."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from selfie3d.types import Priority
from selfie3d_jobs import JobsConfig, administration
from selfie3d_jobs.broker import create_app, publish
from tests.faults.farm import Farm
from tests.stack import eventually

TURNS = 2  # interactive jobs in a row
BULK, CALLERS = 4, 3
MOST = 80  # interactive jobs, after which the callers stop: without turns a bulk job waits for all of them


@contextmanager
def callers_who_never_stop(folder: Path) -> Iterator[Farm]:
    """A farm of one child, whose interactive queue is never empty, or only after MOST jobs."""
    one = {"SELFIE3D_CONCURRENCY": "1", "SELFIE3D_INTERACTIVE_TURNS": str(TURNS), "SELFIE3D_ALIGNER": "0.05"}
    with Farm(folder, services=1, workers=1, **one) as farm:
        done = threading.Event()

        def loop() -> None:
            with farm.client() as mine:
                while not done.is_set() and len(runs(folder)) < MOST:
                    mine.submit(farm.new_photo()).wait()

        callers = [threading.Thread(target=loop) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            eventually(lambda: len(runs(folder)) > CALLERS, "the callers are at it")
            yield farm
        finally:
            done.set()
            for caller in callers:
                caller.join()


def test_three_callers_who_never_stop_hold_a_bulk_job_back_for_its_turns_only(tmp_path: Path) -> None:
    with callers_who_never_stop(tmp_path) as farm, farm.client() as client:
        photos = [farm.new_photo() for _ in range(BULK)]
        jobs = [client.submit(photo, priority=Priority.BULK) for photo in photos]
        begun = len(runs(tmp_path))
        for job in jobs:
            job.wait()
    assert_turns(tmp_path, photos, begun)


def test_bulk_jobs_that_were_paused_have_their_turns_again_once_they_are_resumed(tmp_path: Path) -> None:
    with callers_who_never_stop(tmp_path) as farm, farm.client() as client:
        farm.store.run(administration.pause(Priority.BULK, "ops"))
        photos = [farm.new_photo() for _ in range(BULK)]
        jobs = [client.submit(photo, priority=Priority.BULK) for photo in photos]
        before = len(runs(tmp_path))
        eventually(lambda: len(runs(tmp_path)) > before + 5 * TURNS, "five turns of the bulk jobs would have come")
        assert not {digest(photo) for photo in photos} & set(runs(tmp_path))
        _, messages = farm.store.run(administration.resume(Priority.BULK))
        with create_app(JobsConfig(redis_url=farm.redis.url)) as app:
            for message in messages:
                publish(app, message)
        begun = len(runs(tmp_path))
        for job in jobs:
            job.wait()
    assert_turns(tmp_path, photos, begun)


def assert_turns(folder: Path, photos: list[bytes], begun: int) -> None:
    """The bulk jobs of these photos ran in order, with no more than their turns between. begun : runs before them"""
    order = runs(folder)
    places = [order.index(digest(photo)) for photo in photos]
    assert places == sorted(places)
    assert places[0] - begun <= TURNS + 1  # and the one that was taken already
    assert all(later - earlier - 1 <= TURNS for earlier, later in pairwise(places))


def digest(photo: bytes) -> str:
    return hashlib.sha256(photo).hexdigest()


def runs(folder: Path) -> list[str]:
    """The photos that the network saw, in order."""
    path = folder / "network"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []
