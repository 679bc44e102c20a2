"""The command as a whole: arguments, exit codes, what it imports."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from selfie3d_cli.children import Child
from selfie3d_cli.main import COMMANDS, main, make_parser

WANTED = "HOST:PORT is wanted, such as localhost:50051"
NO_COUNT = "is not a whole number from 1 to 1000000"
RECONSTRUCT = ["reconstruct", "me.jpg"]
HEAVY = {"torch", "celery", "redis", "kombu", "vrn", "selfie3d_service", "selfie3d_worker", "skimage", "PIL", "trimesh"}
BLOCK = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from selfie3d_cli.main import main
code = main(sys.argv[1:])
print("loaded:", *{{name.partition(".")[0] for name in sys.modules}})
sys.exit(code)
"""


def fresh(*arguments: str, blocked: set[str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command in an interpreter of its own, in which some packages are not installed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    code = BLOCK.format(blocked=blocked or set())
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_version_says_what_is_installed_and_loads_nothing_heavy() -> None:
    done = fresh("version")
    assert done.returncode == 0
    assert done.stdout.startswith("selfie3d ")
    loaded = done.stdout.rpartition("loaded:")[2].split()
    assert set(loaded) & HEAVY == set()
    assert "selfie3d" in loaded


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "blocked", "extra"),
    [
        (["serve"], "celery", "service"),
        (["worker"], "celery", "worker"),
        (["reconstruct", "--local", "me.jpg"], "scipy", "worker"),
        (["demo"], "skimage", "worker"),
    ],
)
def test_a_missing_part_names_the_extra(arguments: list[str], blocked: str, extra: str) -> None:
    done = fresh(*arguments, blocked={blocked})
    assert done.returncode == 3, done.stderr
    assert f"{blocked} is not installed: run `pip install '.[{extra}]'`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "blocked", "missing", "extra"),
    [
        ([], {"onnxruntime", "torch"}, "onnxruntime", "worker"),
        (["--engine", "onnx"], {"onnxruntime"}, "onnxruntime", "worker"),
        (["--engine", "torch"], {"torch"}, "torch", "worker-torch"),
        (["--device", "cuda"], {"torch"}, "torch", "worker-torch"),
    ],
)
def test_a_missing_engine_names_the_extra(arguments: list[str], blocked: set[str], missing: str, extra: str) -> None:
    done = fresh("reconstruct", "--local", "me.jpg", *arguments, blocked=blocked)
    assert done.returncode == 3, done.stderr
    assert done.stderr == f"selfie3d: {missing} is not installed: run `pip install '.[{extra}]'`\n"


@pytest.mark.slow
def test_doctor_works_where_only_the_client_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFIE3D_DATA", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:  # what it is cannot be asked without the package
        monkeypatch.setenv("SELFIE3D_LISTEN", f"127.0.0.1:{taken.getsockname()[1]}")
        done = fresh("doctor", blocked=HEAVY | {"grpc_health"})
    assert "Traceback" not in done.stderr
    assert "ModuleNotFoundError" not in done.stdout


