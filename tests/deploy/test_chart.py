"""The chart: rendered by a real helm, checked against Kubernetes' own schemas, and against what our processes read."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from selfie3d.address import hosts_of
from selfie3d_cli.main import make_parser
from selfie3d_jobs.broker import HARD_LIMIT_SECONDS
from selfie3d_jobs.env import from_environment, settings_of
from selfie3d_service.config import ServiceConfig
from selfie3d_service.maintenance import ACCEPTING, LIVE
from selfie3d_service.scaler.servicer import SHARE
from selfie3d_web import WebConfig
from selfie3d_worker.config import WorkerConfig
from tests.deploy.chart import (
    CASES,
    CHART,
    NAMESPACE,
    RELEASE,
    container,
    environment,
    helm,
    of_kind,
    pods,
    rendered,
    template,
)

VERSIONS = ("1.30", "1.35")  # of Kubernetes: the oldest that Chart.yaml allows, and one of this year
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "schemas").glob("*.json")}
CONFIGS: dict[str, type[Any]] = {"service": ServiceConfig, "web": WebConfig, "worker": WorkerConfig}
PODS = [(case, component) for case in CASES for component in pods(case)]
HEADLESS = f"{RELEASE}-selfie3d-service-headless.{NAMESPACE}.svc:50051"


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_complain_about(case: str) -> None:
    answer = helm("lint", "--strict", str(CHART), "-f", str(CHART / "ci" / f"{case}.yaml"))
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_one_that_kubernetes_knows_with_no_field_that_it_does_not(case: str, version: str) -> None:
    own = [thing for thing in rendered(case) if thing["kind"] not in SCHEMAS]
    assert {thing["kind"] for thing in own} >= {"Deployment", "Service", "PodDisruptionBudget"}
    for thing in own:
        kubernetes_validate.validate(thing, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_would_be_noticed() -> None:
    thing = copy.deepcopy(of_kind("least", "Deployment")["service"])
    thing["spec"]["template"]["spec"]["terminationGracePeriod"] = 5
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(thing, VERSIONS[0], strict=True)


@pytest.mark.parametrize("case", CASES)
def test_every_object_of_others_is_one_by_its_own_schema(case: str) -> None:
    for thing in rendered(case):
        if thing["kind"] in SCHEMAS:
            Draft202012Validator(SCHEMAS[thing["kind"]]).validate(thing)


def test_the_cases_have_every_kind_there_is_and_the_schemas_refuse_what_is_none() -> None:
    kinds = {thing["kind"] for case in CASES for thing in rendered(case)}
    assert kinds >= {"Ingress", "NetworkPolicy", "ConfigMap", *SCHEMAS}
    for kind, schema in SCHEMAS.items():
        [thing, *_] = (thing for case in CASES for thing in rendered(case) if thing["kind"] == kind)
        for wrong in ({**thing, "spek": {}}, {**thing, "spec": {**thing["spec"], "x": 1}}, {**thing, "spec": {}}):
            assert not Draft202012Validator(schema).is_valid(wrong), kind


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_named_labelled_and_there_once(case: str) -> None:
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in rendered(case)]
    assert len(names) == len(set(names))
    for thing in rendered(case):
        labels = thing["metadata"]["labels"]
        assert (labels["app.kubernetes.io/instance"], labels["app.kubernetes.io/part-of"]) == (RELEASE, "selfie3d")


@pytest.mark.parametrize(("case", "component"), PODS)
def test_no_pod_can_do_more_than_it_must(case: str, component: str) -> None:
    pod, inner = pods(case)[component], container(case, component)
    outer = pod["securityContext"]
    assert (outer["runAsNonRoot"], outer["runAsUser"], outer["runAsGroup"], outer["fsGroup"]) == (True, *[10001] * 3)
    assert outer["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    assert inner["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "hostNetwork" not in pod
    assert pod["shareProcessNamespace"] is True
    assert pod.get("serviceAccountName") == ("selfie3d" if case == "tls" and component != "web" else None)
    assert inner["resources"]["limits"]["memory"]
    assert inner["resources"]["requests"].keys() == {"cpu", "memory"}
    for volume in pod["volumes"]:
        assert volume.keys() - {"name"} in ({"secret"}, {"emptyDir"})
        assert volume.get("secret", {"defaultMode": 0o440})["defaultMode"] == 0o440
    mounts = {mount["name"]: mount for mount in inner["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    assert all(mount.get("readOnly") or name == "tmp" for name, mount in mounts.items())


@pytest.mark.parametrize(("case", "component"), PODS)
def test_every_variable_is_read_and_its_value_is_good(case: str, component: str, tmp_path: Path) -> None:
    config, given = CONFIGS[component.partition("-")[0]], environment(case, component)
    known = {setting.variable for setting in settings_of(config)} | {"SELFIE3D_REDIS_URL_FILE"}
    assert given.keys() <= known
    (tmp_path / "url").write_text("redis://redis/0")
    from_environment(config, {**given, "SELFIE3D_REDIS_URL_FILE": str(tmp_path / "url")})


@pytest.mark.parametrize(("case", "component"), PODS)
def test_secrets_come_as_files_alone(case: str, component: str) -> None:
    inner = container(case, component)
    assert ("envFrom" in inner) == (case == "tls" and component != "web")  # of a bucket, where it is asked for
    assert all(variable.keys() == {"name", "value"} for variable in inner["env"])
    folders = {mount["mountPath"] for mount in inner["volumeMounts"]}
    files = [value for value in environment(case, component).values() if value.startswith("/run/")]
    assert files or component == "web"
    assert all(str(Path(file).parent) in folders for file in files)


@pytest.mark.parametrize(("case", "component"), PODS)
def test_every_command_is_one_of_ours(case: str, component: str) -> None:
    inner = container(case, component)
    commands = [inner["args"]]
    commands += [inner[probe]["exec"]["command"] for probe in probes(inner) if "exec" in inner[probe]]
    for program, *arguments in commands:
        assert program == "selfie3d"
        make_parser().parse_args(arguments)


def probes(inner: dict[str, Any]) -> list[str]:
    return [key for key in inner if key.endswith("Probe")]


def test_kubernetes_asks_the_service_by_grpc_and_over_tls_by_the_command() -> None:
    plain = container("least", "service")
    asked = {probe: plain[probe]["grpc"]["service"] for probe in probes(plain)}
    assert asked == {"startupProbe": LIVE, "livenessProbe": LIVE, "readinessProbe": ACCEPTING}
    for case, question in (("tls", "accepting"), ("mutual", "live")):
        inner = container(case, "service")
        assert inner["readinessProbe"]["exec"]["command"] == ["selfie3d", "health", question]


@pytest.mark.parametrize(("case", "component"), PODS)
def test_no_probe_waits_for_a_worker_but_a_worker_s_own(case: str, component: str) -> None:
    """KEDA starts the first worker when a job is accepted, which a service that is not ready does not."""
    inner = container(case, component)
    if component.startswith("worker"):
        assert "readinessProbe" not in inner  # nobody calls it
        return
    for probe in probes(inner):
        assert "ready" not in inner[probe].get("exec", {}).get("command", [])
        assert inner[probe].get("httpGet", {}).get("path") in (None, "/healthz")
        assert inner[probe].get("grpc", {}).get("service") in (None, LIVE, ACCEPTING)


@pytest.mark.parametrize(("case", "component"), PODS)
def test_a_stopped_pod_has_time_for_what_it_does(case: str, component: str) -> None:
    grace = pods(case)[component]["terminationGracePeriodSeconds"]
    given = {name: value for name, value in environment(case, component).items() if not name.endswith("_FILE")}
    config = from_environment(CONFIGS[component.partition("-")[0]], given)
    if component.startswith("worker"):
        assert grace == 180
        assert grace > config.jobs.time_limit_seconds + HARD_LIMIT_SECONDS
    else:
        pause = container(case, component)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert grace > pause + config.drain_seconds + 5


def matches(selector: dict[str, Any], thing: dict[str, Any]) -> bool:
    labels = thing["spec"]["template"]["metadata"]["labels"]
    return selector.items() <= labels.items()


@pytest.mark.parametrize("case", CASES)
def test_every_selector_finds_one_deployment_and_its_own(case: str) -> None:
    deployments = of_kind(case, "Deployment")
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment"):
        for name, thing in of_kind(case, kind).items():
            selector = thing["spec"].get("podSelector") or thing["spec"]["selector"]
            found = [key for key, other in deployments.items() if matches(selector.get("matchLabels", selector), other)]
            assert found == [name.removesuffix("-headless")], (kind, name)
    for name, thing in deployments.items():
        spread = thing["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert {constraint["topologyKey"] for constraint in spread} == {
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        }
        assert all(matches(constraint["labelSelector"]["matchLabels"], thing) for constraint in spread), name
    assert of_kind(case, "PodDisruptionBudget").keys() == deployments.keys()


@pytest.mark.parametrize("case", CASES)
def test_every_named_port_is_one_of_the_container(case: str) -> None:
    for name, thing in of_kind(case, "Service").items():
        ports = {port["name"] for port in container(case, name.removesuffix("-headless"))["ports"]}
        assert {port["targetPort"] for port in thing["spec"]["ports"]} <= ports
    for monitor in of_kind(case, "ServiceMonitor").values():
        service = of_kind(case, "Service")["service"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert {port["name"] for port in service["spec"]["ports"]} >= {e["port"] for e in monitor["spec"]["endpoints"]}


def test_a_worker_is_called_by_nobody_and_reaches_redis_and_names_alone() -> None:
    policies = of_kind("keda", "NetworkPolicy")
    assert policies.keys() == pods("keda").keys()
    for component in ("worker-cpu", "worker-gpu"):
        spec = policies[component]["spec"]
        assert (spec["policyTypes"], spec["ingress"]) == (["Ingress", "Egress"], [])
        assert [[port["port"] for port in rule["ports"]] for rule in spec["egress"]] == [[53, 53], [6379]]
    spec = of_kind("tls", "NetworkPolicy")["worker-cpu"]["spec"]
    assert spec["egress"][1] == {
        "ports": [{"port": 6380, "protocol": "TCP"}],
        "to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}],
    }
    assert [[port["port"] for port in rule["ports"]] for rule in spec["egress"]] == [[53, 53], [6380], [4317]]


def test_the_service_lets_in_its_callers_the_page_and_keda_and_webhooks_go_to_the_internet_alone() -> None:
    calls, metrics = of_kind("keda", "NetworkPolicy")["service"]["spec"]["ingress"]
    assert (calls["ports"], metrics["ports"]) == ([{"port": "grpc"}], [{"port": "metrics"}])
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}} in calls["from"]
    assert len(calls["from"]) == 3
    least = of_kind("least", "NetworkPolicy")["service"]["spec"]
    assert len(least["ingress"][0]["from"]) == 2
    [webhooks] = [rule for rule in least["egress"] if rule["ports"][0]["port"] == 443]
    assert "10.0.0.0/8" in webhooks["to"][0]["ipBlock"]["except"]
    closed = of_kind("tls", "NetworkPolicy")["service"]["spec"]["egress"]
    assert 443 not in [port["port"] for rule in closed for port in rule["ports"]]
    assert not of_kind("mutual", "NetworkPolicy")


def test_clients_and_the_page_and_keda_use_the_name_that_has_all_addresses() -> None:
    headless = of_kind("least", "Service")["service-headless"]
    assert headless["spec"]["clusterIP"] == "None"
    target = environment("least", "web")["SELFIE3D_SERVER"]
    assert target == f"dns:///{HEADLESS}"
    assert hosts_of(target) == [HEADLESS.partition(":")[0]]
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    assert 'Client("dns:///{{ include "selfie3d.headless" . }}")' in notes


def test_keda_scales_each_pool_by_the_service_s_own_answers() -> None:
    objects = of_kind("keda", "ScaledObject")
    assert objects.keys() == {"worker-cpu", "worker-gpu"}
    for name, thing in objects.items():
        [trigger] = thing["spec"]["triggers"]
        assert trigger["type"] == "external-push"
        assert trigger["metadata"].keys() == {"scalerAddress", SHARE}
        assert trigger["metadata"]["scalerAddress"] == HEADLESS
        deployment = of_kind("keda", "Deployment")[name]
        assert thing["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert "replicas" not in deployment["spec"]  # else each upgrade would set it back
    assert [objects[name]["spec"]["minReplicaCount"] for name in ("worker-cpu", "worker-gpu")] == [0, 1]
    assert environment("keda", "service")["SELFIE3D_SCALER"] == "on"
    assert environment("least", "service")["SELFIE3D_SCALER"] == "off"
    assert of_kind("least", "Deployment")["worker-cpu"]["spec"]["replicas"] == 2


def test_over_tls_keda_checks_the_service_and_shows_a_certificate_where_one_is_wanted() -> None:
    parameters = {}
    for case in ("tls", "mutual"):
        [trigger] = of_kind(case, "ScaledObject")["worker-cpu"]["spec"]["triggers"]
        [authentication] = of_kind(case, "TriggerAuthentication").values()
        assert trigger["metadata"]["enableTLS"] == "true"
        assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
        parameters[case] = [entry["parameter"] for entry in authentication["spec"]["secretTargetRef"]]
    assert parameters == {"tls": ["caCert"], "mutual": ["caCert", "tlsClientCert", "tlsClientKey"]}


def test_images_are_ours_by_the_names_that_they_are_built_with() -> None:
    images = {component: container("keda", component)["image"] for component in pods("keda")}
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert images == {
        "service": f"selfie3d/service:{version}",
        "web": f"selfie3d/web:{version}",
        "worker-cpu": f"selfie3d/worker:{version}",
        "worker-gpu": f"selfie3d/worker-gpu:{version}",
    }
    assert container("tls", "service")["image"] == "registry.example.org/team/selfie3d/service:1.2.3"


def test_the_chart_s_version_is_the_project_s() -> None:
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == project["version"]


@pytest.mark.parametrize(
    ("case", "options", "said"),
    [
        ("least", ["--set", "redis.secret="], "name the Secret that holds the URL of Redis"),
        ("least", ["--set", "servce.replicas=2"], "additional properties 'servce' not allowed"),
        ("least", ["--set", "service.settings.SELFIE3D_REDIS_URL=redis://x"], "SELFIE3D_REDIS_URL"),
        ("least", ["--set", "settings.SELFIE_X=1"], "SELFIE_X"),
        ("least", ["--set", "workers.cpu.graceSeconds=60"], "minimum: got 60, want 136"),
        ("least", ["--set", "web.ingress.enabled=true"], "web.ingress needs web.hosts"),
        ("least", ["--set", "service.tls.clientCa=true"], "service.tls.clientCa needs service.tls.secret"),
        ("tls", ["--set", "keda.tlsSecret="], "KEDA needs a Secret with ca.crt"),
        ("mutual", ["--set", "web.certificateSecret="], "web.certificateSecret"),
    ],
)
def test_values_that_cannot_work_are_refused_with_what_is_wrong(case: str, options: list[str], said: str) -> None:
    answer = template(case, *options)
    assert answer.returncode != 0
    assert said in answer.stderr


def test_every_default_is_described_by_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    Draft202012Validator(schema).validate(values)
    assert values.keys() == schema["properties"].keys() - {"global"}
