"""The TypeScript client: fresh, typed, and its example works in Node.js against a real stack."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import google.rpc
import pytest

from tests import photos
from tests.integration.selfie3d_web.test_browser import page_of
from tests.stack import ROOT, Stack

TYPESCRIPT = ROOT / "client" / "typescript"
MODULES = TYPESCRIPT / "node_modules"
PROTOS = ("selfie3d/v1/reconstruction.proto", "selfie3d/v1/admin.proto", "google/rpc/error_details.proto")


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, compiled, with its example."""
    folder = tmp_path_factory.mktemp("typescript") / "client"
    shutil.copytree(TYPESCRIPT, folder, ignore=shutil.ignore_patterns("node_modules", "dist", "*.js"))
    (folder / "node_modules").symlink_to(MODULES)
    for project in ("tsconfig.json", "example.json"):
        run(MODULES / ".bin" / "tsc", "-p", project, folder=folder)
    return folder


def test_the_generated_files_are_those_of_the_protos(tmp_path: Path) -> None:
    common = Path(next(iter(google.rpc.__path__))).parents[1]
    plugin = f"--plugin=protoc-gen-es={MODULES / '.bin' / 'protoc-gen-es'}"
    out = [f"--es_out={tmp_path}", "--es_opt=target=ts,import_extension=js"]
    run(sys.executable, "-m", "grpc_tools.protoc", "-Iprotos", f"-I{common}", plugin, *out, *PROTOS, folder=ROOT)
    generated = TYPESCRIPT / "src" / "gen"
    fresh = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.ts")}
    assert fresh == {path.relative_to(generated): path.read_text() for path in generated.rglob("*.ts")}, "make protos"


def test_the_example_has_ten_lines_or_so_and_makes_a_mesh(built: Path, tmp_path: Path) -> None:
    assert len((built / "example.ts").read_text().splitlines()) <= 12
    (tmp_path / "me.jpg").write_bytes(photos.astronaut())
    (tmp_path / "none.jpg").write_bytes(photos.astronaut()[:9000])
    with Stack(tmp_path) as stack, page_of(tmp_path, stack.addresses[0]) as (address, _):
        script = REFUSAL.format(built=built, address=address)
        said = run("node", built / "example.js", address, "me.jpg", "me.glb", folder=tmp_path)
        refused = run("node", "--input-type=module", "-e", script, folder=tmp_path)
    numbers = [int(line.split()[0]) for line in said.splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 5
    mesh = (tmp_path / "me.glb").read_bytes()
    assert mesh[:4] == b"glTF"
    assert int.from_bytes(mesh[8:12], "little") == len(mesh)
    assert refused == "PHOTO_CORRUPT true\n"


REFUSAL = """
import {{ readFile }} from "node:fs/promises";
import {{ connect, reasonOf }} from "{built}/dist/index.js";
const photo = await readFile("none.jpg");
const error = await connect("{address}", "a token").createJob({{ photo }}).catch((error) => error);
console.log(reasonOf(error), reasonOf(new Error("another")) === "");
"""


def test_packages_are_pinned_and_the_lock_names_no_registry() -> None:
    package = (TYPESCRIPT / "package.json").read_text()
    assert len(re.findall(r'"@?[\w/-]+": "\d+\.\d+\.\d+"', package)) == 7  # six packages and its own version
    assert "resolved" not in (TYPESCRIPT / "package-lock.json").read_text()
