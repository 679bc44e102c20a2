"""A deployment of containers, from up to down: the same mesh whatever is killed, stopped or scaled meanwhile."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from selfie3d import Client
from tests.containers.conftest import Figures, reconstruct
from tests.containers.deployment import Deployment, run
from tests.stack import eventually

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]

OURS = ("service", "web", "worker")
ALL = (*OURS, "redis")
MIB = 1 << 20
PHOTOS = 6
CONNECT = """
import socket, sys
try:
    socket.create_connection(("{host}", {port}), 3).close()
    print("connected")
except OSError as error:
    print("no way")
"""
AS_SELFIE3D = """
import os, redis
from pathlib import Path
client = redis.Redis.from_url(Path(os.environ["SELFIE3D_REDIS_URL_FILE"]).read_text().strip(), protocol=2)
for command in ("CONFIG GET dir", "FLUSHALL", "KEYS *", "ACL LIST", "SHUTDOWN"):
    try:
        print("done", client.execute_command(*command.split()))
    except redis.exceptions.NoPermissionError:
        print("refused")
"""


def test_all_parts_are_healthy_and_a_photo_becomes_a_mesh(
    deployment: Deployment, photo: bytes, mesh: bytes, figures: Figures
) -> None:
    assert {name: deployment.health(name) for name in ALL} == dict.fromkeys(ALL, "healthy")
    start = time.monotonic()
    assert reconstruct(photo) == mesh
    figures["seconds of a photo"] = round(time.monotonic() - start, 2)
    assert mesh.startswith(b"ply")


@pytest.mark.parametrize("name", ALL)
def test_a_container_may_do_no_more_than_it_must(deployment: Deployment, name: str) -> None:
    about = deployment.inspect(name)
    host, config = about["HostConfig"], about["Config"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Init"]
    assert 0 < host["Memory"] <= 3072 * MIB
    assert 0 < host["PidsLimit"] <= 256
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert name == "redis" or config["User"] == "10001:10001"
    assert "PASSWORD" not in json.dumps(config["Env"])
    assert "@" not in json.dumps(config["Env"] + config["Cmd"])  # a URL with a password


@pytest.mark.parametrize("name", OURS)
def test_no_process_has_a_capability_or_writes_beside_tmp(deployment: Deployment, name: str) -> None:
    status = deployment.python(name, "print(open('/proc/self/status').read())")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    for place in ("/", "/opt/selfie3d", "/home/selfie3d", "/run/selfie3d"):
        said = deployment.python(name, f"open('{place}/x', 'w')", check=False)
        assert "Read-only file system" in said or "Permission denied" in said or "No such file" in said


def test_redis_runs_as_its_own_user_without_capabilities(deployment: Deployment) -> None:
    code = "cat /proc/$(pidof valkey-server | cut -d' ' -f1)/status"
    status = deployment.compose("exec", "--no-TTY", "--user", "999", "redis", "sh", "-c", code)
    assert "Uid:\t999\t999" in status
    assert "CapEff:\t0000000000000000" in status


@pytest.mark.parametrize(
    ("name", "host", "port", "answer"),
    [
        ("worker", "redis", 6379, "connected"),
        ("worker", "192.0.2.1", 443, "no way"),  # out of the machine
        ("worker", "web", 8080, "no way"),
        ("service", "redis", 6379, "connected"),
        ("web", "service", 50051, "connected"),
        ("web", "redis", 6379, "no way"),
    ],
)
def test_each_part_reaches_what_it_needs_and_nothing_else(
    deployment: Deployment, name: str, host: str, port: int, answer: str
) -> None:
    assert deployment.python(name, CONNECT.format(host=host, port=port)) == answer


def test_a_worker_may_use_redis_and_not_administer_it(deployment: Deployment) -> None:
    assert deployment.python("worker", AS_SELFIE3D).splitlines() == ["refused"] * 5


def test_the_administrator_of_redis_rewrites_its_log(deployment: Deployment) -> None:
    code = 'valkey-cli --no-auth-warning --user admin --pass "$(cat /run/selfie3d/redis/admin)" BGREWRITEAOF'
    said = deployment.compose("exec", "--no-TTY", "--user", "10001", "redis", "sh", "-c", code)
    assert "append only file rewriting" in said.lower()


@pytest.mark.parametrize(("name", "kind"), [("service", "SERVICE"), ("web", "WEB"), ("worker", "WORKER")])
def test_a_process_that_is_killed_comes_back(
    deployment: Deployment, photo: bytes, mesh: bytes, name: str, kind: str
) -> None:
    deployment.signal(name, kind, "SIGKILL")
    eventually(lambda: deployment.inspect(name)["RestartCount"] >= 1, "the container starts again")
    deployment.await_health(name)
    deployment.await_health("service")
    assert reconstruct(photo) == mesh


def test_a_worker_that_is_killed_at_work_loses_no_job(deployment: Deployment, photo: bytes, mesh: bytes) -> None:
    with Client("localhost:50051", timeout=300) as client:
        jobs = [client.submit(photo) for _ in range(PHOTOS)]
        next(event for event in jobs[0].watch() if event.stage)  # it runs
        (container,) = deployment.containers("worker")
        run("docker", "kill", container)
        deployment.up()
        assert [job.result().faces[0].mesh.data for job in jobs] == [mesh] * PHOTOS


def test_a_redis_that_is_killed_loses_no_job(deployment: Deployment, photo: bytes, mesh: bytes) -> None:
    with Client("localhost:50051", timeout=300) as client:
        jobs = [client.submit(photo) for _ in range(PHOTOS)]
        (container,) = deployment.containers("redis")
        run("docker", "kill", container)
        deployment.up()
        assert [job.result().faces[0].mesh.data for job in jobs] == [mesh] * PHOTOS


@pytest.mark.parametrize(
    ("name", "kind", "restarts"),
    [("service", "SERVICE", 1), ("web", "WEB", 1), ("worker", "WORKER", 1), ("worker", "CHILD", 0)],
)
def test_what_is_stuck_is_seen_and_starts_again(
    deployment: Deployment, photo: bytes, mesh: bytes, figures: Figures, name: str, kind: str, restarts: int
) -> None:
    deployment.await_health(name)
    before = deployment.inspect(name)["RestartCount"]
    start = time.monotonic()
    stopped = deployment.signal(name, kind, "SIGSTOP")

    def is_another() -> bool:
        code = f"from selfie3d_jobs.pulse import *; print(*[b.pid for b in beats(ProcessKind.{kind})])"
        started = deployment.inspect(name)["RestartCount"] == before + restarts
        return started and deployment.python(name, code, check=False).split() not in ([], [str(stopped)])

    if restarts:
        eventually(lambda: deployment.inspect(name)["RestartCount"] == before + 1, "the container starts again", 180)
    else:
        eventually(is_another, "another process has its place", 180)
    figures[f"seconds until a stopped {kind.lower()} is replaced"] = round(time.monotonic() - start)
    deployment.await_health(name)
    deployment.await_health("service")
    assert deployment.inspect(name)["RestartCount"] == before + restarts
    assert reconstruct(photo) == mesh


def test_a_deployment_without_a_worker_is_not_healthy(deployment: Deployment) -> None:
    deployment.compose("stop", "worker")
    deployment.await_health("service", "unhealthy")
    deployment.compose("start", "worker")  # `up --wait` gives up at the first container that it finds unhealthy
    deployment.await_health("service")
    deployment.await_health("web")
    assert deployment.inspect("service")["RestartCount"] <= 2  # unhealthy, but not stuck: left alone


def test_two_workers_share_the_work_and_one_of_them_may_die(
    deployment: Deployment, photo: bytes, mesh: bytes, figures: Figures
) -> None:
    deployment.up("--scale", "worker=2")
    containers = deployment.containers("worker")
    assert len(containers) == 2
    with Client("localhost:50051", timeout=300) as client, ThreadPoolExecutor(PHOTOS) as pool:
        results = [pool.submit(partial(client.reconstruct, photo)) for _ in range(PHOTOS)]
        next(iter(results)).result()
        run("docker", "kill", containers[0])
        assert [result.result().faces[0].mesh.data for result in results] == [mesh] * PHOTOS
    figures["workers after --scale"] = len(containers)
    deployment.up("--scale", "worker=1")


def test_down_leaves_nothing_running_and_up_finds_what_there_was(
    deployment: Deployment, photo: bytes, mesh: bytes, figures: Figures
) -> None:
    with Client("localhost:50051", timeout=180) as client:
        job = client.submit(photo)
        assert job.result().faces[0].mesh.data == mesh
    start = time.monotonic()
    deployment.compose("down")
    figures["seconds of down"] = round(time.monotonic() - start)
    assert run("docker", "ps", "--quiet", "--filter", "label=com.docker.compose.project=selfie3d") == ""
    deployment.up()
    with Client("localhost:50051", timeout=180) as client:
        assert client.job(job.id).result().faces[0].mesh.data == mesh
    assert reconstruct(photo) == mesh
