"""Reads weights files into numpy arrays: what every engine starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from vrn.errors import WeightsError
from vrn.weights.store import verify

if TYPE_CHECKING:
    import torch

Config = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Weights:
    """What a weights file holds.

    Attributes
    ----------
    config : the network's configuration, `family` names its kind
    arrays : name to float32 array (integers stay integers)
    metrics : what was measured with these weights
    sha256 : of the file, hexadecimal
    """

    config: Config
    arrays: Arrays
    metrics: Config
    sha256: str

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """The arrays as tensors, which share their memory."""
        import torch  # here: the worker's own engine does without

        return {name: torch.from_numpy(array) for name, array in self.arrays.items()}


def load(path: Path) -> Weights:
    """Read and check a weights file.

    Raises WeightsError when it is missing, is no safetensors file, differs from its SHA-256, carries no
    configuration or holds a number that is not finite.
    """
    sha256 = verify(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: _single(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise WeightsError(f"{path} is no safetensors file: {error}") from error
    except TypeError as error:  # bfloat16, float8: numpy has no such numbers
        raise WeightsError(f"{path}: expected numbers of 16 or 32 bits that numpy knows ({error})") from error
    _check_finite(path, arrays)
    return Weights(
        _json(path, metadata, "config"), arrays, _json(path, {"metrics": "{}"} | metadata, "metrics"), sha256
    )


def _single(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array


def _check_finite(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise WeightsError(f"{path}: expected finite numbers in {name}, found NaN or infinity")


def _json(path: Path, metadata: Mapping[str, str], key: str) -> Config:
    try:
        value = json.loads(metadata[key])
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path}: expected JSON under {key!r} in the metadata, found none") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: expected an object under {key!r} in the metadata, found {type(value).__name__}")
    return value
