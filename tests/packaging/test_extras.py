"""The wheel and each extra alone, installed into a fresh environment, with the thing it is for."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.photos import astronaut
from tests.scripted_service import Running
from tests.unit.selfie3d_training.conftest import TINY, data, head  # noqa: F401 - fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
Environment = Callable[..., Path]

MOST_BYTES = 460_000_000  # of a worker with all that it needs, byte code included
COLLECTOR = b"events.data.microsoft.com"  # where ONNX Runtime reports to when its telemetry is built in: ADR 9
ABSENT = "import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
SERVE = """
import json, sys, threading, time
from pathlib import Path
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from selfie3d import Client
from selfie3d_cli.redis_server import RedisServer
from selfie3d_jobs import JobsConfig, Store, maintenance
from selfie3d_jobs.maintenance import WorkerReport
import subprocess, os

folder, photo = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
with RedisServer(folder) as redis:
    env = os.environ | {"SELFIE3D_REDIS_URL": redis.url, "SELFIE3D_LISTEN": "127.0.0.1:" + sys.argv[3]}
    service = subprocess.Popen([sys.executable, "-m", "selfie3d_cli", "serve"], env=env)
    store = Store(JobsConfig(redis_url=redis.url))
    try:
        with grpc.insecure_channel(env["SELFIE3D_LISTEN"]) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            status = 0
            while status != health_pb2.HealthCheckResponse.SERVING:
                assert service.poll() is None
                store.run(maintenance.report(WorkerReport("host:1:2", verified=True)))
                time.sleep(0.1)
                status = health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=30).status
        with Client(env["SELFIE3D_LISTEN"]) as client:
            job = client.submit(photo)
            queue, message = store._client.brpop("selfie3d:interactive", 30)
            print(json.dumps([job.id, json.loads(message)["headers"]["id"], str(job.status().state)]))
    finally:
        service.terminate()
        print(service.wait(30))
"""

WEB = """
import json, subprocess, sys, urllib.error, urllib.request
from pathlib import Path

server, photo, port = sys.argv[1], Path(sys.argv[2]).read_bytes(), sys.argv[3]
command = [sys.executable, "-m", "selfie3d_cli", "web", "--listen", f"127.0.0.1:{port}", "--server", server]
web = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

