"""`selfie3d serve`: the gRPC service, with its settings from the environment."""

from __future__ import annotations

import argparse
import os
from typing import Any

from selfie3d_cli.arguments import listen
from selfie3d_cli.children import end_with_parent
from selfie3d_cli.errors import ExtraMissingError


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("serve", help="run the service alone (needs a Redis)")
    parser.add_argument(
        "--listen", type=listen, metavar="HOST:PORT", help="default: SELFIE3D_LISTEN or 127.0.0.1:50051"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C, then drain."""
    end_with_parent()
    if args.listen:
        os.environ["SELFIE3D_LISTEN"] = args.listen
    try:
        from selfie3d_service.main import main
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("service", error.name) from error
    return main()
