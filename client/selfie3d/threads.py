"""What an entry point sets before it imports torch; the libraries leave the environment alone."""

from __future__ import annotations

import os


def let_idle_threads_sleep() -> None:
    """Make the threads of OpenMP sleep while they wait, unless `OMP_WAIT_POLICY` says otherwise.

    Spinning, torch's idle threads keep the cores from NumPy, SciPy and the other processes. It is read once, when
    torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
