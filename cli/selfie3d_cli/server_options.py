"""How a command reaches a service: the options of TLS and of the token, and what they come to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from selfie3d import InvalidConnection, Tls
from selfie3d._connection import INVALID_TOKEN, TOKEN_IN_CLEAR
from selfie3d_cli.errors import UsageError
from selfie3d_cli.settings import from_environment

MOST_CHARACTERS = 4096  # of a token; headers of more are refused by servers


def add_tls_arguments(group: Any) -> None:
    """Declare the options of the token and of TLS."""
    group.add_argument("--token-file", metavar="FILE", help="file that holds the token, default: SELFIE3D_TOKEN")
    group.add_argument("--insecure-token", action="store_true", help="let the token leave this machine without TLS")
    group.add_argument("--tls", action="store_true", help="encrypt, trusting gRPC's own list of authorities")
    group.add_argument("--tls-ca", metavar="PEM", help="encrypt, trusting these authorities")
    group.add_argument("--tls-cert", metavar="PEM", help="own certificate, for mutual TLS")
    group.add_argument("--tls-key", metavar="PEM", help="its key")
    group.add_argument("--tls-server-name", metavar="NAME", help="name in the service's certificate")


def tls_of(args: argparse.Namespace) -> Tls | None:
    """How to encrypt; None: not. Raises UsageError for half of a pair."""
    for given, missing in (("cert", "key"), ("key", "cert")):
        if getattr(args, f"tls_{given}") and not getattr(args, f"tls_{missing}"):
            raise UsageError(f"--tls-{given} needs --tls-{missing}: give both or none.")
    wanted = args.tls or args.tls_ca or args.tls_cert or args.tls_server_name
    return Tls(args.tls_ca, args.tls_cert, args.tls_key, args.tls_server_name) if wanted else None


def token_of(args: argparse.Namespace) -> str | None:
    """The token of --token-file, else of SELFIE3D_TOKEN; no argument: every user of the machine could read it.

    Raises UsageError.
    """
    if not args.token_file:
        return from_environment().token
    try:
        with Path(args.token_file).open() as file:
            token = file.read(MOST_CHARACTERS + 1).strip()
    except OSError as error:
        raise UsageError(f"--token-file {args.token_file}: {error.strerror}.") from error
    except ValueError as error:  # of the text, or a path with a zero in it
        raise UsageError(f"--token-file {args.token_file} holds no text.") from error
    if len(token) > MOST_CHARACTERS:
        raise UsageError(f"--token-file {args.token_file} holds more than a token.")
    if not token:
        raise UsageError(f"--token-file {args.token_file} is empty.")
    return token


def may_leak(args: argparse.Namespace) -> bool:
    """Whether the token may travel without TLS."""
    return bool(args.insecure_token) or from_environment().insecure_token


def refusal(error: InvalidConnection, args: argparse.Namespace) -> UsageError:
    """The client's error in the words of the command."""
    if error.reason == TOKEN_IN_CLEAR:
        return UsageError(
            "the token would travel readable by anyone on the way: encrypt with --tls or --tls-ca FILE, or allow it "
            "with --insecure-token or SELFIE3D_INSECURE_TOKEN=on where something else protects it."
        )
    if error.reason == INVALID_TOKEN:
        return UsageError(f"{f'--token-file {args.token_file}' if args.token_file else 'SELFIE3D_TOKEN'}: {error}")
    return UsageError(str(error))
