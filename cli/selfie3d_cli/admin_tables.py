"""Jobs, queues and workers as tables for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC

from google.protobuf.timestamp_pb2 import Timestamp
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfie3d.v1 import admin_pb2 as pb
from selfie3d.v1 import reconstruction_pb2 as api

WIDE = 240  # columns, where no terminal says how many there are
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


def jobs(listed: Iterable[api.Job]) -> Table:
    """Whose jobs, and how they stand."""
    table = _table("job", "caller", "state", "queue", "created", "request_id")
    for job in listed:
        queue = api.Priority.Name(job.settings.priority or api.PRIORITY_INTERACTIVE)
        cells = (job.id, job.caller, _state(job), _word(queue), _time(job.create_time), job.settings.request_id)
        table.add_row(*map(_cell, cells))
    return table


def queues(listed: Iterable[pb.Queue]) -> Table:
    """How many wait and run."""
    table = _table("queue", "waiting", "running", "paused since", "by")
    for queue in listed:
        since = _time(queue.pause_time) if queue.HasField("pause_time") else "not paused"
        cells = (_word(api.Priority.Name(queue.priority)), queue.waiting, queue.running, since, queue.paused_by)
        table.add_row(*map(_cell, cells))
    return table


def workers(listed: Iterable[pb.Worker]) -> Table:
    """Who works where, with what, on what."""
    table = _table("worker", "version", "engine", "device", "model", "ready since", "job", "stage", "running since")
    for worker in listed:
        job = worker.job
        doing = (job.id, _stage(job), _time(job.start_time)) if worker.HasField("job") else (_idle(worker), "", "")
        cells = (worker.name, worker.version, worker.engine, worker.device, worker.model, _time(worker.start_time))
        table.add_row(*map(_cell, (*cells, *doing)))
    return table


def show(table: Table) -> None:
    """Print it on stdout; where that is no terminal, each row on one line."""
    Console(width=None if sys.stdout.isatty() else WIDE, highlight=False).print(table)


def printable(text: str) -> str:
    """Text of others without what would move a terminal's cursor or colour it."""
    return "".join(letter if letter.isprintable() else UNPRINTABLE for letter in text)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column == "job", overflow="fold")
    return table


def _cell(value: object) -> Text:
    return Text(printable(str(value)))


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