def ask(path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.status, error.headers.get_content_type(), error.read().decode()

try:
    assert any("Serving the page." in line for line in web.stderr), "it ended before it listened"
    answers = {"page": ask("/"), "health": ask("/healthz"), "readiness": ask("/readyz"), "job": ask("/v1/jobs", photo)}
finally:
    web.terminate()
    web.stderr.read()
print(json.dumps(answers))
print(web.wait(30))
"""


def run(command: list[str | Path], **options: object) -> str:
    """What a command prints; its errors are shown when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return str(done.stdout)


def site_of(python: Path) -> Path:
    """Where an environment's packages are."""
    (site,) = (python.parents[1] / "lib").glob("python3.*/site-packages")
    return site


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git has, so that nothing that lies about gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT).split("\0")
    for name in filter(None, files):
        path = ROOT / name
        if path.is_file() and not name.startswith(("tests/", "docs/")):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source])
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Makes a fresh environment with an extra; returns its Python."""

    def make(extra: str, python: Path | None = None) -> Path:
        if python is None:
            folder = tmp_path_factory.mktemp(extra or "base")
            run([sys.executable, "-m", "venv", folder])
            python = folder / "bin" / "python"
        run([python, "-m", "pip", "install", "--quiet", f"{wheel}[{extra}]" if extra else str(wheel)])
        return python

    return make


def test_the_wheel_holds_every_package_its_data_and_its_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = (
        "selfie3d",
        "selfie3d_photo",
        "selfie3d_jobs",
        "selfie3d_service",
        "selfie3d_web",
        "vrn",
        "selfie3d_worker",
        "selfie3d_cli",
    )
    assert {f"{package}/__init__.py" for package in packages} <= set(names)
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    assert "selfie3d_jobs/scripts/create.lua" in names
    assert "selfie3d_web/static/index.html" in names
    assert "vrn/weights/data/default.safetensors" in names
    assert {Path(name).name for name in names if ".dist-info/licenses/" in name} == {"LICENSE", "NOTICE"}
    metadata = zipfile.ZipFile(wheel).read(next(name for name in names if name.endswith("/METADATA"))).decode()
    assert "License-Expression: MIT" in metadata
    assert "Provides-Extra: dev" not in metadata


def test_the_base_is_the_client_alone(environment: Environment, tmp_path: Path) -> None:
    python = environment("")
    heavy = ["torch", "celery", "redis", "PIL", "trimesh"]
    assert run([python, "-c", ABSENT.format(names=heavy)], cwd=tmp_path).strip() == "[]"
    code = "import selfie3d; print(selfie3d.Client.__name__, selfie3d.__version__); selfie3d.Reconstructor"
    ended = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.stdout.startswith("Client 0.")
    assert "pip install '.[worker]'" in ended.stderr


def test_the_service_alone_publishes_what_it_accepts(
    environment: Environment, tmp_path: Path, unused_tcp_port: int
) -> None:
    python, photo = environment("service"), tmp_path / "me.jpg"
    photo.write_bytes(astronaut())
    assert run([python, "-c", ABSENT.format(names=["torch", "trimesh", "PIL"])], cwd=tmp_path).strip() == "[]"
    lines = run([python, "-c", SERVE, tmp_path / "redis", photo, str(unused_tcp_port)], cwd=tmp_path).splitlines()
    created, published, state = json.loads(lines[-2])
    assert (published, state) == (created, "queued")
    assert lines[-1] == "0"


def test_the_web_door_alone_serves_the_page_and_passes_photos_on_to_a_service_that_is_there(
    environment: Environment, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    python, photo = environment("web"), tmp_path / "me.jpg"
    photo.write_bytes(astronaut())
    heavy = ["torch", "trimesh", "celery", "PIL"]
    assert run([python, "-c", ABSENT.format(names=heavy)], cwd=tmp_path).strip() == "[]"

    def ask(server: str) -> dict[str, list[Any]]:
        port = str(unused_tcp_port_factory())
        answers, code = run([python, "-c", WEB, server, photo, port], cwd=tmp_path).splitlines()
        assert code == "0"
        found: dict[str, list[Any]] = json.loads(answers)
        assert found["page"][:2] == [200, "text/html"]
        assert found["health"] == [200, "application/json", '{"status":"ok"}']
        return found

    with Running.with_mesh() as service:
        status, _, job = ask(service.address)["job"]
        assert status == 202
        assert service.script.photos == {json.loads(job)["id"]: photo.read_bytes()}
    alone = ask(f"127.0.0.1:{unused_tcp_port_factory()}")
    for question in ("readiness", "job"):
        status, kind, problem = alone[question]
        assert (status, kind) == (503, "application/problem+json")
        assert "cannot be reached" in json.loads(problem)["detail"]


@pytest.fixture(scope="module")
def worker(environment: Environment) -> Path:
    return environment("worker")


def test_the_worker_alone_makes_a_mesh_in_its_process_without_torch(worker: Path, tmp_path: Path) -> None:
    python, photo = worker, tmp_path / "me.jpg"
    photo.write_bytes(astronaut())
    heavy = ["torch", "numba", "onnx", "cv2", "matplotlib"]
    assert run([python, "-c", ABSENT.format(names=heavy)], cwd=tmp_path).strip() == "[]"
    command: list[str | Path] = [
        python,
        "-m",
        "selfie3d_cli",
        "reconstruct",
        "--local",
        photo,
        "-o",
        tmp_path / "me.ply",
        "--json",
    ]
    outcome = json.loads(run(command, cwd=tmp_path))
    assert (outcome["status"], outcome["engine"]) == ("succeeded", "onnx")
    assert (tmp_path / "me.ply").stat().st_size > 1_000_000
    site = site_of(python)
    parts = [part for part in site.iterdir() if part.name.partition("-")[0] not in ("pip", "setuptools")]
    assert sum(path.stat().st_size for part in parts for path in part.rglob("*") if path.is_file()) < MOST_BYTES


def test_the_engine_reports_to_nobody(worker: Path) -> None:
    libraries = list((site_of(worker) / "onnxruntime" / "capi").glob("*.so*"))
    assert libraries
    assert [path.name for path in libraries if COLLECTOR in path.read_bytes()] == []


def test_the_worker_alone_says_how_to_get_the_engine_that_it_lacks(worker: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [worker, "-m", "selfie3d_cli", "reconstruct", "--local", "me.jpg", "--engine", "torch"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.stderr == "selfie3d: torch is not installed: run `pip install '.[worker-torch]'`\n"
    assert ended.returncode == 3


def test_the_training_on_top_of_the_worker_trains(
    environment: Environment,
    worker: Path,
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    python, config = environment("train", worker), tmp_path / "tiny.json"  # the extra includes that of the worker
    config.write_text(json.dumps(TINY))
    command: list[str | Path] = [python, "-m", "selfie3d_training", "--threads", "1", "train"]
    run([*command, "--data", data, "--folder", tmp_path / "run", "--config", config], cwd=tmp_path)
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
