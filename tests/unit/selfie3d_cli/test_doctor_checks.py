"""What `selfie3d doctor` says of what it finds."""

import json
import re
import socket
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from selfie3d_cli import doctor_checks
from selfie3d_cli.doctor import table
from selfie3d_cli.doctor_checks import (
    EXTRAS,
    check_disk,
    check_engine,
    check_listen,
    check_memory,
    check_model_process,
    check_redis,
    check_weights,
    judge_redis,
)
from selfie3d_cli.finding import Finding, Severity
from selfie3d_cli.main import main
from selfie3d_cli.redis_log import AppendLog
from selfie3d_cli.settings import Settings

ROOT = Path(__file__).parents[3]
GOOD = {"redis_version": "7.4.1", "maxmemory_policy": "noeviction", "aof_enabled": 1, "maxmemory": 0}


def test_a_good_redis_is_one_line() -> None:
    assert list(judge_redis("here", GOOD)) == [Finding("redis", Severity.OK, "here: Redis 7.4.1")]


@pytest.mark.parametrize(
    ("change", "level", "text", "remedy"),
    [
        ({"redis_version": "5.0.14"}, Severity.FAILURE, "Redis 5.0.14", "6.2 or newer"),
        ({"maxmemory_policy": "allkeys-lru"}, Severity.FAILURE, "allkeys-lru", "noeviction"),
        ({"aof_enabled": 0}, Severity.WARNING, "append-only", "appendonly yes"),
        ({"maxmemory": 100, "used_memory": 95}, Severity.WARNING, "95%", "Raise maxmemory"),
    ],
)
def test_each_fault_of_a_redis_has_its_remedy(
    change: dict[str, object], level: Severity, text: str, remedy: str
) -> None:
    found = [finding for finding in judge_redis("here", GOOD | change) if finding.level is not Severity.OK]
    assert [finding.level for finding in found] == [level]
    assert text in found[0].text
    assert remedy in found[0].remedy


def test_a_redis_that_is_away_is_a_failure_without_its_password(tmp_path: Path) -> None:
    [finding] = check_redis("redis://me:s3cret@127.0.0.1:1/0", tmp_path)
    assert finding.level is Severity.FAILURE
    assert "s3cret" not in json.dumps(finding.as_json())
    assert "SELFIE3D_REDIS_URL" in finding.remedy


def test_the_embedded_redis_is_found(tmp_path: Path) -> None:
    [finding] = check_redis("", tmp_path)
    assert finding == Finding("redis", Severity.OK, f"embedded: valkey-server 9.1.2, data in {tmp_path}")


def test_data_that_the_embedded_redis_would_not_load_is_a_failure(tmp_path: Path) -> None:
    log = AppendLog(tmp_path / "redis")
    log.folder.mkdir(parents=True)
    (log.folder / "appendonly.aof.1.incr.aof").write_bytes(b"something")
    [finding] = check_redis("", tmp_path)
    assert finding.level is Severity.FAILURE
    assert "no manifest" in finding.remedy


def test_a_valkey_is_called_by_its_own_version() -> None:
    info = GOOD | {"redis_version": "7.2.4", "valkey_version": "9.1.2"}
    assert list(judge_redis("here", info)) == [Finding("redis", Severity.OK, "here: Valkey 9.1.2")]


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_package_of_an_extra_is_looked_for(extra: str) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][extra]
    assert set(EXTRAS[extra]) == {re.split(r"[^\w-]", requirement)[0] for requirement in declared}


def test_a_port_is_free_or_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        [finding] = check_listen(address)
        assert finding.level is Severity.FAILURE
        assert address in finding.text
    [finding] = check_listen(address)
    assert finding.level is Severity.OK
    assert list(check_listen("unix:/run/selfie3d.sock")) == []


@pytest.mark.parametrize("listen", ["here", "localhost:", "localhost:http"])
def test_a_listen_that_is_no_address_is_a_failure(listen: str) -> None:
    [finding] = check_listen(listen)
    assert finding.level is Severity.FAILURE
    assert "HOST:PORT" in finding.remedy


