"""The released network from its Torch7 file to a weights file of ours.

Only the tensors that the network needs are touched, one at a time and twice: to check them, and to copy them to the
new file. So a file of 1.6 GB with all its buffers is imported in a few megabytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.atomic_file import replacing
from vrn.errors import WeightsError
from vrn.official.config import STATISTICS
from vrn.official.file import Parameter, read_official
from vrn.weights.store import record

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}  # in safetensors and in numpy


@dataclass(frozen=True)
class Imported:
    """A finished import.

    Attributes
    ----------
    config : the network's configuration
    size : number of learnt weights
    path, sha256 : the file that was written
    """

    config: dict[str, Any]
    size: int
    path: Path
    sha256: str


def import_official(source: str | Path, target: Path, *, bn: str = "batch", half: bool = False) -> Imported:
    """Turn a Torch7 file into a weights file that `load_network` understands.

    target : the .safetensors file; written whole or not at all, and noted in the manifest beside it
    bn : what the normalisations use, `batch` as released or `running`
    half : store the convolutions' weights as fp16; biases and statistics stay fp32

    Raises WeightsError as :func:`vrn.official.file.read_official`, and where a number does not fit fp16.
    """
    if bn not in STATISTICS:
        raise WeightsError(f"bn: expected {' or '.join(STATISTICS)}, found {bn!r}")
    found = read_official(source)
    config = found.config | {"bn": bn}
    metrics = {"imported_from": Path(source).name, "parameters": found.size}
    try:
        with replacing(target) as part, part.open("wb") as file:
            _write(file, found.parameters, {"config": json.dumps(config), "metrics": json.dumps(metrics)}, half)
        return Imported(config, found.size, target, record(target))
    except OSError as error:
        raise WeightsError(f"{error.filename or target} cannot be written: {error.strerror or error}") from error


def _write(file: BinaryIO, parameters: Mapping[str, Parameter], texts: Mapping[str, str], half: bool) -> None:
    """Write safetensors tensor by tensor; the package's own writer wants all of them in memory at once."""
    kinds = {name: "F16" if half and len(each.shape) > 1 else "F32" for name, each in parameters.items()}
    header: dict[str, Any] = {"__metadata__": dict(texts)}
    offset = 0
    names = sorted(parameters, key=lambda name: (-_DTYPES[kinds[name]].itemsize, name))  # keeps them aligned
    for name in names:
        shape = parameters[name].shape
        end = offset + prod(shape) * _DTYPES[kinds[name]].itemsize
        header[name] = {"dtype": kinds[name], "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        file.write(_stored(name, parameters[name], _DTYPES[kinds[name]]).tobytes())


def _stored(name: str, parameter: Parameter, dtype: np.dtype[Any]) -> NDArray[Any]:
    array = parameter.array()
    with np.errstate(over="ignore"):
        stored = array.astype(dtype, copy=False)
    if not np.isfinite(stored).all():
        raise WeightsError(f"{name}: {np.abs(array).max():g} does not fit fp16, import with full precision")
    return stored
