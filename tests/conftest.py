"""For all tests: threads of torch that wait do not spin, and NumPy has one, as in the command and the worker."""

from __future__ import annotations

from selfie3d.threads import give_numpy_one_thread, let_idle_threads_sleep

let_idle_threads_sleep()  # before any test imports torch
give_numpy_one_thread()
