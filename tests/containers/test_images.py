"""What is in the images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.containers.conftest import Figures
from tests.containers.deployment import STRAY_BYTES, STRAYS, run

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]

IMAGES = ("service", "web", "worker")
MOST_MB = {"service": 200, "web": 200, "worker": 600}


def in_image(name: str, script: str) -> list[str]:
    command = ["docker", "run", "--rm", "--user", "0", "--network", "none", "--entrypoint", "sh", f"selfie3d/{name}"]
    return run(*command, "-c", script).splitlines()


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_small_and_runs_as_a_number(source: Path, figures: Figures, name: str) -> None:
    del source
    about = json.loads(run("docker", "image", "inspect", f"selfie3d/{name}"))[0]
    figures[f"MB of {name}"] = round(about["Size"] / 1e6)
    assert about["Config"]["User"] == "10001:10001"
    assert about["Size"] < MOST_MB[name] * 1e6


@pytest.mark.parametrize("name", IMAGES)
def test_what_lay_about_is_in_no_layer(source: Path, name: str) -> None:
    del source
    names = " -o ".join(f"-name '{Path(stray).name}'" for stray in STRAYS)
    assert in_image(name, f"find / -xdev -type f \\( {names} -o -size +{STRAY_BYTES - 1}c \\)") == []
    assert in_image(name, "ls -A /app /build 2>/dev/null || true") == []


@pytest.mark.parametrize("name", IMAGES)
def test_there_is_no_installer_and_no_server(source: Path, name: str) -> None:
    del source
    programs = "-name pip -o -name 'pip[0-9]*' -o -name ensurepip -o -name 'valkey*' -o -name redis-server"
    assert in_image(name, f"find / -xdev \\( {programs} \\) -not -path '/proc/*'") == []
    assert in_image(name, "python -m pip 2>&1 || true") == ["/opt/selfie3d/bin/python: No module named pip"]


@pytest.mark.parametrize("name", IMAGES)
def test_byte_code_is_there_once_and_only_beside_its_source(source: Path, name: str) -> None:
    del source
    code = in_image(name, "find / -xdev -name '*.pyc'")
    modules = [(str(Path(path).parent.parent), Path(path).name.partition(".")[0]) for path in code]
    assert len(set(modules)) == len(modules) > 200
    sources = set(in_image(name, "find / -xdev -name '*.py'"))
    assert [module for folder, module in modules if f"{folder}/{module}.py" not in sources] == []


def test_weights_are_there_once_and_only_where_they_are_used(source: Path) -> None:
    search = "find / -xdev \\( -name '*.safetensors' -o -name 'head.np[yz]' \\)"
    names = sorted(Path(path).name for path in in_image("worker", search))
    there = [*(source / "worker").rglob("*.safetensors"), *(source / "worker").rglob("head.np[yz]")]
    assert names == sorted(path.name for path in there)
    assert in_image("service", search) == in_image("web", search) == []


@pytest.mark.parametrize("name", IMAGES)
def test_a_signal_of_the_first_second_ends_the_container_at_once(source: Path, figures: Figures, name: str) -> None:
    del source
    command = ["docker", "run", "--detach", "--init", "--network", "none", "-e", "SELFIE3D_REDIS_URL=redis://nowhere"]
    container = run(*command, f"selfie3d/{name}").strip()
    try:
        run("docker", "kill", "--signal", "TERM", container)
        code = int(run("timeout", "10", "docker", "wait", container))
        assert code in (0, 143)  # 0: it was up already
    finally:
        run("docker", "rm", "--force", container)
    figures[f"exit code of {name} after SIGTERM at once"] = code


def test_a_gpu_that_is_not_there_is_told_in_a_sentence(deployment_free_run: str) -> None:
    assert "torch is not installed" in deployment_free_run
    assert "selfie3d/worker-gpu" in deployment_free_run
    assert "Traceback" not in deployment_free_run


@pytest.fixture
def deployment_free_run(source: Path) -> str:
    """What a worker's container says that wants a GPU from the image without torch; it ends by itself."""
    del source
    variables = ["-e", "SELFIE3D_DEVICE=cuda", "-e", "SELFIE3D_REDIS_URL=redis://127.0.0.1:1"]
    return run(
        "timeout",
        "120",
        "docker",
        "run",
        "--rm",
        "--init",
        "--network",
        "none",
        *variables,
        "selfie3d/worker",
        check=False,
    )
