"""The import arrows, package by package and folder by folder, and one name for one thing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOMES = {
    "selfie3d": "client",
    "selfie3d_photo": "service",
    "selfie3d_jobs": "service",
    "selfie3d_service": "service",
    "selfie3d_web": "service",
    "vrn": "worker",
    "selfie3d_worker": "worker",
    "selfie3d_training": "worker",
    "selfie3d_cli": "cli",
}
ALLOWED = {
    "selfie3d": set(),
    "selfie3d_photo": set(),
    "selfie3d_jobs": {"selfie3d"},
    "selfie3d_service": {"selfie3d", "selfie3d_jobs", "selfie3d_photo"},
    "selfie3d_web": {"selfie3d", "selfie3d_jobs"},  # not the store: settings, logs and JSON
    "vrn": {"selfie3d", "selfie3d_photo"},
    "selfie3d_worker": {"selfie3d", "selfie3d_jobs", "selfie3d_photo", "vrn"},
    "selfie3d_training": {"selfie3d", "selfie3d_photo", "vrn"},
    "selfie3d_cli": set(HOMES) - {"selfie3d_training"},  # the composition root
}


FOLDERS = ["client", "service", "worker", "cli"]  # a folder imports those before it, and itself
READING = re.compile(r"environ\.get|getenv|in os\.environ|environ\[[^]]+\](?! = )")
FRONT_PAGE = ROOT / "client" / "selfie3d" / "__init__.py"  # names every part and imports none before it is asked for


def sources(package: str) -> list[Path]:
    return [path for path in (ROOT / HOMES[package] / package).rglob("*.py") if path != FRONT_PAGE]


def imported_packages(package: str) -> set[str]:
    found: set[str] = set()
    for path in sources(package):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("package", HOMES)
def test_a_package_imports_only_what_its_arrow_allows(package: str) -> None:
    ours = imported_packages(package) & set(HOMES)
    assert ours - {package} <= ALLOWED[package]


@pytest.mark.parametrize("package", HOMES)
def test_a_folder_imports_only_what_lies_before_it(package: str) -> None:
    folders = {HOMES[other] for other in imported_packages(package) & set(HOMES)}
    assert folders <= set(FOLDERS[: FOLDERS.index(HOMES[package]) + 1])


def test_no_two_classes_share_a_name() -> None:
    names = [
        node.name
        for package in HOMES
        for path in sources(package)
        if "_pb2" not in path.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_every_package_of_the_tree_is_in_the_table() -> None:
    folders = {home: ROOT / home for home in set(HOMES.values())}
    there = {path.name for folder in folders.values() for path in folder.iterdir() if list(path.glob("**/*.py"))}
    assert there == set(HOMES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("selfie3d", ["torch", "celery", "redis", "PIL", "skimage", "trimesh", "vrn"]),
        ("selfie3d_cli.main", ["torch", "celery", "redis", "vrn", "selfie3d_service"]),
        ("selfie3d_service", ["torch", "vrn", "skimage"]),
        ("selfie3d_web.main", ["torch", "celery", "vrn", "PIL", "selfie3d_service"]),
        ("selfie3d_service.main", ["torch", "vrn", "skimage", "PIL", "numpy"]),
        ("vrn", ["torch", "onnxruntime", "celery", "redis", "grpc", "face_alignment", "cv2", "numba"]),
        ("selfie3d_worker.vrn_model", ["torch", "numba", "onnx", "selfie3d_training", "grpc"]),
        ("selfie3d_worker.tasks", ["grpc", "torch"]),
        ("selfie3d_cli.local", ["torch", "onnxruntime"]),
        ("vrn.engine.onnx_graph", ["torch", "onnx"]),
        ("vrn.official.importer", ["torch"]),
    ],
)
def test_importing_it_leaves_these_alone(module: str, forbidden: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {forbidden} if name in sys.modules])"
    path = ":".join(str(ROOT / home) for home in ("client", "service", "worker", "cli"))
    answer = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("package", HOMES)
def test_every_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / HOMES[package] / package / "py.typed").is_file()


def test_the_command_reads_its_environment_in_one_place() -> None:
    reading = [path.name for path in sources("selfie3d_cli") if READING.search(path.read_text())]
    assert reading == ["settings.py"]


@pytest.mark.slow
def test_importing_vrn_leaves_the_environment_alone() -> None:
    path = ":".join(str(ROOT / home) for home in ("client", "service", "worker"))
    code = (
        "import os; before = dict(os.environ); import vrn, vrn.finder, vrn.network; print(dict(os.environ) == before)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "True"
