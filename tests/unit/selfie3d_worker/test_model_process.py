"""The model process is replaced whatever keeps it from starting, and stops whenever it is told to."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from selfie3d_worker import WorkerConfig, model_process
from selfie3d_worker.model_process import ModelProcess

LONG = 60.0  # seconds that no test waits for


class ScriptedProcess:
    """Starts as `begin` lets it, and lives until it is killed; as multiprocessing's, it cannot be killed before."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._has_started, self._has_ended = False, threading.Event()
        self.pid, self.exitcode = 1, -9

    def start(self) -> None:
        self._begin()
        self._has_started = True

    def kill(self) -> None:
        assert self._has_started
        self._has_ended.set()

    def join(self) -> None:
        assert self._has_ended.wait(LONG)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[ScriptedProcess]]:
    """The processes that are launched, where each begins as one function after the other lets it."""

    def script(*begins: Callable[[], None]) -> list[ScriptedProcess]:
        left, processes = list(begins), list[ScriptedProcess]()

        def process(**_: object) -> ScriptedProcess:
            processes.append(ScriptedProcess(left.pop(0)))
            return processes[-1]

        monkeypatch.setattr(model_process.spawning, "Process", process)
        monkeypatch.setattr(model_process, "PAUSE", 0.0)
        return processes

    return script


def nothing() -> None:
    """A start without trouble."""


def test_a_machine_without_room_for_a_process_is_asked_again(launched: Callable[..., list[ScriptedProcess]]) -> None:
    replaced = threading.Event()

    def without_room() -> None:
        raise OSError(errno.EAGAIN, "no process left")

    processes = launched(nothing, without_room, without_room, replaced.set)
    process = ModelProcess(WorkerConfig(model_process="on"))
    process.start()
    processes[0].kill()
    assert replaced.wait(LONG)
    process.stop()
    assert len(processes) == 4
    assert not Path(process.address).parent.exists()


def test_a_stop_while_a_process_is_being_replaced_ends_it(launched: Callable[..., list[ScriptedProcess]]) -> None:
    starting, stopping = threading.Event(), threading.Event()

    def slowly() -> None:
        starting.set()
        assert stopping.wait(LONG)

    processes = launched(nothing, slowly)
    process = ModelProcess(WorkerConfig(model_process="on"))
    process.start()
    processes[0].kill()
    assert starting.wait(LONG)
    stop = threading.Thread(target=process.stop)
    stop.start()
    assert process._stopped.wait(LONG)
    stopping.set()
    stop.join(LONG)
    assert not stop.is_alive()
    assert processes[1]._has_ended.is_set()
    assert not Path(process.address).parent.exists()
