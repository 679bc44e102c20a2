"""How the workers of one machine share its cores, and the models."""

from __future__ import annotations

from collections.abc import Mapping


def share(workers: int) -> tuple[int, Mapping[str, str]]:
    """How many worker processes to start for so many workers, and the settings that they get.

    Workers that each run their own networks are processes of their own and share the cores. With a model process they
    are the children of one worker, so that one process runs the networks of all.
    """
    try:
        from selfie3d_jobs import ConfigError
        from selfie3d_jobs.env import from_environment
        from selfie3d_worker.config import WorkerConfig
        from selfie3d_worker.model_process import is_wanted
        from selfie3d_worker.threads import threads_of
        from vrn import VrnError
    except ModuleNotFoundError:
        return workers, {}  # the worker says so
    try:
        config = from_environment(WorkerConfig)
        if is_wanted(config):
            return 1, {"SELFIE3D_CONCURRENCY": str(workers * config.concurrency)}
    except (ConfigError, ValueError, RuntimeError, VrnError):
        return workers, {}  # the worker says so
    return workers, {"SELFIE3D_THREADS": str(threads_of(config.threads, workers * config.concurrency))}
