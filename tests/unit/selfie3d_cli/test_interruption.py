"""Ctrl-C in a run over a folder that is made in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from selfie3d import Result
from selfie3d_cli import reconstruct
from selfie3d_cli.main import main
from selfie3d_cli.outcome import PhotoFailedError


class Interrupted:
    """A backend that is interrupted at its third photo; the first has no face."""

    at_once = 1
    engine = None

    def __init__(self) -> None:
        self.photos: list[bytes] = []
        self.abandoned = self.closed = False

    def reconstruct(self, photo: bytes, on_progress: Callable[[str, float], None]) -> Result:
        del on_progress
        self.photos.append(photo)
        if len(self.photos) == 1:
            raise PhotoFailedError("NO_FACE", "No face was found.")
        if len(self.photos) == 3:
            raise KeyboardInterrupt
        return Result(faces=(), seconds={})

    def abandon(self) -> None:
        self.abandoned = True

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("json", [False, True])
def test_what_is_done_is_told_and_nothing_else_is_begun(
    json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(f"{number}".encode())
    backend = Interrupted()
    monkeypatch.setattr(reconstruct, "open_local", lambda *_: backend)
    assert main(["reconstruct", "--local", str(tmp_path), *(["--json"] if json else [])]) == 130
    assert backend.photos == [b"0", b"1", b"2"]
    assert (backend.abandoned, backend.closed) == (True, True)
    said = capfd.readouterr()
    summary = "interrupted: 1 of 5 photos reconstructed, 1 NO_FACE, 3 not done"
    assert said.err.splitlines()[-1:] == ([] if json else [summary])
    assert len(said.out.splitlines()) == (2 if json else 0)
