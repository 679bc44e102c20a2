"""Workers that stop where a test wants them to: TEST_BREAKPOINT=STAGE:KEY in their environment.

Before STAGE the worker waits as long as Redis has KEY. With STAGE `*` it is the value of KEY:REQUEST_ID that names the
stage before which the job of that request waits. Run as a program it is a worker with the real pipeline.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from selfie3d.types import Stage
from selfie3d_jobs import JobsConfig, Record
from selfie3d_jobs.connect import connect
from selfie3d_jobs.env import from_environment
from selfie3d_worker import Reconstruct, WorkerConfig
from selfie3d_worker.main import run
from selfie3d_worker.runner import Runner

VARIABLE = "TEST_BREAKPOINT"
LOOK_SECONDS = 0.02


def install_breakpoint(config: JobsConfig) -> None:
    """Let this process's runner stop after it has told of a stage and before the stage begins."""
    stage_name, _, key = os.environ.get(VARIABLE, "").partition(":")
    if not key:
        return
    errors = [redis.ConnectionError, redis.TimeoutError]  # some tests take Redis away meanwhile
    patience = Retry(ExponentialBackoff(cap=1.0, base=0.05), 60)
    client = connect(config.redis_url, socket_timeout=5.0, retry=patience, retry_on_error=errors)
    begin = Runner._begin

    def is_held(job: Record, stage: Stage) -> bool:
        if stage_name == "*":
            return bool(client.get(f"{key}:{job.settings.request_id}") == stage.value.encode())
        return stage_name == stage and client.get(key) is not None

    def begin_and_stop(self: Runner, job: Record, stage: Stage, progress: float) -> None:
        begin(self, job, stage, progress)
        while is_held(job, stage):
            time.sleep(LOOK_SECONDS)

    Runner._begin = begin_and_stop  # type: ignore[method-assign]


def open_held(config: WorkerConfig) -> Reconstruct:
    """The real pipeline, with the breakpoint."""
    from selfie3d_worker.vrn_model import open_reconstructor

    install_breakpoint(config.jobs)
    return open_reconstructor(config)


if __name__ == "__main__":
    sys.exit(run(replace(from_environment(WorkerConfig), reconstructor="tests.held_worker:open_held")))
