"""The `selfie3d` command: every subcommand is a file with `add_parser(subparsers)` and `run(args) -> int`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from selfie3d.threads import give_numpy_one_thread, let_idle_threads_sleep
from selfie3d.variables import unknown_variables
from selfie3d_cli import (
    admin,
    demo,
    doctor,
    health,
    reconstruct,
    redis_users,
    serve,
    token,
    up,
    version,
    web,
    weights,
    worker,
)
from selfie3d_cli.arguments import Parser
from selfie3d_cli.errors import CommandError
from selfie3d_cli.output import written_output

COMMANDS = (up, reconstruct, serve, web, worker, doctor, health, admin, token, redis_users, weights, demo, version)
NAME_THEM_THEMSELVES = (serve, web, worker, doctor)  # variables that are none: in the log, in the findings
INTERRUPTED = 130  # what shells expect after Ctrl-C


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = Parser("selfie3d", description="One photo of a face in, a coloured 3D mesh out.")
    parser.add_argument("--version", action="version", version=version.text())
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 failed, 2 wrong arguments, 3 a part is not installed."""
    try:
        with written_output():
            return _run(arguments)
    except CommandError as error:
        print(f"selfie3d: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        return 1


def _run(arguments: Sequence[str] | None) -> int:
    args = make_parser().parse_args(arguments)
    let_idle_threads_sleep()
    give_numpy_one_thread()
    if args.run not in [command.run for command in NAME_THEM_THEMSELVES]:
        for sentence in unknown_variables(os.environ).values():
            print(f"selfie3d: {sentence}", file=sys.stderr)
    return int(args.run(args))
