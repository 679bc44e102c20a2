"""How many CPU threads a process has for its networks."""

from __future__ import annotations

import os


def threads_of(wanted: int, processes: int = 1) -> int:
    """The wanted number; for 0 the cores of this process, shared among so many."""
    return wanted or max(1, len(os.sched_getaffinity(0)) // processes)
