"""The chart as helm renders it: with the values of deploy/chart/ci, and with others."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "chart"
RELEASE, NAMESPACE = "faces", "selfie3d"
CASES = sorted(path.stem for path in (CHART / "ci").glob("*.yaml"))  # values to render with
Thing = dict[str, Any]  # one Kubernetes object


def tool(name: str, folder: str) -> Path:
    """What tests/tools/NAME puts into a folder of .venv."""
    where = ROOT / ".venv" / folder
    if not (where / name).exists():
        subprocess.run([ROOT / "tests" / "tools" / name, where], check=True)
    return where / name


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The finished command, whatever its code."""
    command = [str(tool("helm", "helm")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def template(case: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`helm template` with the values of a case, and options behind them."""
    return helm("template", RELEASE, str(CHART), "-n", NAMESPACE, "-f", str(CHART / "ci" / f"{case}.yaml"), *options)


@functools.cache
def rendered(case: str) -> tuple[Thing, ...]:
    """All objects of a case."""
    answer = template(case)
    assert answer.returncode == 0, answer.stderr
    return tuple(thing for thing in yaml.safe_load_all(answer.stdout) if thing)


def of_kind(case: str, kind: str) -> dict[str, Thing]:
    """The objects of a kind by what follows the release's name in theirs."""
    start = f"{RELEASE}-selfie3d"
    found = [thing for thing in rendered(case) if thing["kind"] == kind]
    return {thing["metadata"]["name"].removeprefix(start).lstrip("-"): thing for thing in found}


def pods(case: str) -> dict[str, Thing]:
    """The pods' specifications by component."""
    return {name: thing["spec"]["template"]["spec"] for name, thing in of_kind(case, "Deployment").items()}


def container(case: str, component: str) -> Thing:
    """The one container of a component's pods."""
    [only] = pods(case)[component]["containers"]
    found: Thing = only
    return found


def environment(case: str, component: str) -> dict[str, str]:
    """Its variables."""
    return {variable["name"]: variable["value"] for variable in container(case, component)["env"]}
