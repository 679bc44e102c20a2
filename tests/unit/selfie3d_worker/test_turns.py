from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from selfie3d_worker.turns import Turns

BOTH = ["interactive", "bulk"]


def take(turns: Turns, waiting: dict[str, int]) -> str | None:
    """What BRPOP does."""
    for name in turns.consume(2):
        if waiting[name]:
            waiting[name] -= 1
            return turns.rotate(name)
    return None


@given(st.integers(1, 20), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=200))
def test_while_bulk_jobs_wait_there_are_never_more_interactive_ones_in_a_row(
    most: int, arrivals: list[tuple[int, int]]
) -> None:
    turns, waiting = Turns(most), dict.fromkeys(BOTH, 0)
    turns.update(BOTH)
    in_a_row = 0
    for interactive, bulk in arrivals:
        waiting["interactive"] += interactive
        waiting["bulk"] += bulk
        bulk_waits = waiting["bulk"] > 0
        taken = take(turns, waiting)
        assert taken or not any(waiting.values())
        in_a_row = in_a_row + 1 if taken == "interactive" and bulk_waits else 0
        assert in_a_row <= most


@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 30))
def test_the_stated_bound_holds_for_any_number_of_workers(most: int, workers: int, ahead: int) -> None:
    waiting = {"interactive": 10**6, "bulk": ahead}
    all_turns = deque(Turns(most) for _ in range(workers))
    for turns in all_turns:
        turns.update(BOTH)
    while waiting["bulk"]:
        take(all_turns[0], waiting)
        all_turns.rotate()
    assert 10**6 - waiting["interactive"] <= most * (ahead - 1 + workers)


def test_interactive_jobs_are_asked_for_first() -> None:
    turns = Turns(2)
    turns.update(["bulk", "interactive"])
    assert turns.consume(2) == BOTH
    turns.rotate("interactive")
    assert turns.consume(2) == BOTH
    turns.rotate("interactive")
    assert turns.consume(2) == BOTH[::-1]
    turns.rotate("bulk")
    assert turns.consume(2) == BOTH


def test_when_no_bulk_job_waits_the_next_interactive_ones_come_first_again() -> None:
    turns = Turns(2)
    turns.update(BOTH)
    waiting = {"interactive": 3, "bulk": 0}
    assert [take(turns, waiting) for _ in range(3)] == ["interactive"] * 3
    waiting = {"interactive": 3, "bulk": 3}
    taken = [take(turns, waiting) for _ in range(6)]
    assert taken == ["interactive", "interactive", "bulk", "interactive", "bulk", "bulk"]
