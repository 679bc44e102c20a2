"""The capacity plan's queue, and the page that shows its answers; `tests.benchmarks.simulated` asks real workers."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.benchmarks import capacity
from tests.stack import ROOT


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
