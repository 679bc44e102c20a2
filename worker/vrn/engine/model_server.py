"""The models' side of the pipe: opens graphs once for all callers, and runs what they ask for in batches."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from vrn.engine.batch import Batcher, Batching
from vrn.engine.choice import Engine
from vrn.engine.graph import Arrays, Graph, open_graph
from vrn.engine.message import Head, receive, send
from vrn.errors import VrnError

log = logging.getLogger(__name__)

AT_WORK_SECONDS = 0.25  # a caller that asks for nothing for so long after an answer is not waited for
WAITING_CALLERS = 64  # that may connect at once


@dataclass
class ModelCaller:
    """One connection. asking : whether it waits for an answer; since : the last change of that, time.monotonic()."""

    connection: Connection
    asking: bool = False
    since: float = -AT_WORK_SECONDS

    @property
    def is_at_work(self) -> bool:
        """Whether it waits for an answer, or may soon ask again."""
        return self.asking or time.monotonic() - self.since < AT_WORK_SECONDS

    def attend(self, answer: Callable[[Head, Arrays], tuple[Head, Arrays]]) -> None:
        """Answer one request after the other. Raises EOFError or OSError when it is gone."""
        while True:
            request = receive(self.connection)
            self.asking = True
            send(self.connection, *answer(*request))
            self.asking, self.since = False, time.monotonic()


class ModelServer:
    """Serves one engine at a UNIX socket. Who may use the socket may use the models: its folder keeps others out.

    engine : what runs the graphs
    """

    def __init__(self, address: str, engine: Engine, batching: Batching) -> None:
        with suppress(FileNotFoundError):
            Path(address).unlink()  # left by a process that was killed
        self._listener = Listener(address, "AF_UNIX", WAITING_CALLERS)
        self._engine = engine
        self._callers: list[ModelCaller] = []
        self._batcher = Batcher(batching, lambda: sum(caller.is_at_work for caller in list(self._callers)))
        self._graphs: dict[str, Graph] = {}
        self._opening = threading.Lock()

    def serve(self) -> None:
        """Answer callers, each in a thread of its own, until this is closed. Raises OSError then."""
        while True:
            caller = ModelCaller(self._listener.accept())
            threading.Thread(target=self._attend, args=(caller,), daemon=True).start()

    def close(self) -> None:
        """Take no more callers."""
        self._listener.close()

    def _attend(self, caller: ModelCaller) -> None:
        self._callers.append(caller)
        try:
            with caller.connection:
                caller.attend(self._answer)
        except (EOFError, OSError):
            log.debug("A caller is gone.")
        finally:
            self._callers.remove(caller)

    def _answer(self, head: Head, arrays: Arrays) -> tuple[Head, Arrays]:
        calls: dict[str, Callable[..., tuple[Head, Arrays]]]
        calls = {"engine": self._about, "open": self._open, "run": self._run}
        try:
            return calls[head.pop("call")](*arrays, **head)
        except Exception as error:
            if not isinstance(error, VrnError):
                log.exception("The models could not answer.")
            return {"error": type(error).__name__, "message": str(error)}, ()

    def _about(self) -> tuple[Head, Arrays]:
        return {"engine": asdict(self._engine)}, ()

    def _open(self, *constants: Any, weights: str, families: list[str]) -> tuple[Head, Arrays]:
        name = sha256(repr((weights, families)).encode() + b"".join(each.tobytes() for each in constants)).hexdigest()
        with self._opening:
            if name not in self._graphs:
                self._graphs[name] = open_graph(_named(weights), tuple(families), self._engine, constants)
        graph = self._graphs[name]
        return {"graph": name, **{key: getattr(graph, key) for key in ("engine", "config", "metrics", "sha256")}}, ()

    def _run(self, *inputs: Any, graph: str, alone: bool) -> tuple[Head, Arrays]:
        try:
            ran = self._batcher.run(self._graphs[graph], inputs, alone=alone)
        except Exception:
            if self._engine.device != "cpu":  # a GPU that failed once may fail at everything from then on
                log.exception("A run failed on %s: the process ends and is replaced.", self._engine.device)
                os._exit(1)
            raise
        return {"together": ran.together, "waited": ran.waited}, ran.answers


def _named(weights: str) -> str | Path:
    """A path as a path, so that it is never taken for the name of bundled weights."""
    return Path(weights) if os.sep in weights else weights
