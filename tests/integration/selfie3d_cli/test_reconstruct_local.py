"""`selfie3d reconstruct --local` with the bundled weights, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from selfie3d.types.ply import columns, read_ply
from tests.photos import astronaut, coffee, mirrored_astronaut, two_faces
from vrn.weights import file as weights_file

KEYS = ["photo", "status", "error", "faces", "seconds", "engine"]
FACE_KEYS = ["mesh", "vertices", "triangles", "box", "score", "mesh_to_photo", "pose"]
STAGES = ["decode", "detect", "align", "network", "surface", "colour", "encode"]


def local(*arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command; its stdout and stderr."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | env
    command = [sys.executable, "-m", "selfie3d_cli", "reconstruct", "--local", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name, data in {
        "a face.jpg": astronaut(),
        "broken.jpg": astronaut()[:4000],
        "coffee.jpeg": coffee(),
        "empty.png": b"",
        "notes.txt": b"not a photo",
        "ünusual.jpg": two_faces(),
    }.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def outcomes(photos: Path) -> dict[str, dict[str, Any]]:
    """One run over the whole folder, with everything that can be written."""
    out = str(photos / "out")
    done = local(str(photos), "-o", out, "--preview", out, "--volume", out + "/volume.raw", "--json", code=2)
    assert "5 photos: give a folder" in done.stderr
    done = local(str(photos), "-o", out, "--preview", out, "--json", code=1)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {Path(line["photo"]).name: line for line in lines}


def test_every_photo_has_its_object_in_order(outcomes: dict[str, dict[str, Any]]) -> None:
    assert list(outcomes) == ["a face.jpg", "broken.jpg", "coffee.jpeg", "empty.png", "ünusual.jpg"]
    reasons = {name: (line["error"] or {}).get("reason") for name, line in outcomes.items()}
    assert reasons == {
        "a face.jpg": None,
        "broken.jpg": "PHOTO_CORRUPT",
        "coffee.jpeg": "NO_FACE",
        "empty.png": "PHOTO_EMPTY",
        "ünusual.jpg": None,
    }
    for line in outcomes.values():
        assert list(line) == KEYS
        assert line["status"] == ("failed" if line["error"] else "succeeded")
        assert bool(line["faces"]) == bool(line["seconds"]) == (line["status"] == "succeeded")


@pytest.mark.parametrize("name", ["a face.jpg", "ünusual.jpg"])
def test_the_numbers_describe_the_file_and_lie_on_the_face(
    outcomes: dict[str, dict[str, Any]], photos: Path, name: str
) -> None:
    [face] = outcomes[name]["faces"]
    assert list(face) == FACE_KEYS
    assert list(outcomes[name]["seconds"]) == STAGES
    mesh = Path(face["mesh"])
    assert mesh == photos / "out" / Path(name).with_suffix(".ply")
    records = read_ply(mesh.read_bytes())
    assert (len(records["vertex"]), len(records["face"])) == (face["vertices"], face["triangles"])
    vertices = columns(records["vertex"], "x y z")
    assert vertices is not None
    matrix = np.array(face["mesh_to_photo"])
    assert matrix.shape == (4, 4)
    on_photo = vertices @ matrix[:3, :3].T + matrix[:3, 3]
    x, y, width, height = face["box"]
    low, high = on_photo[:, :2].min(0), on_photo[:, :2].max(0)
    assert np.all(low < [x + width / 4, y + height / 4])
    assert np.all(high > [x + 3 * width / 4, y + 3 * height / 4])
    assert np.all(np.abs((low + high) / 2 - [x + width / 2, y + height / 2]) < [width, height])
    assert 0 < face["score"] <= 1


def test_the_preview_is_a_picture_beside_the_mesh(outcomes: dict[str, dict[str, Any]], photos: Path) -> None:
    assert outcomes["a face.jpg"]["error"] is None
    with Image.open(photos / "out" / "a face.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) >= 256


def test_a_volume_is_written_on_request(photos: Path, tmp_path: Path) -> None:
    photo, volume = str(photos / "a face.jpg"), tmp_path / "face.npy"
    done = local(photo, "-o", str(tmp_path / "face.stl"), "--volume", str(volume), "--detail", "preview")
    assert done.stdout == ""
    assert f"done   {photo} -> {tmp_path / 'face.stl'}" in done.stderr
    values = np.load(volume)
    assert values.shape == (200, 192, 192)
    assert 0.005 < (values >= 128).mean() < 0.5
    assert (tmp_path / "face.stl").stat().st_size > 84


def test_models_that_are_not_there_are_told_once(photos: Path) -> None:
    done = local(str(photos), "--json", code=1, SELFIE3D_MODEL="no-such-model")
    assert done.stdout == ""
    assert done.stderr.startswith("selfie3d: ")
    assert "no-such-model" in done.stderr
    assert "Traceback" not in done.stderr


def test_photos_of_one_person_become_one_file(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mirrored.jpg").write_bytes(mirrored_astronaut())
    given = [str(photos / "a face.jpg"), str(tmp_path / "mirrored.jpg"), str(photos / "coffee.jpeg")]
    done = local("--one-person", *given, "-o", str(tmp_path / "head.glb"), "--detail", "preview", "--json")
    outcome = json.loads(done.stdout)
    assert (outcome["photo"], outcome["photos"], outcome["status"]) == (given[0], given, "succeeded")
    assert [view["left_out"] for view in outcome["views"]] == [None, None, "NO_FACE"]
    assert outcome["faces"][0]["mesh"] == str(tmp_path / "head.glb")
    assert (tmp_path / "head.glb").read_bytes()[:4] == b"glTF"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.glb", "mirrored.jpg"]


def test_one_person_needs_weights_that_know_heads(photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(Path(weights_file.resolve("default")).read_bytes())
    done = local("--one-person", str(photos / "a face.jpg"), "--model", str(weights), code=2)
    assert "bundled weights" in done.stderr
