"""A child gives the memory of a job back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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
