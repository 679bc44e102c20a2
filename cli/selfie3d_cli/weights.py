"""`selfie3d weights`: the networks' files: import the released one, list, verify, fetch those of face-alignment."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from selfie3d_cli.download import download, published_prefix
from selfie3d_cli.errors import CommandError, ExtraMissingError, UsageError
from selfie3d_cli.settings import from_environment
from selfie3d_cli.terminal import is_terminal


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("weights", help="import, list, verify and fetch the networks' weights")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    importing = actions.add_parser("import", help="turn the authors' vrn-unguided.t7 into weights of ours")
    importing.add_argument("file", type=Path, metavar="FILE.t7")
    importing.add_argument("--name", default="official", help="SELFIE3D_MODEL for it, default: %(default)s")
    importing.add_argument("-o", "--output", type=Path, metavar="FILE.safetensors", help="a file instead of a name")
    importing.add_argument(
        "--bn", choices=["batch", "running"], default="batch", help="statistics: of the picture as released, or stored"
    )
    importing.add_argument("--half", action="store_true", help="store fp16: half the size")
    importing.set_defaults(run=run, action=_import)

    listing = actions.add_parser("list", help="what there is, and where")
    listing.add_argument("--json", action="store_true", help="print as JSON")
    listing.set_defaults(run=run, action=_list)

    verifying = actions.add_parser("verify", help="compare files with their SHA-256")
    verifying.add_argument("names", nargs="*", metavar="NAME|FILE", help="default: all")
    verifying.set_defaults(run=run, action=_verify)

    fetching = actions.add_parser("fetch", help="download what the face-alignment finder needs")
    fetching.add_argument("--landmarks", choices=["3d", "2d"], default="3d", help="default: %(default)s")
    fetching.add_argument("--detector", default="sfd", help="default: %(default)s")
    fetching.add_argument(
        "--folder", type=Path, help="default: SELFIE3D_FACE_ALIGNMENT_WEIGHTS or the user's data folder"
    )
    fetching.add_argument("--mirror", metavar="URL", help="fetch the files below this address instead")
    fetching.set_defaults(run=run, action=_fetch)


def run(args: argparse.Namespace) -> int:
    """Carry out the action; the exit code."""
    try:
        from vrn.errors import BackendMissingError, VrnError
    except ModuleNotFoundError as error:
        raise ExtraMissingError.for_extra("worker", error.name) from error
    try:
        return int(args.action(args))
    except BackendMissingError as error:
        raise ExtraMissingError(str(error)) from error
    except VrnError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}.") from error


@dataclass(frozen=True)
class _Entry:
    """A weights file as `list` shows it."""

    name: str
    kind: str
    size: int
    sha256: str
    path: str


def _import(args: argparse.Namespace) -> int:
    from vrn.official.importer import import_official
    from vrn.weights.store import SUFFIX, installed

    if args.output and args.output.suffix != SUFFIX:
        raise UsageError(f"--output {args.output} must end in {SUFFIX}.")
    if not args.output and Path(args.name).name != args.name:
        raise UsageError(f"--name {args.name} must be a plain name; use --output for a file.")
    target = args.output or installed() / f"{args.name}{SUFFIX}"
    done = import_official(args.file, target, bn=args.bn, half=args.half)
    print(f"{done.size:,} parameters, bn: {args.bn}, {target.stat().st_size / 1e6:.1f} MB: {target}")
    print(f"SHA-256 {done.sha256}")
    print(f"use it: SELFIE3D_MODEL={args.output or args.name}")
    return 0


def _list(args: argparse.Namespace) -> int:
    entries = list(_entries())
    if args.json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2))
        return 0
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        print(f"{entry.name:{width}}  {entry.size / 1e6:8.1f} MB  {entry.sha256[:12]:12}  {entry.path}")
    return 0


def _entries() -> Iterator[_Entry]:
    from vrn.weights.store import FOLDER, SUFFIX, installed, manifest

    for kind, folder in (("bundled", FOLDER), ("imported", installed()), ("face-alignment", _aligner_folder())):
        digests = manifest(folder)
        found = {path.name for path in folder.glob(f"*{SUFFIX}")} | {n for n in digests if (folder / n).is_file()}
        for name in sorted(found):
            path = folder / name
            yield _Entry(name.removesuffix(SUFFIX), kind, path.stat().st_size, digests.get(name, ""), str(path))


def _verify(args: argparse.Namespace) -> int:
    from vrn.errors import WeightsError
    from vrn.weights.store import FOLDER, installed, manifest, resolve, verify

    failed = 0
    folders = (FOLDER, installed(), _aligner_folder())
    wanted: Sequence[str | Path] = args.names or [
        folder / name for folder in folders for name in sorted(manifest(folder))
    ]
    for name in wanted:
        try:
            path = name if isinstance(name, Path) else resolve(name)
            print(f"ok       {verify(path)}  {path}")
        except WeightsError as error:
            failed += 1
            print(f"failed   {error}")
    if not wanted:
        print("no weights are installed")
    return 1 if failed else 0


def _fetch(args: argparse.Namespace) -> int:
    from vrn.finder.open import face_alignment

    folder = args.folder or _aligner_folder()
    try:
        files = face_alignment().required_files(args.landmarks, args.detector)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    for file in files:
        url = f"{args.mirror.rstrip('/')}/{file.name}" if args.mirror else file.url
        print(f"{_fetch_one(url, folder / file.name)}  {folder / file.name}")
    return 0


def _fetch_one(url: str, path: Path) -> str:
    """Fetch a file unless the right one is there; what was done."""
    from vrn.weights.store import record

    prefix = published_prefix(path.name)
    if path.is_file() and _is_right(path, prefix):
        record(path)
        return "there    "
    with tqdm(desc=path.name, unit="B", unit_scale=True, leave=False, disable=not is_terminal(sys.stderr)) as bar:

        def advance(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        download(url, path, prefix, advance)
    record(path)
    return "fetched  " if prefix else "fetched, no published checksum"


def _is_right(path: Path, prefix: str) -> bool:
    """By the checksum noted when it was fetched, else by the one in its name; unknown files are fetched again."""
    from vrn.weights.store import hash_of, manifest

    expected = manifest(path.parent).get(path.name) or prefix
    return bool(expected) and hash_of(path).startswith(expected)


def _aligner_folder() -> Path:
    from vrn.weights.store import aligner_folder

    given = from_environment().finder_options.get("weights")
    return Path(given) if given else aligner_folder()
