"""The committed stubs are those of the committed .proto."""

from __future__ import annotations

from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).parents[2] / "protos"
NAME = "selfie3d/v1/reconstruction"


def test_the_stubs_are_fresh(tmp_path: Path) -> None:
    out = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    assert protoc.main(["protoc", f"-I{PROTOS}", *out, f"{NAME}.proto"]) == 0
    for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py"):
        assert (PROTOS / f"{NAME}{suffix}").read_text() == (tmp_path / f"{NAME}{suffix}").read_text(), (
            "run `make protos`"
        )
