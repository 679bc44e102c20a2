"""Whatever is written is there whole or not at all: on a full disk, on a read-only one, and below a file."""

from __future__ import annotations

import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from selfie3d.types import MeshFile
from selfie3d.types.atomic_file import REMEDIES, replacing, write_atomically
from selfie3d.types.frames import Grid
from selfie3d_cli.download import download
from selfie3d_cli.main import main
from selfie3d_training import pictures
from selfie3d_training.engine import append_line
from selfie3d_training.evaluate import report
from selfie3d_training.guided.dense_errors import DenseErrors
from tests import torch7_writer as t7
from tests.official_net import Maker, Sizes
from vrn.files.volume_file import write_volume
from vrn.meshing.field import Field
from vrn.official.importer import import_official
from vrn.weights import file as weights

GOOD = b"kind,step\r\nwhat was there before,1\r\n"
MEBIBYTE = 1 << 20
CONTENT = np.random.default_rng(1).bytes(2 * MEBIBYTE)

Writer = Callable[[Path], object]


def token(path: Path) -> None:
    if main(["token", "anna", "--file", str(path)]) != 0:
        raise OSError


def mesh(path: Path) -> None:
    MeshFile.of(CONTENT, "ply", "model/ply", ".ply").save(path)


def volume(path: Path) -> None:
    field = Field(np.zeros(Grid.paper().shape, np.float32), Grid.paper(), 0.5)
    write_volume(path, field)


def imported(path: Path) -> None:
    import_official(SOURCE[0], path)


def checkpoint(path: Path) -> None:
    with replacing(path) as part, part.open("wb") as file:
        torch.save({"average": torch.zeros(MEBIBYTE)}, file)


WRITERS: dict[str, tuple[str, Writer]] = {
    "mesh": ("me.ply", mesh),
    "preview": ("me.png", partial(write_atomically, data=CONTENT)),
    "volume, raw": ("me.raw", volume),
    "volume, npy": ("me.npy", volume),
    "token file": ("tokens.toml", token),
    "imported weights": ("official.safetensors", imported),
    "trained weights": ("own.safetensors", lambda path: weights.write(path, {}, {"w": torch.zeros(MEBIBYTE)})),
    "checkpoint": ("checkpoint.pt", checkpoint),
    "training log": ("log.csv", lambda path: append_line(path, {"kind": "train", "step": 1})),
    "metrics": ("metrics.json", lambda path: report(None, [], path.parent)),  # type: ignore[arg-type]
    "picture": ("worst.png", lambda path: pictures.save(path, np.zeros((64, 64, 3), np.uint8))),
    "errors": (
        "e.npz",
        lambda path: DenseErrors(np.zeros((9, 160, 3), np.float32), np.zeros(9, np.float32)).save(path),
    ),
}
SOURCE: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def source(tmp_path_factory: pytest.TempPathFactory) -> None:
    SOURCE[:] = [t7.save(tmp_path_factory.mktemp("source") / "net.t7", Maker(Sizes(), seed=1).network())]


class Disk:
    """A folder on a disk of 1 MiB; where none may be mounted, a folder and this process's limit of file size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        self.mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        self._limit = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        """From now on nothing more can be written."""
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._limit[1]))
            return
        with suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass

    def protect(self) -> None:
        """From now on it is read-only. Where nothing may be mounted this test runs as a user without rights."""
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)
        else:
            self.folder.chmod(0o500)

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limit)
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        else:
            self.folder.chmod(0o700)

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"filler"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    yield made
    made.free()


def failure(write: Writer, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the user reads."""
    with pytest.raises(Exception) as raised:  # noqa: PT011
        write(path)
    assert type(raised.value).__name__ in {"OSError", "PermissionError", "NotADirectoryError", "FileExistsError",
                                           "WeightsError"}  # fmt: skip
    return str(raised.value) if str(raised.value) else capsys.readouterr().err


