"""Tables and colours of the command, on a terminal of any width and where there is none."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from selfie3d_cli.table import NARROWEST, TextTable
from selfie3d_cli.terminal import columns, is_terminal, printable, styled

LONG = "Redis keeps nothing: appendonly is off, so that jobs are lost when it restarts."


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """60 columns wide."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def findings() -> TextTable:
    table = TextTable("", "check", "finding", "what to do", whole="check")
    table.add("ok", "a-check-of-some-length", "fine", "")
    table.add("failure", "redis", LONG, "Set SELFIE3D_REDIS_URL.", style="red")
    return table


def test_without_a_terminal_each_row_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    findings().show()
    assert capsys.readouterr().out.splitlines() == [
        f"         check                   {'finding':<{len(LONG)}}  what to do",
        "ok       a-check-of-some-length  fine",
        f"failure  redis                   {LONG}  Set SELFIE3D_REDIS_URL.",
    ]


def test_on_a_terminal_long_cells_are_folded_and_rows_coloured(terminal: Terminal) -> None:
    with redirect_stdout(terminal):
        findings().show()
    header, fine, *failed = terminal.getvalue().splitlines()
    assert header.startswith("\x1b[1m ")
    assert header.endswith("what to do\x1b[0m")
    assert fine == "ok       a-check-of-some-length  fine"
    assert all(re.fullmatch(r"\x1b\[31m[^\x1b]{1,60}\x1b\[0m", line) for line in failed)
    letters = "".join(line[5:-4] for line in failed).replace(" ", "")
    assert sorted(letters) == sorted(f"failureredis{LONG}SetSELFIE3D_REDIS_URL.".replace(" ", ""))


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_had_off(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with redirect_stdout(terminal):
        findings().show()
    assert "\x1b" not in terminal.getvalue()


def test_a_closed_stream_is_no_terminal() -> None:
    assert not is_terminal(None)
    assert styled("failed", "red", None) == "failed"


@given(st.text(st.characters()))
def test_no_text_of_others_reaches_a_terminal_as_a_command(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert shown.isprintable()
    assert all(before == after or not before.isprintable() for before, after in zip(text, shown, strict=True))


@pytest.mark.parametrize("text", ["", "plain", "ü", "u\u0308", "漢字", "ｶﾅ", "한국", "😀", "a\u20dd", "─"])
def test_letters_are_as_wide_as_a_terminal_has_them(text: str) -> None:
    assert columns(text) == wcswidth(text)


@given(
    st.lists(st.text(st.sampled_from("ab 漢u\u0308\x1b\n")), min_size=2, max_size=2), st.integers(2 * NARROWEST + 2, 40)
)
def test_cells_of_any_letters_keep_their_places_and_lose_nothing(cells: list[str], width: int) -> None:
    table = TextTable("first", "second")
    table.add(*cells)
    _, *lines = [line for _, line in table.lines(width)]
    assert all(columns(line) <= width for line in lines)
    letters = [letter for letter in printable("".join(cells)) if letter != " "]
    assert sorted(letter for letter in "".join(lines) if letter != " ") == sorted(letters)
