"""`selfie3d doctor`: is this machine fit to run selfie3d, and what is to be done where it is not."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any

from selfie3d_cli import doctor_checks as checks
from selfie3d_cli.blob_check import check_blobs
from selfie3d_cli.finding import Finding, Severity
from selfie3d_cli.settings import from_environment
from selfie3d_cli.table import TextTable

STYLES = {Severity.OK: "", Severity.WARNING: "yellow", Severity.FAILURE: "red"}


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("doctor", help="check this machine and say what to do")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one finding a line; 1 when one is a failure."""
    findings = [finding for name, check in _checks().items() for finding in _safely(name, check)]
    if args.json:
        print(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        table(findings).show()
    return 1 if any(finding.level is Severity.FAILURE for finding in findings) else 0


def _checks() -> dict[str, Callable[[], Iterator[Finding]]]:
    """By the name of what they check."""
    settings = from_environment()
    return {
        "packages": lambda: checks.check_packages(settings.redis_url),
        "variables": checks.check_variables,
        "settings": checks.check_settings,
        "tls": checks.check_tls,
        "redis": lambda: checks.check_redis(settings.redis_url, settings.data),
        "blobs": lambda: check_blobs(settings.blobs),
        "port": lambda: checks.check_listen(settings.listen, tls=bool(settings.tls_certificate)),
        "engine": lambda: checks.check_engine(settings.engine, settings.device, settings.precision),
        "models": lambda: checks.check_model_process(settings.engine, settings.device, settings.model_process),
        "weights": lambda: checks.check_weights(settings),
        "memory": checks.check_memory,
        "disk": lambda: checks.check_disk(settings.data),
    }


def _safely(name: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """The findings of a check; a check that breaks is a finding too."""
    try:
        return list(check())
    except Exception as error:
        return [Finding(name, Severity.FAILURE, f"{type(error).__name__}: {error}", "Please report this as a bug.")]


def table(findings: list[Finding]) -> TextTable:
    """A line for each finding."""
    lines = TextTable("", "check", "finding", "what to do")
    for finding in findings:
        words = (finding.level, finding.check, finding.text, finding.remedy)
        lines.add(*(" ".join(word.split()) for word in words), style=STYLES[finding.level])
    return lines
