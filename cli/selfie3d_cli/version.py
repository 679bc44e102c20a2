"""`selfie3d version`: what is installed."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from typing import Any

PARTS = ("grpcio", "protobuf", "numpy", "redis", "celery", "onnxruntime", "torch")


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("version", help="say what is installed")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the version of selfie3d and of what it stands on."""
    del args
    print(text())
    print(f"python {platform.python_version()}")
    for part in PARTS:
        print(part, installed(part) or "not installed")
    return 0


def text() -> str:
    """selfie3d and its version."""
    return f"selfie3d {installed('selfie3d') or '(not installed, run from its source)'}"


def installed(distribution: str) -> str | None:
    """The version of a distribution, None when it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
