"""Where weights lie and what their files must hash to.

Weights that ship with the package lie in `FOLDER`, weights that the user imported in `installed()`. `SHA256SUMS`
beside them, in the format of ``sha256sum``, lists the files that must not change. This module imports neither torch
nor anything that does.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from selfie3d.types.atomic_file import write_atomically
from vrn.errors import WeightsError

FOLDER = Path(__file__).parent / "data"
SUFFIX = ".safetensors"
GRAPH_SUFFIX = ".onnx"  # the operations of a network, whose weights lie in the file of the same name with SUFFIX
MANIFEST = "SHA256SUMS"
OFFICIAL = "official"  # the name under which the released network is imported


def installed() -> Path:
    """The folder of weights that the user imported."""
    return Path.home() / ".local" / "share" / "selfie3d" / "weights"


def aligner_folder() -> Path:
    """The folder of the face-alignment package's weights, unless the user points to another."""
    return Path.home() / ".local" / "share" / "selfie3d" / "face-alignment"


def bundled(name: str) -> Path:
    """The file of the weights that ship with the package, e.g. ``default``. Raises WeightsError for other names."""
    path = FOLDER / f"{name}{SUFFIX}"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in FOLDER.glob(f"*{SUFFIX}"))) or "none"
        raise WeightsError(f"no weights called {name!r} ship with selfie3d (there are: {names})")
    return path


def resolve(name_or_path: str | Path) -> Path:
    """A path to an existing file, or the name of weights that ship or were imported, as a path."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    if isinstance(name_or_path, Path) or path.suffix or len(path.parts) > 1:
        raise WeightsError(f"{path} does not exist: expected a {SUFFIX} file")
    imported = installed() / f"{path.name}{SUFFIX}"
    if imported.is_file():
        return imported
    if path.name == OFFICIAL:
        raise WeightsError(f"{imported} does not exist: run `selfie3d weights import vrn-unguided.t7` to make it")
    return bundled(path.name)


def verify(path: Path) -> str:
    """The SHA-256 of a weights file, compared with the manifest beside it.

    Raises WeightsError when the file is missing or differs, or is a bundled one that no manifest lists. A file of
    the user's own without a manifest is taken as it is.
    """
    if not path.is_file():
        raise WeightsError(f"{path} does not exist")
    found = hash_of(path)
    expected = manifest(path.parent).get(path.name)
    if expected is None and path.parent == FOLDER:
        raise WeightsError(f"{path.name} is not listed in {path.parent / MANIFEST}")
    if expected is not None and expected != found:
        raise WeightsError(f"{path} is damaged: expected SHA-256 {expected}, found {found}")
    return found


def verify_bundled() -> dict[str, str]:
    """The SHA-256 of every bundled file by name. Raises WeightsError for one that is missing or differs."""
    return {name: verify(FOLDER / name) for name in sorted(manifest(FOLDER))}


def hash_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(folder: Path) -> dict[str, str]:
    """File name to SHA-256 as SHA256SUMS in `folder` lists them; empty where there is none."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    rows = [line.split(maxsplit=1) for line in path.read_text("utf-8").splitlines() if line.strip()]
    if any(len(row) != 2 for row in rows):
        raise WeightsError(f"{path} is damaged: expected lines of a SHA-256 and a file name")
    return {name.lstrip("*").strip(): digest for digest, name in rows}


def record(path: Path) -> str:
    """Hash a file that was just written, note it in the manifest beside it and return the SHA-256."""
    digests = manifest(path.parent) | {path.name: hash_of(path)}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items()) if (path.parent / name).is_file()]
    write_atomically(path.parent / MANIFEST, "".join(lines).encode())
    return digests[path.name]