def test_a_data_folder_that_is_still_to_be_made_is_judged_by_its_parent(tmp_path: Path) -> None:
    [finding] = check_disk(tmp_path / "not" / "yet")
    assert str(tmp_path) in finding.text


def test_memory_is_told() -> None:
    [finding] = check_memory()
    assert "GiB available" in finding.text


def test_the_command_prints_json_and_fails_on_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SELFIE3D_DATA", str(tmp_path))
    monkeypatch.setenv("SELFIE3D_REDIS_URL", "redis://127.0.0.1:1/0")
    assert main(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert {"packages", "redis", "port", "memory", "disk"} <= {finding["check"] for finding in findings}
    assert all(set(finding) == {"check", "status", "finding", "remedy"} for finding in findings)


def test_a_check_that_breaks_is_a_failure_of_its_own_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down() -> None:
        raise ZeroDivisionError("no bytes")

    monkeypatch.setattr(doctor_checks, "check_memory", break_down)
    assert main(["doctor", "--json"]) == 1
    findings = [finding for finding in json.loads(capsys.readouterr().out) if finding["check"] == "memory"]
    assert [finding["finding"] for finding in findings] == ["ZeroDivisionError: no bytes"]


def test_weights_and_device_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    settings = Settings.of({"SELFIE3D_MODEL": "nowhere.safetensors", "SELFIE3D_DEVICE": "cuda:9"})
    findings = {finding.text.partition(":")[0]: finding.level for finding in check_weights(settings)}
    assert findings == {"nowhere.safetensors": Severity.FAILURE, "bundled": Severity.OK}
    [engine] = check_engine(settings.engine, settings.device)
    assert engine.level is Severity.FAILURE
    assert "SELFIE3D_DEVICE=cuda:9" in engine.text


@pytest.mark.parametrize(
    ("wanted", "device", "level", "text"),
    [
        ("auto", "cpu", Severity.OK, f"onnx on the CPU, int8, onnxruntime {version('onnxruntime')}"),
        ("torch", "cpu", Severity.OK, f"torch on the CPU, single, torch {version('torch')}"),
        (
            "onnx",
            "cuda",
            Severity.FAILURE,
            "the engine onnx runs on the CPU, not on cuda: use the engine torch or auto",
        ),
    ],
)
def test_doctor_says_what_runs_the_networks(wanted: str, device: str, level: Severity, text: str) -> None:
    [finding] = check_engine(wanted, device)
    assert (finding.level, finding.text) == (level, text)


@pytest.mark.parametrize(
    ("device", "wanted", "text"),
    [
        ("cpu", "auto", "run in each worker child by itself (SELFIE3D_MODEL_PROCESS=auto)"),
        ("cpu", "on", "run in one model process for all children of a worker, in batches (SELFIE3D_MODEL_PROCESS=on)"),
        (
            "cuda",
            "auto",
            "run in one model process for all children of a worker, in batches (SELFIE3D_MODEL_PROCESS=auto)",
        ),
        ("cuda", "off", "run in each worker child by itself (SELFIE3D_MODEL_PROCESS=off)"),
    ],
)
def test_doctor_says_which_process_runs_the_networks(device: str, wanted: str, text: str) -> None:
    assert [finding.text for finding in check_model_process("auto", device, wanted)] == [text]


def test_doctor_names_the_extra_of_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    [finding] = check_engine("torch", "cpu")
    remedy = "Run `pip install '.[worker-torch]'`."
    assert finding == Finding("engine", Severity.FAILURE, "torch is not installed", remedy)


def test_the_table_holds_every_word_of_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    table([Finding("redis", Severity.FAILURE, "no [bold]redis-server\nhere", "Install it.")]).show()
    assert capsys.readouterr().out.splitlines()[1] == "failure  redis  no [bold]redis-server here  Install it."
