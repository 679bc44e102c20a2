"""Jobs, queues and workers as tables for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from google.protobuf.timestamp_pb2 import Timestamp

from selfie3d.v1 import admin_pb2 as pb
from selfie3d.v1 import reconstruction_pb2 as api
from selfie3d_cli.table import TextTable


def jobs(listed: Iterable[api.Job]) -> TextTable:
    """Whose jobs, and how they stand."""
    table = TextTable("job", "caller", "state", "queue", "created", "request_id", whole="job")
    for job in listed:
        queue = api.Priority.Name(job.settings.priority or api.PRIORITY_INTERACTIVE)
        cells = (job.id, job.caller, _state(job), _word(queue), _time(job.create_time), job.settings.request_id)
        table.add(*cells)
    return table


def queues(listed: Iterable[pb.Queue]) -> TextTable:
    """How many wait and run."""
    table = TextTable("queue", "waiting", "running", "paused since", "by")
    for queue in listed:
        since = _time(queue.pause_time) if queue.HasField("pause_time") else "not paused"
        cells = (_word(api.Priority.Name(queue.priority)), queue.waiting, queue.running, since, queue.paused_by)
        table.add(*cells)
    return table


def workers(listed: Iterable[pb.Worker]) -> TextTable:
    """Who works where, with what, on what."""
    table = TextTable(
        *("worker", "version", "engine", "device", "model", "ready since", "job", "stage", "running since"), whole="job"
    )
    for worker in listed:
        job = worker.job
        doing = (job.id, _stage(job), _time(job.start_time)) if worker.HasField("job") else (_idle(worker), "", "")
        cells = (worker.name, worker.version, worker.engine, worker.device, worker.model, _time(worker.start_time))
        table.add(*cells, *doing)
    return table


def _state(job: api.Job) -> str:
    state = _word(api.JobState.Name(job.state), "JOB_STATE_")
    if job.state == api.JOB_STATE_RUNNING:
        return f"{state}: {_stage(job)}"
    if job.state == api.JOB_STATE_QUEUED:
        return f"{state}: {'paused' if job.queue_paused else job.queue_position}"
    return f"{state}: {job.error.reason}" if job.error.reason else state


def _stage(job: api.Job) -> str:
    return _word(api.Stage.Name(job.stage), "STAGE_") if job.stage else "begins"


def _idle(worker: pb.Worker) -> str:
    return "waits" if worker.verified else f"cannot work: {worker.error}"


def _word(name: str, prefix: str = "PRIORITY_") -> str:
    return name.removeprefix(prefix).lower()


def _time(stamp: Timestamp) -> str:
    """The time of this machine's zone, to the second; empty for none."""
    return f"{stamp.ToDatetime(UTC).astimezone():%Y-%m-%d %H:%M:%S}" if stamp.ByteSize() else ""
