"""A process that has settled is not gone through again."""

from __future__ import annotations

import subprocess
import sys

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
