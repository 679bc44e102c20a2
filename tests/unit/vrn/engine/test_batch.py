"""Runs of several callers in one batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vrn.engine.batch import Batcher, Batching, Ran

LONG = 60.0  # seconds that no test waits for
Singles = NDArray[np.float32]


class Twice:
    """A graph whose answers are twice the items and their sums; it remembers how many items each run had."""

    engine, sha256 = "none", ""
    config: dict[str, Any] = {}  # noqa: RUF012 - never changed
    metrics: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run(self, *inputs: Singles) -> tuple[Singles, ...]:
        if np.isnan(inputs[0]).any():
            raise ArithmeticError("not a number")
        self.sizes.append(len(inputs[0]))
        return 2 * inputs[0], inputs[0].reshape(len(inputs[0]), -1).sum(1)


def items(*values: float, side: int = 3) -> Singles:
    return np.stack([np.full((side, side), value, np.float32) for value in values])


def ask(batcher: Batcher, graph: Twice, inputs: Iterable[Singles], **how: bool) -> list[Future[Ran]]:
    """Ask for all of them at once, each from a thread of its own."""
    return [_begun(partial(batcher.run, graph, (each,), **how)) for each in inputs]


def _begun(run: Callable[[], Ran]) -> Future[Ran]:
    future: Future[Ran] = Future()

    def work() -> None:
        try:
            future.set_result(run())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()  # no pool: one waits for its threads also when a test failed
    return future


def test_a_batch_is_run_as_soon_as_nobody_is_left_who_could_join() -> None:
    graph, batcher = Twice(), Batcher(Batching(99, LONG), lambda: 3)
    answers = [future.result(LONG / 2) for future in ask(batcher, graph, [items(1), items(2, 3), items(4)])]
    assert graph.sizes == [4]
    assert {ran.together for ran in answers} == {3}
    for ran, values in zip(answers, ([1], [2, 3], [4]), strict=True):
        assert np.array_equal(ran.answers[0], 2 * items(*values))
        assert ran.answers[1].tolist() == [9 * value for value in values]


def test_a_full_batch_does_not_wait_for_others() -> None:
    graph, batcher = Twice(), Batcher(Batching(2, LONG), lambda: 99)
    for future in ask(batcher, graph, [items(1), items(2), items(3), items(4)]):
        assert future.result(LONG / 2).together == 2
    assert graph.sizes == [2, 2]


def test_a_run_with_more_items_than_a_batch_may_have_is_run_as_it_is() -> None:
    graph, batcher = Twice(), Batcher(Batching(2, LONG), lambda: 99)
    [future] = ask(batcher, graph, [items(1, 2, 3)])
    assert future.result(LONG / 2).answers[0].shape == (3, 3, 3)
    assert graph.sizes == [3]


def test_a_run_waits_no_longer_than_it_is_told_to() -> None:
    graph, batcher = Twice(), Batcher(Batching(99, 0.05), lambda: 99)
    ran = ask(batcher, graph, [items(1)])[0].result(LONG)
    assert ran.together == 1
    assert ran.waited >= 0.05


def test_runs_of_other_shapes_and_other_graphs_are_in_batches_of_their_own() -> None:
    one, other = Twice(), Twice()
    batcher = Batcher(Batching(99, LONG), lambda: 4 - sum(one.sizes) - sum(other.sizes))
    futures = ask(batcher, one, [items(1), items(2), items(3, side=5)]) + ask(batcher, other, [items(4)])
    assert [future.result(LONG / 2).answers[1].tolist() for future in futures] == [[9], [18], [75], [36]]
    assert (sorted(one.sizes), other.sizes) == ([1, 2], [1])


def test_a_run_that_wants_to_be_alone_is() -> None:
    graph, batcher = Twice(), Batcher(Batching(99, LONG), lambda: 99)
    for future in ask(batcher, graph, [items(1), items(2)], alone=True):
        assert future.result(LONG / 2).together == 1


def test_a_run_that_fails_fails_no_other() -> None:
    graph, batcher = Twice(), Batcher(Batching(99, LONG), lambda: 3)
    good, bad, better = ask(batcher, graph, [items(1), items(np.nan), items(3)])
    assert good.result(LONG / 2).answers[1].tolist() == [9]
    assert better.result(LONG / 2).answers[1].tolist() == [27]
    with pytest.raises(ArithmeticError, match="not a number"):
        bad.result(LONG / 2)
