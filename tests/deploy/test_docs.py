"""The commands of docs/operations.md about Kubernetes, run as far as they go without a cluster."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from selfie3d_cli.main import make_parser
from tests.deploy.chart import ROOT, tool

TEXT = (ROOT / "docs" / "operations.md").read_text()
SECTION = TEXT[TEXT.index("\n## Kubernetes\n") : TEXT.index("\n## Speed\n")]
COMMANDS = [shlex.split(line) for line in re.findall(r"^    ((?:helm|kubectl|selfie3d) .+)$", SECTION, re.MULTILINE)]
INSTALLS = [command for command in COMMANDS if command[0] == "helm"]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The Secrets that the commands make, with their keys."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("redis-url.txt", "tokens.toml", "chain.pem", "key.pem", "ca.pem"):
        (folder / name).write_text("x")
    things = [made(command, folder) for command in COMMANDS if command[0] == "kubectl"]
    return {thing["metadata"]["name"]: set(thing["data"]) for thing in things if thing["kind"] == "Secret"}


def made(command: list[str], folder: Path) -> dict[str, Any]:
    """What kubectl would send to a cluster."""
    tool("helm", "helm")
    kubectl: list[str | Path] = [ROOT / ".venv" / "helm" / "kubectl", *command[1:], "--dry-run=client", "-o", "yaml"]
    answer = subprocess.run(kubectl, capture_output=True, text=True, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    thing: dict[str, Any] = yaml.safe_load(answer.stdout)
    return thing


def test_there_are_commands_of_every_kind() -> None:
    assert {command[0] for command in COMMANDS} == {"helm", "kubectl", "selfie3d"}
    assert len(INSTALLS) == 4
    for command in COMMANDS:
        if command[0] == "selfie3d":
            make_parser().parse_args(command[1:])


@pytest.mark.parametrize("command", INSTALLS, ids=range(len(INSTALLS)))
def test_every_install_renders_and_mounts_only_secrets_that_the_commands_make(
    command: list[str], secrets: dict[str, set[str]]
) -> None:
    assert command[:3] == ["helm", "upgrade", "--install"]
    arguments: list[str | Path] = [tool("helm", "helm"), "template", *command[3:]]
    answer = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    volumes = [
        volume["secret"]
        for thing in yaml.safe_load_all(answer.stdout)
        if thing and thing["kind"] == "Deployment"
        for volume in thing["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    assert volumes
    for volume in volumes:
        keys = {item["key"] for item in volume.get("items", [])} or {"tls.crt", "tls.key", "ca.crt"}
        assert keys <= secrets[volume["secretName"]]


def test_the_names_that_the_page_calls_are_those_that_are_rendered() -> None:
    answer = subprocess.run(
        [tool("helm", "helm"), "template", *INSTALLS[0][3:]], capture_output=True, text=True, cwd=ROOT, check=True
    )
    [address] = set(re.findall(r"dns:///[\w.:-]+", SECTION))
    assert f'value: "{address}"' in answer.stdout
    assert address.removeprefix("dns:///").partition(":")[0] in re.findall(r"`([\w.-]+)`, which page and KEDA", SECTION)
