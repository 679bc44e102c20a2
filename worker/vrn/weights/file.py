"""Weights that know their network: safetensors with the configuration in the metadata and a SHA-256 beside them.

A weights file holds the tensors (fp16 as shipped, computed with in fp32) and two strings of JSON: `config`, from
which the network is built, and `metrics`, what was measured with it. `SHA256SUMS` in the same folder, in the format
of ``sha256sum``, lists the files that must not change. Nothing is ever unpickled and nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from selfie3d.types.atomic_file import replacing
from vrn.errors import WeightsError
from vrn.weights.read import Weights, load
from vrn.weights.store import (
    FOLDER,
    MANIFEST,
    SUFFIX,
    bundled,
    hash_of,
    installed,
    manifest,
    record,
    resolve,
    verify,
    verify_bundled,
)

__all__ = [
    "FOLDER",
    "MANIFEST",
    "SUFFIX",
    "Weights",
    "bundled",
    "fill",
    "hash_of",
    "installed",
    "load",
    "manifest",
    "record",
    "resolve",
    "verify",
    "verify_bundled",
    "write",
]

COUNTERS = "num_batches_tracked"  # of batch normalisation; plays no part in inference and is not stored


def write(
    path: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    metrics: Mapping[str, Any] | None = None,
    *,
    half: bool = True,
) -> str:
    """Write a weights file and its line of the manifest; returns the SHA-256.

    half : store convolution weights as fp16; vectors (biases, running variances, which may be very large or small)
        and, without `half`, everything else that is floating point as fp32
    Raises WeightsError when a number is not finite in the stored precision, OSError when the file cannot be written.
    """
    stored = {
        name: _stored(tensor, half).contiguous().cpu()
        for name, tensor in tensors.items()
        if not name.endswith(COUNTERS)
    }
    _check_finite(path, stored)
    texts = {"config": json.dumps(dict(config)), "metrics": json.dumps(dict(metrics or {}))}
    with replacing(path) as part:
        part.write_bytes(save(stored, texts))  # the package's own writer hides in its error what the system said
    return record(path)


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


def _stored(tensor: torch.Tensor, half: bool) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor
    return tensor.to(torch.float16 if half and tensor.ndim > 1 else torch.float32)


def _check_finite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: expected finite numbers in {name}, found NaN or infinity")


def _some(names: list[str], most: int = 3) -> str:
    if not names:
        return "none"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
