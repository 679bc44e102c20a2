"""Memory that a child does not need between two jobs."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable

IDLE_SECONDS = 60.0  # a child that has had no job for so long may get none for longer


def give_back() -> None:
    """Give what is free in this process's heap back to the system. The C library keeps it otherwise, tens of MB."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
        if trim:
            trim(0)


class SpareMemory:
    """What opening the networks and jobs leave in the heap: given back once the child is idle.

    Not after each job: the next one would fault all of it in again, page by page, which takes a tenth of a job.
    """

    def __init__(self, give_back: Callable[[], None] = give_back, clock: Callable[[], float] = time.monotonic) -> None:
        self._give_back, self._clock = give_back, clock
        self._since: float | None = clock()  # the start, or when the last job ended; None: nothing to give back

    def job_ended(self) -> None:
        """A job has left memory behind."""
        self._since = self._clock()

    def look(self) -> None:
        """No job runs: give the memory back, once, if none has for long enough."""
        if self._since is not None and self._clock() - self._since >= IDLE_SECONDS:
            self._since = None
            self._give_back()
