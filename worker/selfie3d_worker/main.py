"""The worker as a process: `run(config)`, or `python -m selfie3d_worker.main` with settings from the environment."""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from celery.exceptions import SecurityWarning

from selfie3d.threads import give_numpy_one_thread, let_idle_threads_sleep
from selfie3d_jobs import ConfigError, JobsError, Store, StoreFull, StoreUnavailable, logs, maintenance
from selfie3d_jobs.broker import HARD_LIMIT_SECONDS, create_app
from selfie3d_jobs.env import from_environment, name_unknown, report
from selfie3d_worker.config import WorkerConfig
from selfie3d_worker.forking import FORK, import_for_children, start_method
from selfie3d_worker.turns import Turns

log = logging.getLogger(__name__)


def run(config: WorkerConfig) -> int:
    """Work until SIGTERM, then finish the running jobs. The process's exit code. Raises ConfigError."""
    logs.configure(config.log_level, config.log_format)
    name_unknown(log)
    _refuse_cluster(config)
    let_idle_threads_sleep()  # before a child imports torch
    give_numpy_one_thread()
    with models_of(config) as models:
        return _work(replace(config, models=models))


def _work(config: WorkerConfig) -> int:
    app = create_app(config.jobs, partial(Turns, config.interactive_turns), **celery_settings(config))
    speak_of_root()
    if app.conf.worker_pool_start_method == FORK:
        import_for_children(config)
    worker = app.Worker(
        hostname=f"selfie3d-{os.getpid()}@{socket.gethostname()}",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0) or int(_has_failed_to_load(config))


@contextmanager
def models_of(config: WorkerConfig) -> Iterator[str]:
    """Run the model process, if one is wanted, and yield where it serves; empty: each child runs its own networks."""
    if config.model_process == "off" or (config.model_process == "auto" and config.device == "cpu"):
        yield ""
        return
    from selfie3d_worker.model_process import ModelProcess, is_wanted
    from vrn import VrnError  # here: NumPy has been told its number of threads

    try:
        wanted = is_wanted(config)
    except (ValueError, RuntimeError, VrnError):  # the children find that out, too, and report it
        wanted = False
    if not wanted:
        yield ""
        return
    process = ModelProcess(config)
    process.start()
    try:
        yield process.address
    finally:
        process.stop()


def speak_of_root() -> None:
    """Say in one line of our log what Celery says in twelve of another form."""
    if os.geteuid() == 0:
        log.warning("The worker runs as root: give it a user of its own.", extra={"action": "start"})
        warnings.filterwarnings("ignore", r"\s*You're running the worker with superuser privileges", SecurityWarning)


def _refuse_cluster(config: WorkerConfig) -> None:
    """A Redis that is away now is waited for."""
    store = Store(config.jobs, tries=0, answer_seconds=1.0)
    try:
        store.run(maintenance.refuse_cluster())
    except (StoreUnavailable, StoreFull):
        pass
    finally:
        store.close()


def _has_failed_to_load(config: WorkerConfig) -> bool:
    """Whether a child reported that its model cannot be loaded: it then ended this worker with SIGTERM."""
    store = Store(config.jobs, tries=1)
    try:
        reports = store.run(maintenance.snapshot()).workers
    except JobsError:
        return False
    finally:
        store.close()
    return any(report.error for report in reports if f":{os.getpid()}:" in report.name)


def celery_settings(config: WorkerConfig) -> dict[str, Any]:
    """How Celery moves the work. See docs/adr/0003-celery.md."""
    soft = config.jobs.time_limit_seconds
    return {
        "selfie3d": config,  # travels to the children with the app
        "imports": ("selfie3d_worker.tasks",),
        "worker_pool": "prefork",
        "worker_consumer": "selfie3d_worker.consumer:QuickConsumer",
        "worker_pool_start_method": start_method(config),
        "worker_concurrency": config.concurrency,
        "worker_prefetch_multiplier": 1,
        "worker_proc_alive_timeout": config.start_seconds,
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,  # the reaper redelivers, and counts
        "task_soft_time_limit": soft,
        "task_time_limit": soft + HARD_LIMIT_SECONDS,
        "worker_soft_shutdown_timeout": soft,
        "worker_enable_prefetch_count_reduction": False,  # the claim sorts out what is delivered twice
        "broker_channel_error_retry": True,  # a primary that was replaced answers, and refuses what it is asked for
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # the result is still wanted
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def main() -> int:
    """Settings from the environment; a bad value is reported and ends the process with code 2."""
    try:
        return run(from_environment(WorkerConfig))
    except ConfigError as error:
        return report(error)


if __name__ == "__main__":
    sys.exit(main())
