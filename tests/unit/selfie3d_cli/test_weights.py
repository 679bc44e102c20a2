"""`selfie3d weights`, run as the command runs it, with a loopback server in the place of the publishers."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from selfie3d_cli.download import download, published_prefix
from selfie3d_cli.errors import CommandError
from selfie3d_cli.main import main
from tests import torch7_writer as t7
from tests.official_net import Maker, Sizes
from vrn.network import load_network

S3FD = "s3fd-619a316812.pth"
BODY = b"weights " * 1000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own for every test."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SELFIE3D_FACE_ALIGNMENT_WEIGHTS", raising=False)
    return tmp_path / "home"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return t7.save(tmp_path / "vrn-unguided.t7", Maker(Sizes(), seed=1).network())


class Publisher(BaseHTTPRequestHandler):
    """Serves `BODY` under every name but two."""

    asked: list[str]

    def do_GET(self) -> None:
        """Answer, break off, or know nothing."""
        self.asked.append(self.path)
        if self.path.endswith("missing.bin"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:100] if self.path.endswith("short.bin") else BODY)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def publisher() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and the paths it was asked for."""
    Publisher.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Publisher) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Publisher.asked
        server.shutdown()
        thread.join()


def test_an_imported_network_is_listed_verified_and_loaded_by_its_name(
    source: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "import", str(source), "--bn", "running"]) == 0
    assert "SELFIE3D_MODEL=official" in capsys.readouterr().out
    assert main(["weights", "list", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    path = Path(entries["official"]["path"])
    assert path.is_relative_to(home)
    assert entries["official"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert main(["weights", "verify", "official"]) == 0
    assert load_network("official").config["bn"] == "running"


def test_a_changed_file_fails_verification_and_is_not_loaded(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["weights", "import", str(source), "--half", "--name", "mine"])
    capsys.readouterr()
    main(["weights", "list", "--json"])
    path = Path(next(e["path"] for e in json.loads(capsys.readouterr().out) if e["name"] == "mine"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert main(["weights", "verify", "mine"]) == 1
    assert "damaged: expected SHA-256" in capsys.readouterr().out
    assert main(["weights", "verify"]) == 1


def test_an_output_file_can_be_named(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "weights" / "some.safetensors"
    assert main(["weights", "import", str(source), "-o", str(target)]) == 0
    assert load_network(target).config["family"] == "official"


@pytest.mark.parametrize("arguments", [["-o", "x.bin"], ["--name", "../official"]])
def test_targets_that_make_no_sense_are_wrong_arguments(
    source: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "import", str(source), *arguments]) == 2
    assert arguments[1] in capsys.readouterr().err


def test_a_file_of_something_else_says_what_was_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = t7.save(tmp_path / "other.t7", {"weight": t7.tensor(np.ones(3))})
    assert main(["weights", "import", str(path)]) == 1
    assert "expected Sequential at the root, found a table of 1 entries" in capsys.readouterr().err
    assert main(["weights", "import", str(tmp_path / "none.t7")]) == 1
    assert "none.t7: cannot be read" in capsys.readouterr().err


def test_the_model_that_was_not_imported_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "verify", "official"]) == 1
    assert "selfie3d weights import" in capsys.readouterr().out


def test_fetch_refuses_files_that_differ_from_their_published_checksum(
    publisher: tuple[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "fetched"
    assert main(["weights", "fetch", "--folder", str(folder), "--mirror", publisher[0]]) == 1
    assert "expected a SHA-256 of 619a316812..., found" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_fetch_takes_what_is_there_and_notes_checksums_of_what_it_fetches(
    publisher: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vrn.finder import face_alignment

    name = f"net-{hashlib.sha256(BODY).hexdigest()[:10]}.pth"
    files = [face_alignment.WeightsFile(each, f"https://nowhere.invalid/{each}") for each in (name, "plain.npy")]
    monkeypatch.setattr(face_alignment, "required_files", lambda *_: files)
    monkeypatch.setenv("SELFIE3D_FACE_ALIGNMENT_WEIGHTS", str(tmp_path / "fetched"))
    command = ["weights", "fetch", "--mirror", publisher[0]]
    assert main(command) == 0
    assert (tmp_path / "fetched" / name).read_bytes() == BODY
    sums = (tmp_path / "fetched" / "SHA256SUMS").read_text()
    assert sums.count(hashlib.sha256(BODY).hexdigest()) == 2
    assert publisher[1] == [f"/{name}", "/plain.npy"]
    assert main(command) == 0
    assert len(publisher[1]) == 2  # nothing is fetched twice
    (tmp_path / "fetched" / "plain.npy").write_bytes(b"damaged")
    assert main(["weights", "verify"]) == 1
    assert main(command) == 0
    assert publisher[1][2:] == ["/plain.npy"]
    assert main(["weights", "verify"]) == 0


@pytest.mark.parametrize(
    ("address", "reason"), [("missing.bin", "Not Found"), ("short.bin", "broke off|IncompleteRead|100")]
)
def test_a_download_that_fails_leaves_nothing(
    publisher: tuple[str, list[str]], tmp_path: Path, address: str, reason: str
) -> None:
    path = tmp_path / address
    path.write_bytes(b"old")
    with pytest.raises(CommandError, match=reason):
        download(f"{publisher[0]}/{address}", path, "", lambda *_: None)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [address]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "data:,x"])
def test_only_http_is_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(CommandError, match="only http and https"):
        download(url, tmp_path / "x", "", lambda *_: None)


def test_checksums_are_those_in_the_published_names() -> None:
    assert published_prefix(S3FD) == "619a316812"
    assert published_prefix("2DFAN4-11f355bf06.pth.tar") == "11f355bf06"
    assert published_prefix("face_detection_yunet_2023mar.onnx") == ""


def test_without_the_package_fetch_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "face_alignment"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    assert main(["weights", "fetch"]) == 3
    assert ".[face-alignment]" in capsys.readouterr().err
