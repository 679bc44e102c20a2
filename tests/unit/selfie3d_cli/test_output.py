"""Standard output that is full or closed, and folders that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfie3d_cli.doctor_checks import check_disk
from selfie3d_cli.finding import Severity
from selfie3d_cli.main import main

FULL = "selfie3d: standard output cannot be written: No space left on device.\n"


def command(*arguments: str, redirection: str = "") -> subprocess.CompletedProcess[str]:
    """The command with its output redirected by a shell."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    line = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "selfie3d_cli", *arguments]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["version"], ["doctor", "--json"], ["health", "live", "--server", "localhost:1"]]
)
def test_a_full_standard_output_gets_a_sentence_and_exit_code_1(arguments: list[str]) -> None:
    ended = command(*arguments, redirection="> /dev/full")
    assert (ended.returncode, ended.stderr) == (1, FULL)


@pytest.mark.slow
def test_a_closed_standard_output_is_no_traceback() -> None:
    assert command("version", redirection=">&-").stderr == ""
    ended = command("reconstruct", "me.jpg", "--json", redirection=">&-")
    assert (ended.returncode, ended.stderr) == (2, "selfie3d: --json needs standard output, which is closed.\n")


@pytest.mark.slow
def test_a_reader_that_has_gone_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    line = [sys.executable, "-m", "selfie3d_cli", "version"]
    ended = subprocess.run(line, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_data_below_a_file_is_told_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    data = tmp_path / "file" / "data"
    assert main(["up", "--no-web", "--data", str(data)]) == 1
    said = f"{data / 'redis'} cannot be written: Not a directory. Choose another folder with --data."
    assert capsys.readouterr() == ("", f"selfie3d: {said}\n")
    [finding] = check_disk(data)
    assert (finding.level, finding.text) == (Severity.FAILURE, f"{tmp_path / 'file'} is no folder")


def test_a_token_file_below_a_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    tokens = tmp_path / "file" / "tokens.toml"
    assert main(["token", "anna", "--file", str(tokens)]) == 2
    remedy = "a part of the path is a file: choose another place"
    assert capsys.readouterr() == ("", f"selfie3d: --file {tokens}: Not a directory: {remedy}.\n")
