"""The memory of a process that has started: what it holds then, it holds to its end."""

from __future__ import annotations

import gc


def settle() -> None:
    """Leave all that is loaded by now out of the garbage collector's later rounds.

    Modules and libraries are 50,000 objects and more. A full collection, which comes by itself every few hundred calls,
    looks at each of them for 20 to 50 ms in all, in which nothing else of the process goes on.
    """
    gc.collect()
    gc.freeze()
