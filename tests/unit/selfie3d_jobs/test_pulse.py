"""Signs of life: who is well, who is stuck, and who is nobody's business."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from selfie3d_jobs import pulse
from selfie3d_jobs.pulse import ProcessKind, Pulse, beating, beats, end_stuck
from tests.stack import eventually

BEAT = """
import sys, time
from selfie3d_jobs.pulse import ProcessKind, Pulse
with Pulse(ProcessKind(sys.argv[1])) as pulse:
    while True:
        pulse.beat()
        time.sleep(0.01)
"""
SILENCE = 0.5  # seconds that count as stuck here


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(pulse, "STUCK_SECONDS", SILENCE)
    monkeypatch.setattr(pulse, "LOOK_AGAIN_SECONDS", SILENCE)
    return pulse.folder()


@contextmanager
def process(kind: ProcessKind) -> Iterator[subprocess.Popen[bytes]]:
    """One that beats."""
    env = os.environ | {"TMPDIR": tempfile.gettempdir(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = subprocess.Popen([sys.executable, "-c", BEAT, kind], env=env)
    try:
        eventually(lambda: running.pid in pids(kind), "it has a pulse")
        yield running
    finally:
        running.kill()
        running.wait()


def pids(*kinds: ProcessKind) -> list[int]:
    return [beat.pid for beat in beats(*kinds)]


def is_stuck(pid: int) -> bool:
    return any(beat.pid == pid and beat.stuck for beat in beats(*ProcessKind))


def test_a_process_is_there_until_it_leaves() -> None:
    with Pulse(ProcessKind.WEB):
        assert pids(ProcessKind.WEB) == [os.getpid()]
        assert pids(ProcessKind.WORKER, ProcessKind.CHILD, ProcessKind.SERVICE) == []
    assert pids(*ProcessKind) == []


def test_a_process_that_beats_is_left_alone() -> None:
    with process(ProcessKind.CHILD) as running:
        assert end_stuck(ProcessKind.CHILD) == []
        assert running.poll() is None
        eventually(lambda: not is_stuck(running.pid), "it beats")


def test_a_stopped_process_is_stuck_and_ended_and_no_other_part_of_it() -> None:
    with process(ProcessKind.WORKER) as parent, process(ProcessKind.CHILD) as child:
        child.send_signal(signal.SIGSTOP)
        eventually(lambda: is_stuck(child.pid), "it is silent")
        assert end_stuck(ProcessKind.WORKER) == []
        assert [beat.pid for beat in end_stuck(ProcessKind.WORKER, ProcessKind.CHILD)] == [child.pid]
        assert child.wait(30) == -signal.SIGKILL
        assert parent.poll() is None
        assert pids(ProcessKind.WORKER, ProcessKind.CHILD) == [parent.pid]


def test_a_process_that_goes_on_before_the_second_look_is_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    with process(ProcessKind.SERVICE) as running:
        running.send_signal(signal.SIGSTOP)
        eventually(lambda: is_stuck(running.pid), "it is silent")

        def go_on(_: float) -> None:
            running.send_signal(signal.SIGCONT)
            eventually(lambda: not is_stuck(running.pid), "it beats")

        monkeypatch.setattr(pulse, "sleep", go_on)
        assert end_stuck(ProcessKind.SERVICE) == []
        assert running.poll() is None


def test_the_file_of_a_process_that_was_killed_is_no_sign_of_the_next_of_its_number(folder: Path) -> None:
    with Pulse(ProcessKind.WORKER):
        path = folder / f"worker.{os.getpid()}"
        start, seen = path.read_text().split()
        path.write_text(f"{int(start) - 1:020d} {float(seen) - 1000:020.3f}")  # of an earlier process
        assert beats(ProcessKind.WORKER) == []
        assert end_stuck(ProcessKind.WORKER) == []  # else this test would end here
        assert not path.exists()


def test_nothing_is_written_into_a_folder_that_others_can_write_or_through_a_link(folder: Path) -> None:
    """Who makes the folder first could put a pipe there, which holds up who opens it, or lead us elsewhere."""
    folder.mkdir()
    folder.chmod(0o777)
    os.mkfifo(folder / f"web.{os.getpid()}")
    with Pulse(ProcessKind.WEB), Pulse(ProcessKind.SERVICE):
        assert [path.name for path in folder.iterdir()] == [f"web.{os.getpid()}"]
    shutil.rmtree(folder)
    (elsewhere := folder.with_name("elsewhere")).mkdir()
    folder.symlink_to(elsewhere)
    with Pulse(ProcessKind.WEB):
        assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("text", ["", "1", "x y", "1 2 3"])
def test_what_is_no_sign_is_passed_over(folder: Path, text: str) -> None:
    with Pulse(ProcessKind.WEB):
        (folder / f"worker.{os.getpid()}").write_text(text)
        (folder / "stray").touch()
        assert pids(*ProcessKind) == [os.getpid()]


def test_a_folder_that_others_can_write_is_not_believed(folder: Path) -> None:
    with Pulse(ProcessKind.WEB):
        folder.chmod(0o777)
        assert beats(ProcessKind.WEB) == []


def test_where_no_file_can_be_written_the_process_runs_without() -> None:
    pulse.folder().write_text("in the way")
    with Pulse(ProcessKind.WEB) as mine:
        mine.beat()
        assert beats(ProcessKind.WEB) == []


async def test_an_event_loop_that_hangs_is_silent() -> None:
    async with beating(ProcessKind.SERVICE):
        await asyncio.sleep(0)
        (beat,) = beats(ProcessKind.SERVICE)
        assert not beat.stuck
        end = time.monotonic() + 2 * SILENCE
        while time.monotonic() < end:  # not awaiting anything
            pass
        assert is_stuck(os.getpid())
    assert beats(ProcessKind.SERVICE) == []
