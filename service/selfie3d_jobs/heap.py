"""The memory of a process that has started: what it holds then, it holds to its end."""

from __future__ import annotations

import ctypes
import gc
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # glibc's names for what mallopt sets
ROOM_BYTES = 16 << 20  # that stay with the process when they are free
LARGE_BYTES = 4 << 20  # pieces of this size go back to the system at once


def settle() -> None:
    """Leave all that is loaded by now out of the garbage collector's later rounds.

    Modules and libraries are 50,000 objects and more. A full collection, which comes by itself every few hundred calls,
    looks at each of them for 20 to 50 ms in all, in which nothing else of the process goes on.
    """
    gc.collect()
    gc.freeze()


def keep_room() -> None:
    """Keep the memory of one photo or mesh for the next, where the C library is glibc.

    It would give it back each time, and the system would have to clear it again, page by page, for each of the copies
    that a mesh makes on its way.
    """
    _set(M_MMAP_THRESHOLD, LARGE_BYTES)
    _set(M_TRIM_THRESHOLD, ROOM_BYTES)


def take_one_heap() -> None:
    """Let all threads that are still to start take their memory from one heap, where the C library is glibc.

    It would give each of them a heap of its own, and what one leaves free there is of no use to the others. Threads
    that compute at the same time would wait for one another; those of a child mostly sleep.
    """
    _set(M_ARENA_MAX, 1)


def _set(what: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(what, value)
