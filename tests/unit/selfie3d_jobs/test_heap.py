"""What the memory of a process that has started is told."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import gc, selfie3d_jobs
from selfie3d_jobs.heap import settle
before = len(gc.get_objects())
settle()
print(before, len(gc.get_objects()), gc.get_freeze_count())
"""


def test_what_is_loaded_by_then_is_left_out_of_later_collections() -> None:
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    before, after, frozen = map(int, said.split())
    assert before > 10_000
    assert after < 100
    assert frozen > 0.9 * before


FAULTS = """
import resource
from selfie3d_jobs.heap import keep_room

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        copies = [b"x" * (3 << 20) for _ in range(3)]
        del copies
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
lost = faults()
keep_room()
faults()
print(lost, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_memory_of_meshes_that_are_gone_serves_the_next_ones() -> None:
    said = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    lost, kept = map(int, said.split())
    assert kept < 0.05 * lost


HEAPS = """
import ctypes, sys, threading
from selfie3d_jobs.heap import take_one_heap

if sys.argv[1:]:
    take_one_heap()
all_hold = threading.Barrier(9)
kept = []

def hold():
    kept.append(bytes(100_000))
    all_hold.wait()

for _ in range(8):
    threading.Thread(target=hold).start()
all_hold.wait()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other heaps")
def test_threads_share_one_heap_once_they_are_told() -> None:
    def heaps(*arguments: str) -> int:
        command = [sys.executable, "-c", HEAPS, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.count("<heap nr=")

    assert heaps() > 1
    assert heaps("one") == 1
