"""What an entry point sets before it imports NumPy and torch; the libraries leave the environment alone."""

from __future__ import annotations

import os

OF_NUMPY = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


def let_idle_threads_sleep() -> None:
    """Make the threads of OpenMP sleep while they wait, unless `OMP_WAIT_POLICY` says otherwise.

    Spinning, torch's idle threads keep the cores from NumPy, SciPy and the other processes. It is read once, when
    torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def give_numpy_one_thread() -> None:
    """Let NumPy compute in one thread, unless its own variables say otherwise.

    Then a result does not depend on the number of cores, to the last bit, and processes do not fight for them; its
    matrices here are too small to gain from more. It is read once, when NumPy is imported.
    """
    for name in OF_NUMPY:
        os.environ.setdefault(name, "1")
