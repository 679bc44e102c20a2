"""Bars, lines and last words of `selfie3d reconstruct`, on a terminal and without one."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from selfie3d_cli.outcome import Outcome, PhotoFailedError
from selfie3d_cli.progress import ProgressView

ESCAPE = "\x1b[2J"  # empties a terminal
MOVES = re.compile(r"\x1b\[A|\r|\n")  # what bars are redrawn with
DONE = Outcome("a.jpg", meshes=(Path("a.ply"),), seconds={"network": 0.5, "colour": 0.25})
FAILED = Outcome(f"{ESCAPE}b.jpg", failure=PhotoFailedError("NO_FACE", f"No\n{ESCAPE}face."))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def two_photos(view: ProgressView) -> None:
    """The first is done, the second fails."""
    with view:
        bars = [view.start(outcome.photo) for outcome in (DONE, FAILED)]
        view.advance(bars[0], "colour", 0.75)
        view.finish(bars[0], DONE)
        view.finish(bars[1], FAILED)
    view.summarise()


def test_without_a_terminal_there_are_lines_and_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    view = ProgressView(2, quiet=False)
    two_photos(view)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "done   a.jpg -> a.ply in 0.75 s",
        "failed \N{REPLACEMENT CHARACTER}[2Jb.jpg: No \N{REPLACEMENT CHARACTER}[2Jface. (NO_FACE)",
        "1 of 2 photos reconstructed, 1 NO_FACE",
    ]
    assert view.outcomes == [DONE, FAILED]


def test_a_quiet_view_without_a_terminal_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    two_photos(ProgressView(2, quiet=True))
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_bars_takes_them_away_and_obeys_no_photo(terminal: Terminal) -> None:
    with redirect_stderr(terminal):
        two_photos(ProgressView(2, quiet=False))
    drawn = terminal.getvalue()
    assert ESCAPE not in drawn
    pieces = [piece for piece in MOVES.split(drawn) if piece.strip()]
    assert any(re.fullmatch(r"a\.jpg +colour +#{18} {6} 00:0\d", piece) for piece in pieces)
    assert any(re.fullmatch(r"all photos +#{12} {12} 00:0\d", piece) for piece in pieces)
    assert "\x1b[32mdone\x1b[0m   a.jpg -> a.ply in 0.75 s" in pieces
    assert pieces[-1] == "1 of 2 photos reconstructed, 1 NO_FACE"
    assert screen(drawn) == [
        "\x1b[32mdone\x1b[0m   a.jpg -> a.ply in 0.75 s",
        "\x1b[31mfailed\x1b[0m \N{REPLACEMENT CHARACTER}[2Jb.jpg: No \N{REPLACEMENT CHARACTER}[2Jface. (NO_FACE)",
        "1 of 2 photos reconstructed, 1 NO_FACE",
    ]


def test_what_an_interruption_gave_up_is_not_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    view = ProgressView(2, quiet=False)
    with view:
        view.finish(view.start(DONE.photo), DONE)
        bar = view.start(FAILED.photo)
        view.interrupt()
        view.finish(bar, FAILED)
    view.summarise()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "interrupted: 1 of 2 photos reconstructed, 1 not done"


def screen(drawn: str) -> list[str]:
    """What is left of it on a screen: lines written over by the moves of `MOVES`."""
    lines, row = [""], 0
    for piece in re.split(r"(\x1b\[A|\r|\n)", drawn):
        if piece == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif piece == "\x1b[A":
            row -= 1
        elif piece != "\r":
            lines[row] = piece if piece.strip() else ""
    return [line for line in lines if line]
