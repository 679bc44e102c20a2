"""The capacity plan's queue against real workers, and the page that shows its answers."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path

import pytest

from selfie3d import Client
from tests.benchmarks import capacity
from tests.stack import BOUND, ROOT, Stack
from tests.tiny import make_photo

SECONDS, JOBS = 0.5, 16  # a job sleeps so long: cores that others use hardly matter
TRIES = 3


def makespan(stack: Stack, client: Client) -> tuple[float, list[float]]:
    """From the first job's coming to the last one's end, s; when each came."""
    start = time.monotonic()
    jobs, arrivals = [], []
    for number in range(JOBS):
        jobs.append(client.submit(make_photo(number + time.monotonic_ns() % 10**9)))
        arrivals.append(time.monotonic() - start)
    for job in jobs:
        job.wait()
    assert len(stack.workers) > 0
    return time.monotonic() - start, arrivals


@pytest.mark.slow
def test_one_two_and_four_real_workers_take_as_long_as_the_simulation_says(tmp_path: Path) -> None:
    """What a job costs beside its sleep is learnt from one worker; two and four are foretold with it.

    The quickest of three tries counts: other work on the machine only ever slows.
    """
    overhead = 0.0
    for workers in (1, 2, 4):
        folder = tmp_path / str(workers)
        folder.mkdir()
        with (
            Stack(folder, workers=workers, worker_module="tests.tiny", SELFIE3D_ALIGNER=str(SECONDS)) as stack,  # type: ignore[arg-type]
            Client(stack.addresses[0], timeout=BOUND) as client,
        ):
            tries = [makespan(stack, client) for _ in range(1 if workers == 1 else TRIES)]
        ratios = []
        for took, arrivals in tries:
            foretold = max(capacity.ends(arrivals, [SECONDS + overhead] * JOBS, workers))
            ratios.append(took / foretold)
        if workers == 1:
            overhead = SECONDS * (ratios[0] - 1)
            assert 0 <= overhead < SECONDS
        else:
            assert 0.8 < min(ratios) < 1.3, (workers, ratios)


def test_a_queue_by_hand() -> None:
    assert list(capacity.waits([0, 0, 0, 5], [2, 2, 2, 1], 2)) == [0, 0, 2, 0]
    assert capacity.ends([0, 0, 0, 5], [2, 2, 2, 1], 2) == [2, 2, 4, 6]
    assert capacity.ends([0, 0], [2, 2], 2, cores=1) == [4, 4]
    assert capacity.ends([0, 0, 0, 0], [1, 1, 1, 1], 4, cores=2) == [2, 2, 2, 2]
    assert capacity.ends([0, 1], [2, 1], 2, cores=1) == [3, 3]


def test_both_ways_to_simulate_agree_where_cores_are_plenty() -> None:
    arrivals = list(itertools.accumulate([0.1] * 50))
    work = [0.3 + 0.05 * (number % 5) for number in range(50)]
    started = [arrival + wait for arrival, wait in zip(arrivals, capacity.waits(arrivals, work, 3), strict=True)]
    expected = sorted(start + seconds for start, seconds in zip(started, work, strict=True))
    assert capacity.ends(arrivals, work, 3) == pytest.approx(expected)


def test_with_few_jobs_in_service_the_simulation_is_the_formula_of_erlang() -> None:
    """One worker at half load: M/D/1 has a mean wait of load / (2 (1 - load)) of a job's time."""
    dice = random.Random(1)
    arrivals = list(itertools.accumulate(dice.expovariate(0.5) for _ in range(40_000)))
    found = list(capacity.waits(arrivals, [1.0] * len(arrivals), 1))
    assert sum(found) / len(found) == pytest.approx(0.5, rel=0.05)


def test_more_photos_never_need_less_and_what_fits_is_within_every_bound() -> None:
    for bounds in (capacity.REDIS, capacity.BUCKET):
        totals = []
        for rate in capacity.RATES:
            cells, one = capacity.cells_for(rate, capacity.MEASURED, bounds)
            assert one.fits
            assert cells == 1 or not capacity.plan(rate / (cells - 1), capacity.MEASURED, bounds).fits
            totals.append((cells, cells * one.workers))
            assert cells * one.workers >= rate * capacity.MEASURED.worker
        assert totals == sorted(totals)


def test_the_page_shows_what_the_script_answers() -> None:
    page = (ROOT / "docs" / "scale.md").read_text()
    assert capacity.table() in page, "python -m tests.benchmarks.capacity makes both tables"
    assert capacity.breaks() in page
