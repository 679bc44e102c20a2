"""CPU time of other processes, by name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.stack import Stack

Processes = Mapping[str, Sequence[int]]  # process ids by name


def processes_of(stack: Stack) -> Processes:
    """Those of a stack with one service and one worker, and this one, which is the caller and owns Redis."""
    parent = stack.workers[0].pid
    return {
        "caller": [os.getpid()],
        "service": [stack.services[0].pid],
        "Redis": [stack.redis.pid],
        "worker's parent": [parent],
        "worker's children": children_of(parent),
    }


def children_of(parent: int) -> list[int]:
    """Process ids of the children of all its threads."""
    lists = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(pid) for each in lists for pid in each.read_text().split()]


def cpu_seconds(processes: Processes) -> dict[str, float]:
    """CPU time that they have used so far, all threads, s."""
    return {name: sum(map(_used, pids)) for name, pids in processes.items()}


def _used(pid: int) -> float:
    return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) makes the number of a process's clock in Linux