def test_every_command_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert f"usage: selfie3d {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "stl", "--textured"], "--textured needs"),
        (["--scene"], "--scene needs --all-faces"),
        (["--preview", "me.png", "--format", "glb"], "--preview with a service"),
        (["--volume", "me.raw"], "--volume needs --local"),
        (["--volume", "me.raw", "--local", "--all-faces"], "--volume needs --local"),
        (["--volume", "me.txt", "--local"], "must end in .raw or .npy"),
        (["-o", "me.obj", "--format", "ply"], "--format ply does not fit me.obj"),
        (["-o", "me.zip", "--format", "glb"], "does not fit"),
        (["--tls-ca", "not/there.pem"], "TLS is not possible: not/there.pem: No such file or directory."),
        (["--token-file", "not/there"], "not/there: No such file"),
    ],
)
def test_arguments_that_contradict_each_other_are_told_before_anything_happens(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["reconstruct", "me.jpg", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["paint"], ["reconstruct"], ["reconstruct", "a", "--local", "--server", "b:1"], ["up", "--workers", "x"]],
)
def test_unknown_arguments_end_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["up", "--workers", "0"], f"argument --workers: '0' {NO_COUNT}"),
        (["up", "--listen", "localhost:99999"], "argument --listen: 'localhost:99999': a port is at most 65535"),
        (["serve", "--listen", "50051"], f"argument --listen: '50051': the port is missing; {WANTED}"),
        (["web", "--listen", ":80"], f"argument --listen: ':80': the host is missing; {WANTED}"),
        (
            ["web", "--server", "https://a:1"],
            f"argument --server: 'https://a:1': https:// is no part of an address; {WANTED}",
        ),
        (["health", "--server", "nonsense"], f"argument --server: 'nonsense': the port is missing; {WANTED}"),
        (
            ["token", "anna", "--max-active", "-1"],
            f"argument --max-active: '-1' {NO_COUNT}",
        ),
        ([*RECONSTRUCT, "--server", "a:b"], f"argument --server: 'a:b': the port is not a number; {WANTED}"),
        ([*RECONSTRUCT, "--server", "a:0"], "argument --server: 'a:0': nothing can listen on port 0"),
        *(
            (
                [*RECONSTRUCT, "--timeout", timeout],
                f"argument --timeout: {timeout!r} is not a number of seconds above 0, 2678400 at most",
            )
            for timeout in ("-3", "0", "nan", "inf", "1e9", "soon")
        ),
        (
            [*RECONSTRUCT, "-o", "out.xyz"],
            "argument -o/--output: 'out.xyz': a mesh ends in .glb, .obj, .ply, .stl, .usdz or .zip, "
            "the name of a folder in a slash",
        ),
        (
            [*RECONSTRUCT, "--preview", "me.jpg"],
            "argument --preview: 'me.jpg': a picture ends in .png, the name of a folder in a slash",
        ),
    ],
)
def test_an_argument_that_cannot_be_used_gets_one_sentence_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    program = f"selfie3d {arguments[0]}"
    assert capsys.readouterr() == ("", f"{program}: {sentence}. See `{program} --help`.\n")


def test_a_server_in_the_environment_is_checked_alike(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFIE3D_SERVER", "nonsense")
    assert main(RECONSTRUCT) == 2
    assert capsys.readouterr().err == f"selfie3d: SELFIE3D_SERVER='nonsense': the port is missing; {WANTED}.\n"


def test_a_new_folder_and_an_old_one_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "old.xyz").mkdir()
    for text in (f"{tmp_path}/new.xyz/", str(tmp_path / "old.xyz"), "2026.11", "plain", "me.PLY"):
        assert make_parser().parse_args([*RECONSTRUCT, "-o", text]).output == Path(text)


def test_up_refuses_a_bad_setting_before_it_starts_anything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SELFIE3D_LEASE_SECONDS", "inf")
    assert main(["up", "--data", str(tmp_path / "data")]) == 2
    sentence = "service: SELFIE3D_LEASE_SECONDS='inf': a number from 1 to 3600 is wanted."
    assert capsys.readouterr() == ("", f"selfie3d: {sentence}\n")
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_a_misspelt_variable_is_named_once_and_not_handed_to_children(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFIE3D_SERVR", "a:1")
    assert main(["version"]) == 0
    sentence = "SELFIE3D_SERVR is not a setting of selfie3d and changes nothing: did you mean SELFIE3D_SERVER?"
    assert capfd.readouterr().err == f"selfie3d: {sentence}\n"
    lines: list[str] = []
    show = "import os; print(sorted(name for name in os.environ if name.startswith('SELFIE3D_')))"
    child = Child("child", [sys.executable, "-c", show], {"SELFIE3D_LISTEN": "a:1"}, lines.append)
    child.start()
    assert child.wait(30)
    assert lines == ["child | ['SELFIE3D_LISTEN', 'SELFIE3D_PARENT_PID']"]
