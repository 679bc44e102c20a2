"""The Celery side of a child: the task and the signals of its life. Imported by parent and children."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from celery import current_app, shared_task, signals

from selfie3d_jobs.broker import TASK
from selfie3d_worker.child import ModelNotLoaded, PoolChild

_children: list[PoolChild] = []  # this process's, once it is a pool child


@shared_task(name=TASK, bind=True, ignore_result=True, acks_late=True)
def reconstruct(task: Any, job_id: str) -> None:
    """Run the job; the record, not Celery, knows what became of it."""
    _children[0].runner.run(job_id, task.request.get("traceparent") or "")


@signals.worker_process_init.connect
def _open(**_: Any) -> None:
    with suppress(ModelNotLoaded):  # the parent ends, and this process with it
        _children[:] = [PoolChild(current_app.conf["selfie3d"])]


@signals.worker_process_shutdown.connect
def _close(**_: Any) -> None:
    for child in _children:
        child.close()
    _children.clear()


@signals.setup_logging.connect
def _leave_logging_alone(**_: Any) -> None:
    """Celery configures nothing while somebody listens to this signal."""
