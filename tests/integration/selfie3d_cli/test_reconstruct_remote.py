"""`selfie3d reconstruct` against a scripted service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2, error_details_pb2

from selfie3d.v1 import reconstruction_pb2 as pb
from selfie3d_cli.main import main
from tests.scripted_service import MATRIX, MESH, Running, Script, make_ply, rich_error, succeeded

KEYS = ["photo", "status", "error", "faces", "seconds", "engine"]
FACE_KEYS = ["mesh", "vertices", "triangles", "box", "score", "mesh_to_photo", "pose"]


@pytest.fixture
def running() -> Iterator[Running]:
    with Running.with_mesh() as server:
        yield server


@pytest.fixture
def script(running: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    monkeypatch.setenv("SELFIE3D_SERVER", running.address)
    monkeypatch.chdir(tmp_path)
    return running.script


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "more/c.webp"):
        (folder / name).write_bytes(name.encode())
    return folder


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_json_is_one_object_per_photo_and_nothing_else(
    script: Script, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconstruct", str(photos), "-o", str(tmp_path / "out"), "--json"]) == 0
    outcomes = lines(capfd)
    assert [outcome["photo"] for outcome in outcomes] == [
        str(photos / name) for name in ("a.jpg", "b.png", "more/c.webp")
    ]
    for outcome, name in zip(outcomes, ("a.ply", "b.ply", "more/c.ply"), strict=True):
        assert list(outcome) == KEYS
        assert (outcome["status"], outcome["error"], outcome["seconds"]) == ("succeeded", None, {"network": 0.25})
        assert outcome["engine"] is None  # of a service, which does not say
        [face] = outcome["faces"]
        assert list(face) == FACE_KEYS
        assert face["mesh"] == str(tmp_path / "out" / name)
        assert Path(face["mesh"]).read_bytes() == MESH
        assert (face["vertices"], face["triangles"], face["score"]) == (300, 298, 0.9)
        assert face["box"] == [10, 20, 90, 100]
        assert [number for row in face["mesh_to_photo"] for number in row] == MATRIX
    assert sorted(request.photo for request in script.requests("CreateJob")) == [b"a.jpg", b"b.png", b"more/c.webp"]
    assert {request.settings.priority for request in script.requests("CreateJob")} == {pb.PRIORITY_BULK}


def test_a_bad_photo_does_not_stop_the_others(script: Script, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    info = error_details_pb2.ErrorInfo(reason="PHOTO_CORRUPT")
    script.errors["CreateJob"] = [rich_error(code_pb2.INVALID_ARGUMENT, "It is damaged.", info)]
    assert main(["reconstruct", str(photos), "not/there.jpg", "--json"]) == 1
    outcomes = lines(capfd)
    assert sorted(outcome["status"] for outcome in outcomes) == ["failed", "failed", "succeeded", "succeeded"]
    damaged = next(outcome for outcome in outcomes[:3] if outcome["status"] == "failed")
    assert damaged["error"]["reason"] == "PHOTO_CORRUPT"
    assert "It is damaged." in damaged["error"]["message"]
    assert (damaged["faces"], damaged["seconds"]) == ([], {})
    assert outcomes[3]["photo"] == "not/there.jpg"
    assert outcomes[3]["error"] == {
        "reason": "PHOTO_UNREADABLE",
        "message": "cannot be read: No such file or directory.",
    }


def test_without_json_people_get_lines_and_a_summary(
    script: Script, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script.outcome = pb.Job(state=pb.JOB_STATE_FAILED, error=pb.JobError(reason="NO_FACE", message="No face found."))
    assert main(["reconstruct", str(photos / "a.jpg"), str(photos / "b.png")]) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("0 of 2 photos reconstructed, 2 NO_FACE\n")
    assert f"failed {photos / 'a.jpg'}: No face found. (NO_FACE)" in captured.err
    script.outcome = succeeded(MESH)
    assert main(["reconstruct", str(photos / "a.jpg")]) == 0
    assert f"done   {photos / 'a.jpg'} -> a.ply in 0.25 s" in capfd.readouterr().err


def test_every_option_reaches_the_service(script: Script, photos: Path) -> None:
    arguments = ["-o", "me.glb", "--detail", "full", "--all-faces", "--scene", "--textured", "--printable"]
    arguments += ["--extent", "face", "--delight"]
    assert main(["reconstruct", str(photos / "a.jpg"), *arguments]) == 0
    [request] = script.requests("CreateJob")
    assert request.settings.options == pb.Options(
        format=pb.MESH_FORMAT_GLB,
        detail=pb.DETAIL_FULL,
        all_faces=True,
        scene=True,
        textured=True,
        printable=True,
        extent=pb.EXTENT_FACE,
        delight=True,
        topology=pb.TOPOLOGY_VOLUME,
        compression=pb.COMPRESSION_NONE,
    )
    assert request.settings.priority == pb.PRIORITY_INTERACTIVE


def test_a_face_that_moves_reaches_the_service(script: Script, photos: Path) -> None:
    arguments = ["-o", "me.glb", "--topology", "head", "--rigged", "--neutral", "--compression", "meshopt"]
    assert main(["reconstruct", str(photos / "a.jpg"), *arguments]) == 0
    options = script.requests("CreateJob")[0].settings.options
    assert (options.topology, options.rigged, options.neutral) == (pb.TOPOLOGY_HEAD, True, True)
    assert options.compression == pb.COMPRESSION_MESHOPT


def test_a_rig_needs_a_format_that_holds_one(photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", str(photos / "a.jpg"), "--rigged", "-o", "me.ply"]) == 2
    assert "--rigged needs --format glb" in capfd.readouterr().err
    assert main(["reconstruct", str(photos / "a.jpg"), "--compression", "meshopt", "-o", "me.ply"]) == 2
    assert "--compression needs --format glb" in capfd.readouterr().err


def test_all_faces_get_files_of_their_own(
    script: Script, running: Running, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    running.service.meshes = [make_ply(300), make_ply(40)]
    script.outcome = succeeded(*running.service.meshes)
    assert main(["reconstruct", str(photos / "a.jpg"), "-o", "two.ply", "--all-faces", "--json"]) == 0
    [outcome] = lines(capfd)
    assert [face["mesh"] for face in outcome["faces"]] == ["two.ply", "two-2.ply"]
    assert [(tmp_path / face["mesh"]).read_bytes() for face in outcome["faces"]] == running.service.meshes


def test_the_faces_of_a_scene_share_a_file(script: Script, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script.outcome = succeeded(MESH, b"")
    assert main(["reconstruct", str(photos / "a.jpg"), "--all-faces", "--scene", "--json"]) == 0
    [outcome] = lines(capfd)
    assert [face["mesh"] for face in outcome["faces"]] == ["a.ply", "a.ply"]


@pytest.mark.usefixtures("script")
def test_a_place_that_cannot_be_written_is_the_photo_s_failure(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_bytes(b"a file in the way")
    assert main(["reconstruct", str(photos / "a.jpg"), "-o", str(tmp_path / "out"), "--json"]) == 1
    [outcome] = lines(capfd)
    assert outcome["error"]["reason"] == "OUTPUT_UNWRITABLE"


def test_the_token_comes_from_the_file_or_the_environment(
    script: Script, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("SELFIE3D_TOKEN", "from-environment")
    photo = str(photos / "a.jpg")
    for arguments in ([], ["--token-file", str(tmp_path / "token")]):
        script.metadata.clear()
        assert main(["reconstruct", photo, *arguments]) == 0
        source = "file" if arguments else "environment"
        assert {entry["authorization"] for entry in script.metadata} == {f"Bearer from-{source}"}


def test_ctrl_c_cancels_what_runs_and_ends_with_130(script: Script, running: Running, photos: Path) -> None:
    script.hold.clear()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "selfie3d_cli", "reconstruct", str(photos), "--server", running.address]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True) as process:
        while len(script.requests("WatchJob")) < 3:
            assert process.poll() is None, process.communicate()
            script.left.wait(0.01)
        process.send_signal(signal.SIGINT)
        while len(script.requests("CancelJob")) < 3:
            assert process.poll() is None, process.communicate()
            script.left.wait(0.01)
        script.hold.set()
        assert process.wait(30) == 130
    assert {job.state for job in script.jobs.values()} == {pb.JOB_STATE_CANCELLED}


class Turnstile(threading.Event):
    """Lets a few waits through, however it is set; the others wait as for any event."""

    def __init__(self, few: int) -> None:
        super().__init__()
        self._tickets = list(range(few))

    def wait(self, timeout: float | None = None) -> bool:
        try:
            self._tickets.pop()
        except IndexError:
            return super().wait(timeout)
        return True


def test_ctrl_c_in_a_folder_tells_what_is_done_and_what_is_not(script: Script, running: Running, photos: Path) -> None:
    for number in range(5):
        (photos / f"d{number}.jpg").write_bytes(b"photo")
    info = error_details_pb2.ErrorInfo(reason="PHOTO_CORRUPT")
    script.errors["CreateJob"] = [rich_error(code_pb2.INVALID_ARGUMENT, "It is damaged.", info)]
    script.hold = Turnstile(2)  # two of the eight are done, one is damaged, four run and one has not begun
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [
        sys.executable,
        "-m",
        "selfie3d_cli",
        "reconstruct",
        str(photos),
        "-o",
        "out",
        "--server",
        running.address,
    ]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        said = sorted(process.stderr.readline().partition(" ")[0] for _ in range(3))
        assert said == ["done", "done", "failed"]
        while len(script.requests("WatchJob")) < 6:
            script.left.wait(0.01)
        process.send_signal(signal.SIGINT)
        while len(script.requests("CancelJob")) < 4:
            assert process.poll() is None, process.communicate()
            script.left.wait(0.01)
        script.hold.set()
        summary = "interrupted: 2 of 8 photos reconstructed, 1 PHOTO_CORRUPT, 5 not done\n"
        assert process.stderr.read() == summary
        assert process.wait(30) == 130


def test_a_missing_token_is_asked_for_by_the_names_of_the_command(
    script: Script, running: Running, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    info = error_details_pb2.ErrorInfo(reason="TOKEN_MISSING")
    script.errors["CreateJob"] = [rich_error(code_pb2.UNAUTHENTICATED, "This service wants metadata.", info)]
    assert main(["reconstruct", str(photos / "a.jpg"), "--json"]) == 1
    [outcome] = lines(capfd)
    text = f"The service at {running.address} wants a token: give it with --token-file FILE or in SELFIE3D_TOKEN."
    assert outcome["error"] == {"reason": "TOKEN_MISSING", "message": text}


@pytest.mark.usefixtures("script")
def test_a_full_standard_output_ends_it_with_a_sentence(photos: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "selfie3d_cli", "reconstruct", str(photos), "--json"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.stderr == "selfie3d: standard output cannot be written: No space left on device.\n"
    assert ended.returncode == 1


def test_a_service_that_is_away_fails_every_photo(photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", str(photos / "a.jpg"), "--server", "localhost:1", "--json", "--timeout", "0.5"]) == 1
    [outcome] = lines(capfd)
    assert outcome["error"] == {
        "reason": "UNAVAILABLE",
        "message": "Nothing listens at localhost:1: start a service with `selfie3d up`, or correct the address.",
    }


def test_photos_of_one_person_are_one_job_with_one_file(
    script: Script, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script.outcome.views.extend([pb.PhotoView(index=0, weight=1.0, pose={"yaw": 5}), pb.PhotoView(left_out="BLURRED")])
    script.outcome.views[1].index = 1
    given = [str(photos / "a.jpg"), str(photos / "b.png")]
    assert main(["reconstruct", "--one-person", *given, "-o", str(tmp_path / "head.ply"), "--json"]) == 0
    [outcome] = lines(capfd)
    assert list(outcome) == [*KEYS, "photos", "views"]
    assert (outcome["photo"], outcome["photos"]) == (given[0], given)
    assert outcome["faces"][0]["mesh"] == str(tmp_path / "head.ply")
    assert outcome["views"] == [
        {"photo": 0, "weight": 1.0, "pose": {"yaw": 5.0, "pitch": 0.0, "roll": 0.0}, "left_out": None},
        {"photo": 1, "weight": 0.0, "pose": None, "left_out": "BLURRED"},
    ]
    [request] = script.requests("CreateJob")
    assert [request.photo, *request.more_photos] == [b"a.jpg", b"b.png"]
    assert request.settings.one_person
    assert request.settings.priority == pb.PRIORITY_INTERACTIVE


def test_a_missing_photo_of_one_person_is_named_and_nothing_is_sent(
    script: Script, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconstruct", "--one-person", str(photos / "a.jpg"), "not/there.jpg", "--json"]) == 1
    [outcome] = lines(capfd)
    assert outcome["error"]["reason"] == "PHOTO_UNREADABLE"
    assert outcome["error"]["message"].startswith("not/there.jpg cannot be read")
    assert script.calls == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--all-faces"], "--all-faces and --one-person exclude"),
        (["--printable"], "--printable does not go together with --one-person"),
        (["--extent", "face"], "--extent does not go together with --one-person"),
        (["--local", "--volume", "v.raw"], "--volume"),
    ],
)
def test_what_does_not_go_with_one_person_is_told_before_anything_is_sent(
    script: Script, photos: Path, arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconstruct", "--one-person", str(photos / "a.jpg"), *arguments]) == 2
    assert words in capfd.readouterr().err
    assert script.calls == []


def test_a_folder_of_more_photos_than_a_person_may_have_is_refused(
    script: Script, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(17):
        (tmp_path / f"{number}.jpg").write_bytes(b"a photo")
    assert main(["reconstruct", "--one-person", str(tmp_path)]) == 2
    assert "1 to 16 photos, not 17" in capfd.readouterr().err
    assert script.calls == []