@pytest.mark.parametrize("kind", WRITERS)
def test_on_a_full_disk_the_old_file_stays_and_the_error_names_it(
    disk: Disk, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, write = WRITERS[kind]
    path = disk.folder / name
    path.write_bytes(GOOD)
    disk.fill()
    text = failure(write, path, capsys)
    assert path.read_bytes() == GOOD
    assert disk.files() == {name}
    assert name in text
    assert "make room there" in text or "ulimit" in text


@pytest.mark.parametrize("kind", WRITERS)
def test_on_a_read_only_disk_the_error_names_the_file_and_what_to_do(
    disk: Disk, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, write = WRITERS[kind]
    path = disk.folder / name
    path.write_bytes(GOOD)
    disk.protect()
    text = failure(write, path, capsys)
    assert path.read_bytes() == GOOD
    assert name in text
    assert "choose another place" in text


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("below", [".", "deeper"])
def test_below_a_file_the_error_names_the_path(
    tmp_path: Path, kind: str, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, write = WRITERS[kind]
    (tmp_path / "file").write_bytes(GOOD)
    text = failure(write, tmp_path / "file" / below / name, capsys)
    assert "a part of the path is a file: choose another place" in text
    assert str(tmp_path / "file") in text


@pytest.mark.parametrize("kind", WRITERS)
def test_where_there_is_room_each_of_them_writes_and_leaves_nothing_else(tmp_path: Path, kind: str) -> None:
    name, write = WRITERS[kind]
    folder = tmp_path / "new"
    write(folder / name)
    assert (folder / name).stat().st_size
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


class Sender(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def test_a_download_to_a_full_disk_keeps_the_old_file(disk: Disk) -> None:
    path = disk.folder / "s3fd.pth"
    path.write_bytes(GOOD)
    with ThreadingHTTPServer(("127.0.0.1", 0), Sender) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            disk.fill()
            with pytest.raises(Exception, match=r"s3fd\.pth: .*(make room there|ulimit)"):
                download(f"http://127.0.0.1:{server.server_port}/s3fd.pth", path, "", lambda *_: None)
        finally:
            server.shutdown()
            thread.join()
    assert path.read_bytes() == GOOD
    assert disk.files() == {"s3fd.pth"}


def test_the_manifest_stays_whole_when_the_line_of_a_new_file_finds_no_room(disk: Disk) -> None:
    weights.write(disk.folder / "old.safetensors", {}, {"w": torch.zeros(4)})
    before = (disk.folder / weights.MANIFEST).read_bytes()
    (disk.folder / "new.safetensors").write_bytes(GOOD)
    disk.fill()
    with pytest.raises(OSError, match="SHA256SUMS"):
        weights.record(disk.folder / "new.safetensors")
    assert (disk.folder / weights.MANIFEST).read_bytes() == before


def test_a_token_is_not_shown_when_its_entry_could_not_be_kept(disk: Disk, capsys: pytest.CaptureFixture[str]) -> None:
    disk.fill()
    assert main(["token", "anna", "--file", str(disk.folder / "tokens.toml")]) == 2
    assert capsys.readouterr().out == ""


def test_a_token_file_keeps_its_permissions_and_a_link_stays_a_link(tmp_path: Path) -> None:
    kept, link = tmp_path / "kept.toml", tmp_path / "link.toml"
    token(kept)
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.chmod(0o640)
    link.symlink_to(kept)
    token(link)
    assert kept.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert kept.read_text().count("[[tokens]]") == 2


def test_entries_of_tokens_made_at_the_same_moment_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    threads = [threading.Thread(target=token, args=[path]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text().count("[[tokens]]") == 16


def test_a_device_is_written_and_never_replaced() -> None:
    write_atomically("/dev/null", b"nothing")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match=r"make room there.*/dev/full"):
        write_atomically("/dev/full", b"nothing")
    assert not list(Path("/dev").glob("*.part"))


def test_an_error_that_is_none_of_the_file_passes_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError, match=r"^the peer$"), replacing(tmp_path / "file"):
        raise ConnectionResetError("the peer")
    with pytest.raises(FileNotFoundError, match="elsewhere"), replacing(tmp_path / "file"):
        Path("/elsewhere/source").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_every_remedy_is_a_sentence_without_its_end() -> None:
    assert all(text and not text.endswith(".") for text in REMEDIES.values())
