"""An idle child gives the memory of its jobs back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from selfie3d_worker.memory import IDLE_SECONDS, SpareMemory

KEPT = """
from pathlib import Path
from selfie3d_worker import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

small = [bytes(1000) for _ in range(50_000)]
kept = bytes(1000)  # at the end of the heap, which cannot shrink below it
del small
before = resident()
memory.give_back()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries give it back on their own")
def test_free_memory_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 20_000_000


class Child:
    """Counts how often it gives memory back."""

    def __init__(self) -> None:
        self.now, self.given = 100.0, 0
        self.memory = SpareMemory(self._give, lambda: self.now)

    def _give(self) -> None:
        self.given += 1

    def look_after(self, seconds: float) -> int:
        """How often it has given memory back by then."""
        self.now += seconds
        self.memory.look()
        return self.given


def test_what_its_start_left_is_given_back_once_by_a_child_that_gets_no_job() -> None:
    child = Child()
    assert [child.look_after(seconds) for seconds in (IDLE_SECONDS - 1, 1, 1000.0)] == [0, 1, 1]


def test_memory_is_kept_for_the_next_job_and_given_back_once_when_none_comes() -> None:
    child = Child()
    child.memory.job_ended()
    assert child.look_after(IDLE_SECONDS - 1) == 0
    child.memory.job_ended()
    assert child.look_after(IDLE_SECONDS - 1) == 0
    assert [child.look_after(1), child.look_after(IDLE_SECONDS), child.look_after(1000.0)] == [1, 1, 1]
    child.memory.job_ended()
    assert child.look_after(IDLE_SECONDS) == 2
