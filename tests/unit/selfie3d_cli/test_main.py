"""The command as a whole: arguments, exit codes, what it imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfie3d_cli.main import COMMANDS, main, make_parser

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


def test_version_says_what_is_installed_and_loads_nothing_heavy() -> None:
    done = fresh("version")
    assert done.returncode == 0
    assert done.stdout.startswith("selfie3d ")
    loaded = done.stdout.rpartition("loaded:")[2].split()
    assert set(loaded) & HEAVY == set()
    assert "selfie3d" in loaded


@pytest.mark.parametrize(
    ("arguments", "blocked", "extra"),
    [
        (["serve"], "celery", "service"),
        (["worker"], "celery", "worker"),
        (["reconstruct", "--local", "me.jpg"], "torch", "worker"),
        (["demo"], "skimage", "worker"),
    ],
)
def test_a_missing_part_names_the_extra(arguments: list[str], blocked: str, extra: str) -> None:
    done = fresh(*arguments, blocked={blocked})
    assert done.returncode == 3, done.stderr
    assert f"{blocked} is not installed: run `pip install 'selfie3d[{extra}]'`" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_works_where_only_the_client_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFIE3D_DATA", str(tmp_path))
    done = fresh("doctor", blocked=HEAVY | {"grpc_health"})
    assert "Traceback" not in done.stderr
    assert "ModuleNotFoundError" not in done.stdout


def test_every_command_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
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
        (["--tls-ca", "not/there.pem"], "not/there.pem: No such file"),
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
    [[], ["paint"], ["reconstruct"], ["reconstruct", "a", "--local", "--server", "b"], ["up", "--workers", "x"]],
)
def test_unknown_arguments_end_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(arguments)
    assert ended.value.code == 2


def test_up_needs_a_worker(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--workers", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err
