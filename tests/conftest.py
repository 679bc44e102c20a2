"""For all tests: threads of torch that wait do not spin, as in the command, the worker and the training."""

from __future__ import annotations

from selfie3d.threads import let_idle_threads_sleep

let_idle_threads_sleep()  # before any test imports torch
