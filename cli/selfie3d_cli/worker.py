"""`selfie3d worker`: one worker, with its settings from the environment."""

from __future__ import annotations

import argparse
from typing import Any

from selfie3d_cli.children import end_with_parent
from selfie3d_cli.errors import ExtraMissingError


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("worker", help="run one worker alone (needs a Redis)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or Ctrl-C, then finish the running job."""
    del args
    end_with_parent()
    try:
        from selfie3d_worker.main import main
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("worker", error.name) from error
    return main()
