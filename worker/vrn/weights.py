"""Weights that know their network: safetensors with the configuration in the metadata and a SHA-256 beside them.

A weights file holds the tensors (fp16 as shipped, computed with in fp32) and two strings of JSON: `config`, from
which the network is built, and `metrics`, what was measured with it. `SHA256SUMS` in the same folder, in the format
of ``sha256sum``, lists the files that must not change. Nothing is ever unpickled and nothing is fetched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from vrn.errors import WeightsError

FOLDER = Path(__file__).parent / "weights_data"
SUFFIX = ".safetensors"
MANIFEST = "SHA256SUMS"
COUNTERS = "num_batches_tracked"  # of batch normalisation; plays no part in inference and is not stored

Config = dict[str, Any]
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Weights:
    """What a weights file holds.

    Attributes
    ----------
    config : the network's configuration, `family` names its kind
    tensors : name to float32 tensor (integers stay integers)
    metrics : what was measured with these weights
    sha256 : of the file, hexadecimal
    """

    config: Config
    tensors: Tensors
    metrics: Config
    sha256: str


def bundled(name: str) -> Path:
    """The file of the weights that ship with the package, e.g. ``default``. Raises WeightsError for other names."""
    path = FOLDER / f"{name}{SUFFIX}"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in FOLDER.glob(f"*{SUFFIX}"))) or "none"
        raise WeightsError(f"no weights called {name!r} ship with selfie3d (there are: {names})")
    return path


def resolve(name_or_path: str | Path) -> Path:
    """A path to an existing file, or the name of bundled weights, as a path."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    if isinstance(name_or_path, Path) or path.suffix or len(path.parts) > 1:
        raise WeightsError(f"{path} does not exist: expected a {SUFFIX} file")
    return bundled(str(name_or_path))


def load(path: Path) -> Weights:
    """Read and check a weights file.

    Raises WeightsError when it is missing, is no safetensors file, differs from its SHA-256, carries no
    configuration or holds a number that is not finite.
    """
    sha256 = verify(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: _single(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise WeightsError(f"{path} is no safetensors file: {error}") from error
    _check_finite(path, tensors)
    return Weights(
        _json(path, metadata, "config"), tensors, _json(path, {"metrics": "{}"} | metadata, "metrics"), sha256
    )


def read(path: Path) -> tuple[Config, Tensors]:
    """Configuration and float32 tensors of a checked weights file; see :func:`load`."""
    weights = load(path)
    return weights.config, weights.tensors


def write(
    path: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    metrics: Mapping[str, Any] | None = None,
    *,
    half: bool = True,
) -> str:
    """Write a weights file and its line of the manifest; returns the SHA-256.

    half : store floating-point tensors as fp16, otherwise as fp32
    Raises WeightsError when a number is not finite in the stored precision.
    """
    dtype = torch.float16 if half else torch.float32
    stored = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in tensors.items()
        if not name.endswith(COUNTERS)
    }
    _check_finite(path, stored)
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {"config": json.dumps(dict(config)), "metrics": json.dumps(dict(metrics or {}))}
    save_file(stored, path, texts)
    digest = hash_of(path)
    _write_manifest(path.parent, manifest(path.parent) | {path.name: digest})
    return digest


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


def fill(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put tensors into a module. Raises WeightsError when names or shapes are not exactly the module's."""
    wanted = {name: t for name, t in module.state_dict().items() if not name.endswith(COUNTERS)}
    missing, unexpected = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or unexpected:
        raise WeightsError(
            f"the weights do not fit the network: expected {len(wanted)} tensors, found {len(tensors)}"
            f"; missing: {_some(missing)}; unexpected: {_some(unexpected)}"
        )
    for name, tensor in wanted.items():
        if tensor.shape != tensors[name].shape:
            raise WeightsError(f"{name}: expected shape {tuple(tensor.shape)}, found {tuple(tensors[name].shape)}")
    module.load_state_dict(dict(tensors), strict=False)


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


def _write_manifest(folder: Path, digests: Mapping[str, str]) -> None:
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items()) if (folder / name).is_file()]
    (folder / MANIFEST).write_text("".join(lines), "utf-8")


def _single(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _check_finite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: expected finite numbers in {name}, found NaN or infinity")


def _json(path: Path, metadata: Mapping[str, str], key: str) -> Config:
    try:
        value = json.loads(metadata[key])
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path}: expected JSON under {key!r} in the metadata, found none") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: expected an object under {key!r} in the metadata, found {type(value).__name__}")
    return value


def _some(names: list[str], most: int = 3) -> str:
    if not names:
        return "none"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
