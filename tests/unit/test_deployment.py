"""docker-compose.yml and the Dockerfiles name only commands, variables, ports and paths that exist."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from selfie3d.variables import KNOWN
from selfie3d_cli.main import make_parser
from selfie3d_cli.settings import COMMAND_SETTINGS
from selfie3d_cli.settings_page import page
from selfie3d_jobs import ConfigError
from selfie3d_jobs.env import from_environment, settings_of
from selfie3d_service.config import ServiceConfig
from selfie3d_web import WebConfig
from selfie3d_worker.config import WorkerConfig

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONFIGS = {"service": ServiceConfig, "web": WebConfig, "worker": WorkerConfig}
INSTALLED = re.compile(r"pip install --no-cache-dir ['\"]\.\[([\w$,-]+)\]['\"]")
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


def dockerfile(name: str) -> str:
    return (ROOT / OURS[name]["build"]["dockerfile"]).read_text()


def command_of(name: str, instruction: str) -> list[str]:
    """The exec form of CMD, or of HEALTHCHECK's CMD."""
    pattern = r"^CMD (\[.*\])" if instruction == "CMD" else r"^HEALTHCHECK .*CMD (\[.*\])"
    found = re.search(pattern, dockerfile(name), re.MULTILINE)
    assert found, f"{name} has no {instruction}"
    command: list[str] = json.loads(found[1])
    return command


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("instruction", ["CMD", "HEALTHCHECK"])
def test_every_command_is_one_of_ours(name: str, instruction: str) -> None:
    program, *arguments = command_of(name, instruction)
    assert program in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    make_parser().parse_args(arguments)  # exits when the command or an option is unknown


def test_images_ask_what_a_restart_can_cure_and_compose_whether_the_work_is_done() -> None:
    asked = {name: make_parser().parse_args(command_of(name, "HEALTHCHECK")[1:]).question for name in OURS}
    assert asked == {"service": "live", "web": "live", "worker": "ready", "worker-gpu": "ready"}
    for name in ("service", "web"):
        kind, program, *arguments = OURS[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "selfie3d")
        args = make_parser().parse_args(arguments)
        assert (args.question, args.web) == ("ready", name == "web")


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_read_and_its_value_is_good(name: str) -> None:
    config = CONFIGS[name.partition("-")[0]]
    known = {setting.variable for setting in settings_of(config)}
    environment = OURS[name]["environment"]
    assert set(environment) <= known
    from_environment(config, environment)


@pytest.mark.parametrize("name", OURS)
def test_every_copied_path_exists_and_no_container_runs_as_root(name: str) -> None:
    text = dockerfile(name)
    for sources in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    assert users == ["selfie3d"]
    assert text.index("USER selfie3d") < text.index("\nCMD")


@pytest.mark.parametrize("name", OURS)
def test_every_installed_extra_is_declared(name: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    arguments = OURS[name]["build"].get("args", {})
    chosen = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile(name), re.MULTILINE)) | arguments
    wanted = [re.sub(r"\$(\w+)", lambda word: chosen[word[1]], each) for each in INSTALLED.findall(dockerfile(name))]
    assert wanted == [{"service": "service", "web": "web", "worker": "worker", "worker-gpu": "worker-torch"}[name]]
    assert set(wanted) <= set(extras)
    assert set(arguments) <= set(chosen)


def test_no_hint_names_a_package_of_an_index_that_is_not_ours() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    texts = [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")]
    texts += [path for home in ("cli", "client", "service", "worker") for path in (ROOT / home).rglob("*.py")]
    hints = 0
    for path in texts:
        text = path.read_text()
        assert not re.search(r"""selfie3d\[|pip install ['"]?selfie3d""", text), path
        for wanted in re.findall(r"""pip install ['"]\.\[([\w,-]+)\]""", text):
            hints += 1
            assert set(wanted.split(",")) <= set(extras), path
    assert hints >= 8


@pytest.mark.parametrize(("name", "variable"), [("service", "SELFIE3D_LISTEN"), ("web", "SELFIE3D_WEB_LISTEN")])
def test_the_published_port_is_the_one_that_is_listened_on(name: str, variable: str) -> None:
    service = OURS[name]
    host, _, inside = service["ports"][0].rpartition(":")
    assert service["environment"][variable].endswith(f":{inside}")
    assert f"EXPOSE {inside}" in dockerfile(name)
    assert host.startswith("127.0.0.1:"), "without TLS the port is published on loopback only"


def test_redis_keeps_what_it_accepts() -> None:
    command = " ".join(COMPOSE["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_workers_come_in_a_cpu_and_a_gpu_profile() -> None:
    assert OURS["worker"]["profiles"] == ["cpu"]
    assert OURS["worker-gpu"]["profiles"] == ["gpu"]
    device = OURS["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"][0]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_a_stopped_container_has_time_to_drain() -> None:
    limits = {
        "service": ServiceConfig().drain_seconds,
        "web": WebConfig().drain_seconds,
        "worker": WorkerConfig().jobs.time_limit_seconds,
    }
    for name in OURS:
        grace = OURS[name]["stop_grace_period"]
        seconds = int(grace[:-1]) * {"s": 1, "m": 60}[grace[-1]]
        assert seconds > limits[name.partition("-")[0]]


def test_the_settings_page_is_made_of_the_settings() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == page(), "python -m selfie3d_cli.settings_page makes it"


def test_every_variable_is_known_by_name_and_no_other() -> None:
    read = {name for config in CONFIGS.values() for setting in settings_of(config) for name in setting.variables}
    assert {name for name in read | set(COMMAND_SETTINGS) if name.startswith("SELFIE3D_")} == KNOWN


def test_every_number_has_bounds_and_its_default_lies_within() -> None:
    for config in CONFIGS.values():
        for setting in settings_of(config):
            if type(setting.default) in (int, float):
                assert setting.domain.within, setting.variable
                assert {type(bound) for bound in setting.domain.within} == {type(setting.default)}
            if setting.default is not None:
                assert setting.domain.fault_of(setting.default) is None, setting.variable


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-1", "1e300", "9" * 30, "9" * 5000, " ", "0x10", "1_0", "1,5"])
def test_no_number_takes_what_is_none_or_out_of_its_bounds(text: str) -> None:
    for config in CONFIGS.values():
        for setting in settings_of(config):
            if not setting.domain.within:
                continue
            with pytest.raises(ConfigError) as error:
                from_environment(config, {setting.variable: text})
            least, most = (f"{bound:g}" if bound < 1 else str(int(bound)) for bound in setting.domain.within)
            kind = "a whole number" if isinstance(setting.default, int) else "a number"
            assert str(error.value) == f"{setting.variable}={text!r}: {kind} from {least} to {most} is wanted."


def test_no_listening_or_server_address_takes_a_port_that_there_is_not() -> None:
    found = 0
    for config in CONFIGS.values():
        for setting in settings_of(config):
            if setting.domain.address or setting.domain.target:
                found += 1
                with pytest.raises(ConfigError) as error:
                    from_environment(config, {setting.variable: "127.0.0.1:99999"})
                assert str(error.value) == f"{setting.variable}='127.0.0.1:99999': a port is at most 65535."
    assert found == 4
