"""The committed stubs are those of the committed .proto."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = "selfie3d/v1/reconstruction"


@pytest.mark.slow
def test_the_stubs_are_fresh(tmp_path: Path) -> None:
    out = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-Iprotos", *out, f"{NAME}.proto"], cwd=ROOT, check=True)
    for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py"):
        fresh = (tmp_path / f"{NAME}{suffix}").read_text()
        assert (ROOT / "client" / f"{NAME}{suffix}").read_text() == fresh, "run `make protos`"
