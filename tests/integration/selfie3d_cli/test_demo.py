"""`selfie3d demo`, the first command that people run: everything real, from nothing to a mesh to nothing left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trimesh
from PIL import Image


@pytest.mark.timeout(600)
def test_the_demo_leaves_a_mesh_and_a_picture_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TMPDIR": str(tmp_path / "tmp"),
        "SELFIE3D_DATA": str(tmp_path / "data"),
    }
    command = [sys.executable, "-m", "selfie3d_cli", "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrote out/astronaut.ply" in done.stdout
    assert "wrote out/astronaut.png" in done.stdout
    stages = [line.split()[0] for line in done.stdout.splitlines() if line.endswith(" s") and " after " not in line]
    assert stages[:7] == ["decode", "detect", "align", "network", "surface", "colour", "encode"]
    assert stages[-1] == "all"
    mesh = trimesh.load_mesh(tmp_path / "out" / "astronaut.ply")
    assert mesh.is_watertight
    assert mesh.volume > 0
    with Image.open(tmp_path / "out" / "astronaut.png") as picture:
        assert picture.format == "PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tmp"]
    shared = {f"selfie3d-{os.getuid()}", f"selfie3d-pulse-{os.getuid()}"}  # the user's, which other stacks may be using
    assert [path.name for path in (tmp_path / "tmp").glob("selfie3d-*/**/*")] == []
    assert {path.name for path in (tmp_path / "tmp").glob("selfie3d-*")} <= shared
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path / "tmp") not in listing  # neither Redis nor anything else that was started


def test_a_photo_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "selfie3d_cli", "demo", str(tmp_path / "me.jpg")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "me.jpg: No such file or directory." in done.stderr
