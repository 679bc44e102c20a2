"""Runs of several callers, gathered into batches: one run of a graph for photos of different jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrn.engine.graph import Arrays, Graph

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Batching:
    """How runs are gathered.

    Attributes
    ----------
    most : items in one batch; a single run with more of them is run as it is
    wait_seconds : that a run waits for others, at most
    """

    most: int = 16
    wait_seconds: float = 0.003


@dataclass(frozen=True)
class Ran:
    """What became of a run: its answers, how many runs were in its batch, and the seconds it waited for its start."""

    answers: Arrays
    together: int
    waited: float


@dataclass(eq=False)
class _Request:
    graph: Graph
    inputs: Arrays
    alone: bool
    since: float = field(default_factory=time.monotonic)
    future: Future[Ran] = field(default_factory=Future)

    @property
    def items(self) -> int:
        return len(self.inputs[0])

    @property
    def key(self) -> Key:
        """Equal for runs that fit into one batch."""
        shapes = tuple((each.dtype.str, each.shape[1:]) for each in self.inputs)
        return (id(self), ()) if self.alone else (id(self.graph), shapes)


class Batcher:
    """Runs graphs one batch after the other, in a thread of its own, for callers in threads of theirs.

    A batch is run when it is full, when its first run has waited long enough, or when nobody is left who could join.

    callers : how many callers are at work now, those that wait for an answer included
    """

    def __init__(self, batching: Batching, callers: Callable[[], int]) -> None:
        self._batching, self._callers = batching, callers
        self._pending: list[_Request] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="batches", daemon=True).start()

    def run(self, graph: Graph, inputs: Arrays, *, alone: bool = False) -> Ran:
        """The answers to these inputs, whose first axis counts the items. alone : in no batch with others.

        Raises what the graph raises for them.
        """
        request = _Request(graph, inputs, alone)
        with self._changed:
            self._pending.append(request)
            self._changed.notify()
        return request.future.result()

    def _work(self) -> None:
        while True:
            _compute(self._next())

    def _next(self) -> list[_Request]:
        """Wait for a batch that is ready, and take it."""
        with self._changed:
            while True:
                batches = self._gathered()
                ready = next((batch for batch in batches if self._is_ready(batch)), None)
                if ready:
                    self._pending = [request for request in self._pending if request not in ready]
                    return ready
                self._changed.wait(self._seconds_left(batches[0]) if batches else None)

    def _gathered(self) -> list[list[_Request]]:
        """The batches that there could be now, the one of the run that has waited longest first."""
        batches: dict[Key, list[_Request]] = {}
        for request in self._pending:
            batch = batches.setdefault(request.key, [])
            if not batch or sum(each.items for each in batch) + request.items <= self._batching.most:
                batch.append(request)
        return list(batches.values())

    def _is_ready(self, batch: Sequence[_Request]) -> bool:
        full = sum(request.items for request in batch) >= self._batching.most
        return full or batch[0].alone or self._seconds_left(batch) <= 0 or self._callers() <= len(self._pending)

    def _seconds_left(self, batch: Sequence[_Request]) -> float:
        return batch[0].since + self._batching.wait_seconds - time.monotonic()


def _compute(batch: list[_Request]) -> None:
    """Answer the requests of a batch; one at which the graph fails does not fail the others."""
    start = time.monotonic()
    try:
        answers = _run(batch)
    except Exception as error:
        if len(batch) == 1:
            batch[0].future.set_exception(error)
            return
        for request in batch:
            _compute([request])
        return
    for request, own in zip(batch, answers, strict=True):
        request.future.set_result(Ran(own, len(batch), start - request.since))


def _run(batch: Sequence[_Request]) -> list[Arrays]:
    if len(batch) == 1:
        return [batch[0].graph.run(*batch[0].inputs)]
    columns = zip(*(request.inputs for request in batch), strict=True)
    answers = batch[0].graph.run(*(np.concatenate(column) for column in columns))
    ends = np.cumsum([request.items for request in batch])[:-1]
    split: list[list[NDArray[Any]]] = [np.split(answer, ends) for answer in answers]
    return list(zip(*split, strict=True))
