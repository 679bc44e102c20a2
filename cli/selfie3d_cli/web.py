"""`selfie3d web`: the page and the HTTP door, with their settings from the environment."""

from __future__ import annotations

import argparse
import os
from typing import Any

from selfie3d_cli.arguments import listen, server
from selfie3d_cli.children import end_with_parent
from selfie3d_cli.errors import ExtraMissingError


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("web", help="run the page and HTTP alone (needs a service)")
    parser.add_argument(
        "--listen", type=listen, metavar="HOST:PORT", help="default: SELFIE3D_WEB_LISTEN or 127.0.0.1:8080"
    )
    parser.add_argument(
        "--server", type=server, metavar="HOST:PORT", help="default: SELFIE3D_SERVER or localhost:50051"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C, then drain."""
    end_with_parent()
    if args.listen:
        os.environ["SELFIE3D_WEB_LISTEN"] = args.listen
    if args.server:
        os.environ["SELFIE3D_SERVER"] = args.server
    try:
        from selfie3d_web.main import main
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("web", error.name) from error
    return main()
