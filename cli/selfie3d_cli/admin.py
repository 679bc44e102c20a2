"""`selfie3d admin`: what operators do with a service, all callers' jobs and all workers in view."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from selfie3d import JobState, Priority
from selfie3d.v1 import admin_pb2 as pb
from selfie3d.wire import state_name
from selfie3d_cli import admin_tables as tables
from selfie3d_cli.admin_calls import Operator
from selfie3d_cli.arguments import count, moment, seconds, server
from selfie3d_cli.server_options import add_tls_arguments
from selfie3d_cli.table import TextTable
from selfie3d_cli.terminal import printable

ANSWER_SECONDS = 10.0
SHOWN = 50  # jobs
M = TypeVar("M", bound=Message)
STATES = [state for state in JobState if state is not JobState.UNSPECIFIED]


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("admin", help="for operators: all jobs, queues and workers of a service")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    jobs = _action(actions, "jobs", list_jobs, "list the jobs of all callers, newest first")
    jobs.add_argument("--state", action="append", choices=STATES, help="repeatable; default: all")
    jobs.add_argument("--caller", help="of this caller")
    jobs.add_argument("--since", type=moment, metavar="TIME", help="created then or later: ISO 8601, or 15m ago: 15m")
    jobs.add_argument("--until", type=moment, metavar="TIME", help="created before then")
    jobs.add_argument("--request-id", help="created with this request_id")
    jobs.add_argument("--limit", type=count, default=SHOWN, metavar="N", help="jobs at most, default: %(default)s")
    cancel = _action(actions, "cancel", cancel_jobs, "stop all jobs of a caller that have not ended")
    cancel.add_argument("caller")
    pause = _action(actions, "pause", pause_queue, "have workers take no more jobs of a queue; those that run go on")
    pause.add_argument("queue", choices=[*Priority])
    resume = _action(actions, "resume", resume_queue, "have workers take the jobs of a queue again")
    resume.add_argument("queue", choices=[*Priority])
    _action(actions, "queues", list_queues, "how many jobs wait and run, and what is paused")
    _action(actions, "workers", list_workers, "which workers are alive, and what they do")


def run(args: argparse.Namespace) -> int:
    """Ask the service and print what it says. Raises CommandError."""
    with Operator(args) as operator:
        args.action(operator, args)
    return 0


def list_jobs(operator: Operator, args: argparse.Namespace) -> None:
    """Print the jobs that meet the filter."""
    wanted = pb.ListAllJobsRequest(
        states=[state_name(JobState(state)) for state in args.state or ()],
        caller=args.caller,
        request_id=args.request_id,
        created_after=_timestamp(args.since),
        created_before=_timestamp(args.until),
    )
    _show(operator.jobs(wanted, args.limit), tables.jobs, args)


def cancel_jobs(operator: Operator, args: argparse.Namespace) -> None:
    """Cancel, and print how many jobs that were."""
    done = operator.cancel(args.caller)
    if args.json:
        _print_json([done])
        return
    print(f"{done.cancelled} jobs of {printable(args.caller)} cancelled, {done.remaining} have not ended.")


def pause_queue(operator: Operator, args: argparse.Namespace) -> None:
    """Pause, and print the queue."""
    _show([operator.pause(Priority(args.queue))], tables.queues, args)


def resume_queue(operator: Operator, args: argparse.Namespace) -> None:
    """Resume, and print the queue."""
    _show([operator.resume(Priority(args.queue))], tables.queues, args)


def list_queues(operator: Operator, args: argparse.Namespace) -> None:
    """Print both queues."""
    _show(operator.queues(), tables.queues, args)


def list_workers(operator: Operator, args: argparse.Namespace) -> None:
    """Print the workers."""
    _show(operator.workers(), tables.workers, args)


def _action(actions: Any, name: str, act: Any, text: str) -> Any:
    parser = actions.add_parser(name, help=text)
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with the fields of the API")
    group = parser.add_argument_group("the service")
    group.add_argument("--server", type=server, metavar="HOST:PORT", help="default: SELFIE3D_SERVER or localhost:50051")
    group.add_argument(
        "--timeout", type=seconds, default=ANSWER_SECONDS, metavar="S", help="of a call, default: %(default)g"
    )
    add_tls_arguments(group)
    parser.set_defaults(run=run, action=act)
    return parser


def _show(messages: Iterable[M], table: Callable[[Iterable[M]], TextTable], args: argparse.Namespace) -> None:
    if args.json:
        _print_json(messages)
    else:
        table(messages).show()


def _print_json(messages: Iterable[Message]) -> None:
    for message in messages:
        fields = json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        print(json.dumps(fields), flush=True)


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
