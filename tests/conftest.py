"""For all tests: threads of torch that wait do not spin, NumPy has one, and no example has a time to keep to."""

from __future__ import annotations

from hypothesis import settings

from selfie3d.threads import give_numpy_one_thread, let_idle_threads_sleep

let_idle_threads_sleep()  # before any test imports torch
give_numpy_one_thread()
settings.register_profile("busy", deadline=None)  # a machine may be slow
settings.load_profile("busy")
