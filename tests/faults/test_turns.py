"""Bulk jobs get their turn, however many interactive ones come."""

from __future__ import annotations

import hashlib
import threading
from itertools import pairwise
from pathlib import Path

from selfie3d.types import Priority
from tests.faults.farm import Farm
from tests.stack import eventually

TURNS = 2  # interactive jobs in a row
BULK, CALLERS = 4, 3
MOST = 80  # interactive jobs, after which the callers stop: without turns a bulk job waits for all of them


def test_three_callers_who_never_stop_hold_a_bulk_job_back_for_its_turns_only(tmp_path: Path) -> None:
    one = {"SELFIE3D_CONCURRENCY": "1", "SELFIE3D_INTERACTIVE_TURNS": str(TURNS), "SELFIE3D_ALIGNER": "0.05"}
    with Farm(tmp_path, services=1, workers=1, **one) as farm, farm.client() as client:
        done = threading.Event()

        def loop() -> None:
            with farm.client() as mine:
                while not done.is_set() and len(runs(tmp_path)) < MOST:
                    mine.submit(farm.new_photo()).wait()

        callers = [threading.Thread(target=loop) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        eventually(lambda: len(runs(tmp_path)) > CALLERS, "the callers are at it")
        photos = [farm.new_photo() for _ in range(BULK)]
        jobs = [client.submit(photo, priority=Priority.BULK) for photo in photos]
        begun = len(runs(tmp_path))
        for job in jobs:
            job.wait()
        done.set()
        for caller in callers:
            caller.join()
    order = runs(tmp_path)
    places = [order.index(hashlib.sha256(photo).hexdigest()) for photo in photos]
    assert places == sorted(places)
    assert places[0] - begun <= TURNS + 1  # and the one that was taken already
    assert all(later - earlier - 1 <= TURNS for earlier, later in pairwise(places))


def runs(folder: Path) -> list[str]:
    """The photos that the network saw, in order."""
    path = folder / "network"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []
