"""The images, built once, and a deployment of them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfie3d import Client
from tests.containers.deployment import PYTHON, ROOT, Deployment, copy_of_the_repository, run
from tests.photos import astronaut

Figures = dict[str, object]


@pytest.fixture(scope="session")
def figures() -> Iterator[Figures]:
    """What is measured, for docs/operations.md; out/containers.json holds it afterwards."""
    found: Figures = {"stand-ins for base images": os.environ.get("WITH_DOCKER_STAND_INS", "").split()}
    yield found
    target = ROOT / "out" / "containers.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(found, indent=2) + "\n")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, figures: Figures) -> Path:
    """A folder with the images built from it."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("source"))
    start = time.monotonic()
    run("docker", "compose", "build", "--build-arg", f"PYTHON_IMAGE={pinned(PYTHON)}", cwd=folder)
    figures["seconds of the build"] = round(time.monotonic() - start)
    return folder


def pinned(image: str) -> str:
    """The image by its digest, where it came from a registry."""
    run("docker", "pull", "--quiet", image, check=False)
    digests = json.loads(run("docker", "image", "inspect", "--format", "{{json .RepoDigests}}", image))
    return str(digests[0]) if digests else image


@pytest.fixture(scope="session")
def deployment(source: Path, figures: Figures) -> Iterator[Deployment]:
    deployment = Deployment(source)
    deployment.compose("down", "--volumes")
    start = time.monotonic()
    try:
        deployment.up()
        figures["seconds until all are healthy"] = round(time.monotonic() - start)
        yield deployment
    finally:
        print(deployment.compose("logs", "--tail", "30", check=False))
        deployment.compose("down", "--volumes")


@pytest.fixture(scope="session")
def photo() -> bytes:
    return astronaut()


@pytest.fixture(scope="session")
def mesh(deployment: Deployment, photo: bytes) -> bytes:
    """Of the photo, as the fresh deployment made it."""
    del deployment
    return reconstruct(photo)


def reconstruct(photo: bytes) -> bytes:
    with Client("localhost:50051", timeout=180) as client:
        return client.reconstruct(photo).faces[0].mesh.data
