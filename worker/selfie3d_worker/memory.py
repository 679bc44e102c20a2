"""Memory that a child does not need between two jobs."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Give what is free in this process's heap back to the system. The C library keeps it otherwise, tens of MB."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
        if trim:
            trim(0)
