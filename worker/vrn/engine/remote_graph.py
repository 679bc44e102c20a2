"""The callers' side of the pipe: a graph that the model process runs, called like any other.

A model process that dies is replaced by whoever started it. The caller waits for the new one, opens its graph there and
asks again: the same inputs give the same answers.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vrn import errors
from vrn.engine.choice import Engine
from vrn.engine.graph import Arrays
from vrn.engine.message import Head, receive, send

log = logging.getLogger(__name__)

TRIES = 3  # of one run; after the first lost one it shares no batch with others
PATIENCE = 90.0  # seconds to wait for a model process that listens
LOOK_SECONDS = 0.02
T = TypeVar("T")


@dataclass
class BatchCounts:
    """Runs: how many by the number of runs in their batch, and the seconds that they waited for others."""

    runs: Counter[int] = field(default_factory=Counter)
    waited: float = 0.0


class ModelLink:
    """A connection to a model process, opened again when it is lost. For one thread.

    Attributes
    ----------
    lives : how many connections there were
    """

    def __init__(self, address: str, patience: float = PATIENCE) -> None:
        self.lives = 0
        self._address, self._patience = address, patience
        self._connection: Connection | None = None
        self._counts = BatchCounts()

    def engine(self) -> Engine:
        """What runs the models there. Raises ModelProcessError."""
        head, _ = self.patiently(lambda _: self.ask({"call": "engine"}))
        return replace(Engine(**head["engine"]), address=self._address)

    def patiently(self, work: Callable[[bool], T]) -> T:
        """What `work` returns; it is called again, with True, when the process died meanwhile.

        Raises ModelProcessError when that happens again and again, or no process comes.
        """
        for attempt in range(TRIES):
            try:
                self._connect()
                return work(attempt > 0)
            except (EOFError, OSError) as error:
                log.warning("The model process is gone; waiting for another one.", extra={"why": type(error).__name__})
        raise errors.ModelProcessError(f"The model process died {TRIES} times over the same run.")

    def ask(self, head: Head, arrays: Arrays = ()) -> tuple[Head, Arrays]:
        """The answer. Raises what the models raise, EOFError or OSError when they are gone."""
        if self._connection is None:
            raise EOFError
        try:
            send(self._connection, head, arrays)
            answer = receive(self._connection)
        except BaseException:  # also a time limit: the answer that is still to come must not be taken for another one
            self._connection.close()
            self._connection = None
            raise
        if "error" in answer[0]:
            raise _error(**answer[0])
        return answer

    def count(self, *, together: int, waited: float) -> None:
        """Note a run."""
        self._counts.runs[together] += 1
        self._counts.waited += waited

    def take_counts(self) -> BatchCounts:
        """The runs since this was last called."""
        counts, self._counts = self._counts, BatchCounts()
        return counts

    def _connect(self) -> None:
        deadline = time.monotonic() + self._patience
        while self._connection is None:
            try:
                self._connection = Client(self._address, "AF_UNIX")
                self.lives += 1
            except (FileNotFoundError, ConnectionError) as error:
                if time.monotonic() > deadline:
                    raise errors.ModelProcessError("No model process runs.") from error
                time.sleep(LOOK_SECONDS)


class RemoteGraph:
    """See `vrn.engine.graph.Graph`. The arguments are those of `vrn.engine.open_graph`."""

    def __init__(self, link: ModelLink, name_or_path: str | Path, families: tuple[str, ...], constants: Arrays) -> None:
        """Raises WeightsError, BackendMissingError, ModelProcessError."""
        self._link, self._constants = link, constants
        self._opening = {"call": "open", "weights": str(name_or_path), "families": families}
        self._life = -1  # of the link, in which the graph was opened last
        about = link.patiently(lambda _: self._open())
        self.engine, self.sha256 = str(about["engine"]), str(about["sha256"])
        self.config: dict[str, Any] = about["config"]
        self.metrics: dict[str, Any] = about["metrics"]

    def run(self, *inputs: NDArray[np.float32]) -> Arrays:
        """See `vrn.engine.graph.Graph`. Raises ModelProcessError."""
        return self._link.patiently(lambda again: self._run(inputs, again))

    def _run(self, inputs: Arrays, alone: bool) -> Arrays:
        if self._life != self._link.lives:
            self._open()
        head, answers = self._link.ask({"call": "run", "graph": self._graph, "alone": alone}, inputs)
        self._link.count(**head)
        return answers

    def _open(self) -> Head:
        about, _ = self._link.ask(self._opening, self._constants)
        self._graph, self._life = str(about["graph"]), self._link.lives
        return about


@cache
def link_to(address: str) -> ModelLink:
    """This process's connection to the model process that listens there."""
    return ModelLink(address)


def _error(error: str, message: str) -> Exception:
    """The models' error as they raised it, as far as it is one of vrn's."""
    kind = getattr(errors, error, None)
    return kind(message) if kind else errors.ModelProcessError(f"{error}: {message}")
