"""The committed stubs are those of the committed .proto."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOMES = {
    "selfie3d/v1/reconstruction": "client",
    "selfie3d/v1/admin": "client",
    "selfie3d_service/scaler/externalscaler": "service",
}


@pytest.mark.slow
def test_the_stubs_are_fresh(tmp_path: Path) -> None:
    out = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    protos = [f"{name}.proto" for name in HOMES]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-Iprotos", *out, *protos], cwd=ROOT, check=True)
    for name, home in HOMES.items():
        for stub in (f"{name}{suffix}" for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")):
            assert (ROOT / home / stub).read_text() == (tmp_path / stub).read_text(), "run `make protos`"


def test_every_proto_is_among_the_generated_ones() -> None:
    there = {str(path.relative_to(ROOT / "protos").with_suffix("")) for path in (ROOT / "protos").rglob("*.proto")}
    assert there == set(HOMES)
    makefile = (ROOT / "Makefile").read_text()
    for variable, home in (("PROTO", "client"), ("SCALER_PROTO", "service")):
        names = [f"{name}.proto" for name in HOMES if HOMES[name] == home]
        assert f"\n{variable} = {' '.join(names)}\n" in makefile
