"""Alerts and board: every metric is one that our processes show, and each alert fires when it should and not before."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from selfie3d import Client
from selfie3d.variables import KNOWN
from selfie3d_jobs import Reason
from tests.deploy.chart import CHART, NAMESPACE, ROOT, of_kind, tool
from tests.stack import BOUND, Stack, eventually, free_port
from tests.tiny import make_photo

JOB = "faces-selfie3d-service"
SELECTOR = re.compile(r"\b(selfie3d_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)(?:=~|!~|!=|=)\"")
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")
ADDED = {"namespace", "job", "pod", "instance"}  # by Prometheus and its operator
UNSEEN = {  # while all goes well
    "selfie3d_redeliveries",
    "selfie3d_webhooks",
    "selfie3d_background_failures",
    "selfie3d_blob_failures",
}


def rules() -> list[dict[str, Any]]:
    [group] = of_kind("keda", "PrometheusRule")[""]["spec"]["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(of_kind("keda", "ConfigMap")["dashboard"]["data"]["selfie3d.json"])
    return found


def expressions() -> list[str]:
    panels = [target["expr"] for panel in board()["panels"] for target in panel["targets"]]
    return [rule["expr"] for rule in rules()] + panels


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """Names of samples that a real service shows after a job, with their labels."""
    folder, port = tmp_path_factory.mktemp("shown"), free_port()
    (folder / "blobs").mkdir()
    env: dict[str, Any] = {"SELFIE3D_METRICS_LISTEN": f"127.0.0.1:{port}", "SELFIE3D_BLOBS": f"file://{folder}/blobs"}
    with Stack(folder, worker_module="tests.tiny", **env) as stack, Client(stack.addresses[0], timeout=BOUND) as client:
        client.reconstruct(make_photo())

        def families() -> str | None:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                text: str = answer.read().decode()
            return text if 'state="SUCCEEDED"' in text else None

        yield names_in(eventually(families, "the job's end is counted"))


def names_in(text: str) -> dict[str, set[str]]:
    """Every name that can be asked for; a family without samples yet has the labels {"?"}."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        for end in ends:
            samples = [sample for sample in family.samples if sample.name == family.name + end]
            found[family.name + end] = set().union(*(sample.labels for sample in samples)) if samples else {"?"}
    return found


def test_every_metric_and_label_is_one_that_a_real_service_shows(shown: dict[str, set[str]]) -> None:
    assert {name for name in shown if shown[name] == {"?"}} == {f"{name}_total" for name in UNSEEN}
    for expression in expressions():
        labels: set[str] = set()
        for name, matchers in SELECTOR.findall(expression):
            assert name in shown, expression
            assert shown[name] == {"?"} or set(MATCHER.findall(matchers)) - ADDED <= shown[name], expression
            labels |= shown[name]
        grouped = {label for text in GROUPING.findall(expression) for label in re.split(r",\s*", text)}
        assert grouped <= labels | ADDED or "?" in labels, expression


def test_every_metric_is_on_the_board(shown: dict[str, set[str]]) -> None:
    asked = {name for expression in expressions() for name, _ in SELECTOR.findall(expression)}
    ours = {name for name in shown if not name.endswith("_created")}  # by the library
    parts = re.compile(r"_(bucket|sum|count)$")
    assert {parts.sub("", name) for name in ours} == {parts.sub("", name) for name in asked}


