"""`selfie3d redis-users`: passwords for a Redis of its own, as files for its server, for selfie3d and for operators."""

from __future__ import annotations

import argparse
import os
import secrets
from pathlib import Path
from typing import Any

from selfie3d.types.atomic_file import write_atomically
from selfie3d_cli.errors import ExtraMissingError, UsageError

PASSWORD_BYTES = 32
READABLE, PRIVATE = 0o644, 0o600  # what holds hashes, what holds passwords
FILES = ("acl", "url", "admin")


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("redis-users", help="make passwords for a Redis of selfie3d's own, once")
    parser.add_argument("--acl", type=Path, required=True, metavar="FILE", help="the aclfile of Redis")
    parser.add_argument("--url", type=Path, required=True, metavar="FILE", help="SELFIE3D_REDIS_URL_FILE")
    parser.add_argument("--admin", type=Path, required=True, metavar="FILE", help="the password of the user admin")
    parser.add_argument("--address", default="redis:6379", metavar="HOST:PORT", help="of Redis, default: redis:6379")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the three files, unless all are there; they belong together."""
    paths = [getattr(args, name) for name in FILES]
    if all(path.exists() for path in paths):
        print("The passwords are there already; remove the three files to have others.")
        return 0
    for path, text, mode in zip(paths, _texts(args.address), (READABLE, PRIVATE, PRIVATE), strict=True):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text.encode(), mode)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}; user {os.getuid()} must be able to write it.") from error
    print(f"Wrote {', '.join(map(str, paths))}.")
    return 0


def _texts(address: str) -> tuple[str, str, str]:
    """What is in the files, in the order of FILES."""
    try:
        from selfie3d_jobs import JobsConfig
        from selfie3d_jobs.env import from_environment
        from selfie3d_jobs.redis_user import USER, acl_file
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("service", error.name) from error
    password, administrator = secrets.token_hex(PASSWORD_BYTES), secrets.token_hex(PASSWORD_BYTES)
    acl = acl_file(from_environment(JobsConfig).prefix, password, administrator)
    return acl, f"redis://{USER}:{password}@{address}/0\n", f"{administrator}\n"