def test_the_board_s_panels_lie_beside_each_other_and_ask_the_chosen_deployment_alone() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board()["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel["targets"]:
            for _, matchers in SELECTOR.findall(target["expr"]):
                assert matchers.startswith('namespace="$namespace",job="$job"'), target["expr"]
    assert [variable["name"] for variable in board()["templating"]["list"]] == ["datasource", "namespace", "job"]


def write_rules(folder: Path) -> Path:
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "selfie3d", "interval": "1m", "rules": rules()}]}))
    return path


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [tool("promtool", "prometheus"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_promtool_reads_every_expression(tmp_path: Path) -> None:
    answer = promtool("check", "rules", "--lint-fatal", write_rules(tmp_path))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    queries = [{"alert": f"Panel{n}", "expr": expression} for n, expression in enumerate(expressions())]
    text = yaml.safe_dump({"groups": [{"name": "board", "rules": queries}]}).replace("$__rate_interval", "5m")
    (tmp_path / "board.yaml").write_text(text)
    answer = promtool("check", "rules", tmp_path / "board.yaml")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    """For promtool: samples a minute apart."""
    every = {"namespace": NAMESPACE, "job": JOB, "pod": "a", **labels}
    inner = ",".join(f'{label}="{value}"' for label, value in every.items())
    return {"series": f"{name}{{{inner}}}", "values": values}


STEADY, HOUR = "x120", "0x120"


def well() -> list[dict[str, str]]:
    """A deployment of two services without trouble, two hours long."""
    found = [series("selfie3d_store_up", f"1{STEADY}", pod=pod) for pod in "ab"]
    found += [series("selfie3d_blobs_up", f"1{STEADY}", pod=pod) for pod in "ab"]
    found += [series("selfie3d_blobs_garbage", f"5{STEADY}")]
    found += [series("selfie3d_queue_depth", f"3{STEADY}", queue=queue) for queue in ("interactive", "bulk")]
    found += [series("selfie3d_queue_paused", HOUR, queue=queue) for queue in ("interactive", "bulk")]
    found += [series("selfie3d_workers", HOUR, state="failed")]
    found += [series("selfie3d_workers_alive", f"2{STEADY}", verified="true")]
    found += [series("selfie3d_queue_seconds_bucket", "0+60x120", le=le) for le in ("0.1", "60", "300", "+Inf")]
    found += [series("selfie3d_jobs_ended_total", HOUR, state=state, reason=reason) for state, reason in ENDS]
    found += [series("selfie3d_calls_total", HOUR, method="CreateJob", reason=reason) for reason in REASONS]
    found += [series("selfie3d_calls_total", "0+600x120", method="CreateJob", reason="OK")]
    found += [series("selfie3d_redeliveries_total", HOUR, cause="lost")]
    found += [series("selfie3d_stored_bytes", f"1000000000{STEADY}")]
    found += [series("selfie3d_webhook_oldest_seconds", f"10{STEADY}")]
    return [*found, series("selfie3d_background_failures_total", HOUR, task="reaper")]


ENDS = [("EXPIRED", "DEADLINE_PASSED"), ("FAILED", "POISON_INPUT")]
REASONS = ["QUEUE_FULL", "INTERNAL"]
TROUBLES: dict[str, list[dict[str, str]]] = {  # what else there is when an alert fires; it replaces what is well
    "Selfie3dServiceGone": [],
    "Selfie3dStoreAway": [series("selfie3d_store_up", HOUR, pod="b")],
    "Selfie3dBucketAway": [series("selfie3d_blobs_up", HOUR, pod="b")],
    "Selfie3dBucketKeepsGarbage": [series("selfie3d_blobs_garbage", f"20000{STEADY}")],
    "Selfie3dNoWorker": [series("selfie3d_workers_alive", HOUR, verified="true")],
    "Selfie3dWorkerFailed": [series("selfie3d_workers", f"1{STEADY}", state="failed")],
    "Selfie3dJobsWaitLong": [series("selfie3d_queue_seconds_bucket", "0+10x120", le=le) for le in ("0.1", "60")],
    "Selfie3dQueueNearlyFull": [series("selfie3d_queue_depth", f"900{STEADY}", queue="bulk")],
    "Selfie3dQueuePaused": [series("selfie3d_queue_paused", f"1{STEADY}", queue="bulk")],
    "Selfie3dJobsExpire": [series("selfie3d_jobs_ended_total", "0+1x120", state="EXPIRED", reason="DEADLINE_PASSED")],
    "Selfie3dCallsRefused": [series("selfie3d_calls_total", "0+6x120", method="CreateJob", reason="QUEUE_FULL")],
    "Selfie3dInternalErrors": [series("selfie3d_calls_total", "0+6x120", method="CreateJob", reason="INTERNAL")],
    "Selfie3dPoisonPhoto": [series("selfie3d_jobs_ended_total", "0+1x120", state="FAILED", reason="POISON_INPUT")],
    "Selfie3dWorkersLost": [series("selfie3d_redeliveries_total", "0+1x120", cause="lost")],
    "Selfie3dStorageNearlyFull": [series("selfie3d_stored_bytes", f"2000000000{STEADY}")],
    "Selfie3dWebhooksLate": [series("selfie3d_webhook_oldest_seconds", f"4000{STEADY}")],
    "Selfie3dBackgroundFails": [series("selfie3d_background_failures_total", "0+1x120", task="reaper")],
}


def scenario(name: str | None) -> dict[str, Any]:
    """One deployment, in which that alert fires and no other, or none does."""
    changed = TROUBLES.get(name or "", [])
    there = {each["series"] for each in changed}
    rest = [] if name == "Selfie3dServiceGone" else [each for each in well() if each["series"] not in there]
    firing = [{"labels": f'{{alertname="{name}"}}', "value": 1}] if name else []
    question = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "interval": "1m",
        "input_series": rest + changed,
        "promql_expr_test": [{"expr": question, "eval_time": "2h", "exp_samples": firing}],
    }


def test_each_alert_fires_in_its_trouble_alone_and_none_when_all_is_well(tmp_path: Path) -> None:
    assert [rule["alert"] for rule in rules()] == list(TROUBLES)
    tests = [scenario(name) for name in (None, *TROUBLES)]
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(write_rules(tmp_path))], "tests": tests}))
    answer = promtool("test", "rules", path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    path.write_text(
        yaml.safe_dump({"rule_files": [str(write_rules(tmp_path))], "tests": [scenario(None) | {"input_series": []}]})
    )
    assert promtool("test", "rules", path).returncode != 0, "promtool would notice"


def test_no_worker_while_a_paused_queue_waits_is_no_trouble(tmp_path: Path) -> None:
    quiet = scenario(None)
    paused = [
        series("selfie3d_workers_alive", HOUR, verified="true"),
        series("selfie3d_queue_paused", "0x100 1x20", queue="interactive"),
        series("selfie3d_queue_paused", "0x100 1x20", queue="bulk"),
    ]
    there = {each["series"] for each in paused}
    quiet["input_series"] = [each for each in quiet["input_series"] if each["series"] not in there] + paused
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": [str(write_rules(tmp_path))], "tests": [quiet]}))
    answer = promtool("test", "rules", tmp_path / "test.yaml")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_reason_and_setting_that_an_alert_names_exists() -> None:
    text = (CHART / "files" / "alerts.yaml").read_text()
    assert set(re.findall(r"SELFIE3D_[A-Z_]+", text)) <= KNOWN
    for names in re.findall(r'reason=~?"([A-Z_|]+)"', text):
        assert set(names.split("|")) <= set(Reason.__members__)
    assert all((ROOT / path).exists() for path in re.findall(r"docs/\w+\.md", text))
