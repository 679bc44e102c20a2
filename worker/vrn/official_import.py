"""The released network from its Torch7 file to a weights file of ours.

The module tree of the file is walked side by side with the nesting that :mod:`vrn.network.official` builds. Sizes may
differ from the released ones, the nesting may not: the first difference stops the import and says where it is, what
was expected and what was found. Places are given as Lua counts them, from 1: ``8.2.1`` is ``net:get(8):get(2):get(1)``.

Only the tensors that the network needs are touched, one at a time, and their pages are given back, so that a file of
1.6 GB with all its buffers is imported in little more memory than the weights take. torch is not imported.

Source: nn and cudnn.torch (classes, fields and how they read old versions of themselves).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from vrn.errors import WeightsError
from vrn.frames import DEPTH_STEP
from vrn.torch7 import Function, Object, Storage, Table, Tensor, Value, load
from vrn.weights_store import record

Arrays = dict[str, NDArray[Any]]

STATISTICS = ("batch", "running")
TOP_BLOCKS = 3  # residual blocks of every full-resolution branch
MAX_LEVELS = 4  # 48 x 48 can be halved four times
MAX_CHILDREN = 64  # modules side by side
MAX_PARAMETERS = 100_000_000  # five times the released network


@dataclass(frozen=True)
class OfficialWeights:
    """What was found in the file.

    Attributes
    ----------
    config : of :class:`vrn.network.official.OfficialConfig`, without `bn`
    tensors : its tensors by name, float32
    """

    config: dict[str, Any]
    tensors: Arrays

    @property
    def parameters(self) -> int:
        """Number of learnt weights; the stored statistics are not counted."""
        return sum(array.size for name, array in self.tensors.items() if "running_" not in name)


@dataclass(frozen=True)
class Imported:
    """A finished import.

    Attributes
    ----------
    config : the network's configuration
    parameters : number of learnt weights
    path, sha256 : the file that was written
    """

    config: dict[str, Any]
    parameters: int
    path: Path
    sha256: str


def read_official(path: str | Path) -> OfficialWeights:
    """The network of a Torch7 file.

    Raises WeightsError when the file is damaged, holds another network or a number that is not finite.
    """
    root = load(path)
    try:
        return _Walk().network(root)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def import_official(source: str | Path, target: Path, *, bn: str = "batch", half: bool = False) -> Imported:
    """Turn a Torch7 file into a weights file that `load_network` understands.

    target : the .safetensors file; written whole or not at all, and noted in the manifest beside it
    bn : what the normalisations use, `batch` as released or `running`
    half : store the convolutions' weights as fp16; biases and statistics stay fp32

    Raises WeightsError as :func:`read_official`, and where a number does not fit fp16.
    """
    if bn not in STATISTICS:
        raise WeightsError(f"bn: expected {' or '.join(STATISTICS)}, found {bn!r}")
    found = read_official(source)
    if half:
        _halve(found.tensors)
    texts = {
        "config": json.dumps(found.config | {"bn": bn}),
        "metrics": json.dumps({"imported_from": Path(source).name, "parameters": found.parameters}),
    }
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file(found.tensors, part, texts)
        part.replace(target)
        return Imported(found.config | {"bn": bn}, found.parameters, target, record(target))
    except OSError as error:
        raise WeightsError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _halve(tensors: Arrays) -> None:
    for name, array in tensors.items():
        if array.ndim > 1:
            with np.errstate(over="ignore"):
                tensors[name] = array.astype(np.float16)
            if not np.isfinite(tensors[name]).all():
                raise WeightsError(f"{name}: {np.abs(array).max():g} does not fit fp16, import with full precision")


@dataclass(frozen=True)
class _Module:
    """A module of the tree and where it is."""

    value: Value
    place: str

    @property
    def kind(self) -> str:
        """The class without its backend: cudnn and nn name the same things."""
        if isinstance(self.value, Object):
            return self.value.class_name.removeprefix("nn.").removeprefix("cudnn.")
        return _describe(self.value)

    def expect(self, *kinds: str) -> Object:
        if not isinstance(self.value, Object) or self.kind not in kinds:
            raise WeightsError(f"expected {' or '.join(kinds)} at {self.place}, found {_describe(self.value)}")
        return self.value

    def field(self, name: str, default: Value = None) -> Value:
        return self.value.fields.get(name, default) if isinstance(self.value, Object) else None

    def children(self, kind: str, count: int | None = None) -> list[_Module]:
        """The modules inside this container, which must be `count` if that is given."""
        modules = self.expect(kind).fields.get("modules")
        values = modules.sequence() if isinstance(modules, Table) else []
        if (count is not None and len(values) != count) or len(values) > MAX_CHILDREN:
            wanted = f"{count}" if count is not None else f"up to {MAX_CHILDREN}"
            raise WeightsError(f"expected {wanted} modules in {kind} at {self.place}, found {len(values)}")
        prefix = "" if self.place == ROOT else f"{self.place}."
        return [_Module(value, f"{prefix}{number}") for number, value in enumerate(values, 1)]

    def check(self, **expected: float) -> None:
        """Compare numeric fields; one that is absent counts as its default."""
        for name, number in expected.items():
            found = self.field(name, DEFAULTS.get(name))
            if isinstance(found, bool) or found != number:
                raise WeightsError(f"expected {name} = {number} in {self.kind} at {self.place}, found {found}")


ROOT = "the root"
DEFAULTS = {"padW": 0.0, "padH": 0.0, "dW": 1.0, "dH": 1.0, "groups": 1.0, "threshold": 0.0, "val": 0.0}
CONVOLUTIONS = ("SpatialConvolution", "SpatialConvolutionMM")


class _Walk:
    """One walk through one network, collecting tensors under the names of our network."""

    def __init__(self) -> None:
        self._tensors: Arrays = {}
        self._eps: float | None = None
        self._count = 0

    def network(self, root: Value) -> OfficialWeights:
        modules = _Module(root, ROOT).children("Sequential")
        if len(modules) < 10 or len(modules) % 2:
            raise WeightsError(f"expected 12 modules in Sequential at {ROOT}, found {len(modules)}")
        stem = self._stem(modules[:3])
        self._residual(modules[3], "residual1", stem, stem, 2 * stem)
        self._pooling(modules[4])
        self._residual(modules[5], "residual2", 2 * stem, stem, 2 * stem)
        middle, width = self._residual(modules[6], "residual3", 2 * stem)
        levels = [
            self._half(modules[i], f"halves.{(i - 7) // 2}", middle, width) for i in range(7, len(modules) - 1, 2)
        ]
        for add in modules[8:-1:2]:
            add.expect("CAddTable")
        if any(other != levels[0] for other in levels):
            raise WeightsError(f"expected equal halves, found residual blocks {' and '.join(map(str, levels))}")
        outputs = self._head(modules[-1], width)
        sizes = {"stem": stem, "middle": middle, "width": width, "blocks": levels[0], "halves": len(levels)}
        config = sizes | {"outputs": outputs, "depth_step": DEPTH_STEP, "eps": self._eps}
        return OfficialWeights({"family": "official", **config}, self._tensors)

    def _stem(self, modules: Sequence[_Module]) -> int:
        stem = self._convolution(modules[0], "stem.0", 3, None, kernel=7, stride=2)
        self._normalisation(modules[1], "stem.1", stem)
        self._rectifier(modules[2])
        return stem

    def _half(self, module: _Module, name: str, middle: int, width: int) -> list[int]:
        identity, branch = module.children("ConcatTable", 2)
        identity.expect("Identity")
        parts = branch.children("Sequential", 5)
        blocks = self._part(parts[:3], f"{name}.part", middle, width)
        for index, convolution in enumerate(parts[3:]):
            self._convolution_block(convolution, f"{name}.after.{index}", width)
        return blocks

    def _part(self, modules: Sequence[_Module], name: str, middle: int, width: int, level: int = 1) -> list[int]:
        """ConcatTable(top, bottom), CAddTable, RES; returns the blocks of the bottom from this level inwards."""
        table, add, out = modules
        top, bottom = table.children("ConcatTable", 2)
        add.expect("CAddTable")
        full = top.children("Sequential")
        deepest = len(full) == TOP_BLOCKS
        if not deepest and (len(full) != TOP_BLOCKS + 1 or level == MAX_LEVELS):
            wanted = f"{TOP_BLOCKS} residual blocks" + (" and a level" if level < MAX_LEVELS else "")
            raise WeightsError(f"expected {wanted} at {top.place}, found {len(full)} modules")
        for index, block in enumerate(full[:TOP_BLOCKS]):
            self._residual(block, f"{name}.top.{index}", width, middle, width)
        inner: list[int] = []
        if not deepest:
            nested = full[TOP_BLOCKS].children("Sequential", 3)
            inner = self._part(nested, f"{name}.top.{TOP_BLOCKS}", middle, width, level + 1)
        count = self._bottom(bottom, f"{name}.bottom", middle, width)
        self._residual(out, f"{name}.out", width, middle, width)
        return [count, *inner]

    def _bottom(self, module: _Module, name: str, middle: int, width: int) -> int:
        modules = module.children("Sequential")
        if len(modules) < 3:
            raise WeightsError(f"expected at least 3 modules at {module.place}, found {len(modules)}")
        self._pooling(modules[0])
        for index, block in enumerate(modules[1:-1]):
            self._residual(block, f"{name}.{index}", width, middle, width)
        modules[-1].expect("SpatialUpSamplingNearest")
        modules[-1].check(scale_factor=2)
        return len(modules) - 2

    def _head(self, module: _Module, width: int) -> int:
        (branch,) = module.children("ConcatTable", 1)
        block, last, enlarge, squash = branch.children("Sequential", 4)
        self._convolution_block(block, "head.0", width)
        outputs = self._convolution(last, "head.1", width, None, kernel=1)
        enlarge.expect("SpatialUpSamplingBilinear")
        enlarge.check(scale_factor=4)
        squash.expect("Sigmoid")
        return outputs

    def _convolution_block(self, module: _Module, name: str, width: int) -> None:
        convolution, normalisation, rectifier = module.children("Sequential", 3)
        self._convolution(convolution, f"{name}.0", width, width, kernel=1)
        self._normalisation(normalisation, f"{name}.1", width)
        self._rectifier(rectifier)

    def _residual(
        self, module: _Module, name: str, inputs: int, middle: int | None = None, outputs: int | None = None
    ) -> tuple[int, int]:
        """A RES; sizes that are not given are taken from the file and returned."""
        table, add = module.children("Sequential", 2)
        branch, skip = table.children("ConcatTable", 2)
        add.expect("CAddTable")
        modules = branch.children("Sequential", 9)
        for rectifier in modules[1::3]:
            self._rectifier(rectifier)
        self._normalisation(modules[0], f"{name}.norm1", inputs)
        middle = self._convolution(modules[2], f"{name}.conv1", inputs, middle, kernel=1)
        self._normalisation(modules[3], f"{name}.norm2", middle)
        self._convolution(modules[5], f"{name}.conv2", middle, middle, kernel=3)
        self._normalisation(modules[6], f"{name}.norm3", middle)
        outputs = self._convolution(modules[8], f"{name}.conv3", middle, outputs, kernel=1)
        self._skip(skip, f"{name}.skip", inputs, outputs)
        return middle, outputs

    def _skip(self, module: _Module, name: str, inputs: int, outputs: int) -> None:
        if inputs == outputs:
            module.expect("Identity")
            return
        if module.kind == "Sequential":
            (module,) = module.children("Sequential", 1)
        self._convolution(module, name, inputs, outputs, kernel=1)

    def _pooling(self, module: _Module) -> None:
        module.expect("SpatialMaxPooling")
        module.check(kW=2, kH=2, dW=2, dH=2, padW=0, padH=0)

    def _rectifier(self, module: _Module) -> None:
        module.expect("ReLU")
        module.check(threshold=0, val=0)

    def _convolution(
        self, module: _Module, name: str, inputs: int, outputs: int | None, *, kernel: int, stride: int = 1
    ) -> int:
        """A convolution that keeps the size or divides it by `stride`; returns its outputs."""
        module.expect(*CONVOLUTIONS)
        padding = (kernel - 1) // 2
        old = module.field("padding")  # of both sides, before padW and padH
        if old is None:
            module.check(padW=padding, padH=padding)
        else:
            module.check(padding=padding)
        module.check(kW=kernel, kH=kernel, dW=stride, dH=stride, groups=1)
        shape = (outputs, inputs, kernel, kernel)
        weight = self._tensor(module, "weight", shape, flat=(outputs, inputs * kernel * kernel))
        found = len(weight)
        module.check(nInputPlane=inputs, nOutputPlane=found)
        self._put(f"{name}.weight", weight.reshape(found, inputs, kernel, kernel))
        self._put(f"{name}.bias", self._tensor(module, "bias", (found,)))
        return found

    def _normalisation(self, module: _Module, name: str, channels: int) -> None:
        record = module.expect("SpatialBatchNormalization")
        eps = module.field("eps")
        if isinstance(eps, bool) or not isinstance(eps, float) or not 0 < eps < 1 or eps != (self._eps or eps):
            raise WeightsError(f"expected eps = {self._eps or 1e-5} at {module.place}, found {eps}")
        self._eps = eps
        for field in ("weight", "bias", "running_mean"):
            self._put(f"{name}.{field}", self._tensor(module, field, (channels,)))
        if record.version < 2 and "running_std" in record.fields:  # 1 / sqrt(variance + eps)
            variance = (self._tensor(module, "running_std", (channels,)).astype(np.float64) ** -2 - eps).astype("f4")
        else:
            variance = self._tensor(module, "running_var", (channels,))
        if not (np.isfinite(variance) & (variance + eps > 0)).all():
            raise WeightsError(f"expected positive numbers in the running variance at {module.place}")
        self._put(f"{name}.running_var", variance)

    def _tensor(
        self, module: _Module, field: str, shape: tuple[int | None, ...], flat: tuple[int | None, ...] = ()
    ) -> NDArray[np.float32]:
        """A copy of a tensor, checked. flat : another shape that is as good."""
        tensor, place = module.field(field), f"{field} of {module.kind} at {module.place}"
        if not isinstance(tensor, Tensor):
            raise WeightsError(f"expected a tensor of size {_sizes(shape)} as {place}, found {_describe(tensor)}")
        if not _fits(tensor.size, shape) and not (flat and _fits(tensor.size, flat)):
            raise WeightsError(f"expected size {_sizes(shape)} of {place}, found {_sizes(tensor.size)}")
        self._count += int(np.prod(tensor.size, dtype=object))
        if self._count > MAX_PARAMETERS:
            raise WeightsError(f"expected at most {MAX_PARAMETERS} parameters, found more at {module.place}")
        with np.errstate(over="ignore"):
            array = np.array(tensor.array(), np.float32)
        if tensor.storage is not None:
            tensor.storage.release()
        if not np.isfinite(array).all():
            raise WeightsError(f"expected finite numbers in {place}, found {np.sum(~np.isfinite(array))} that are not")
        return array

    def _put(self, name: str, array: NDArray[np.float32]) -> None:
        self._tensors[name] = np.ascontiguousarray(array)


def _fits(size: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(size) == len(shape) and all(wanted in (None, n) for n, wanted in zip(size, shape, strict=True))


def _sizes(shape: tuple[int | None, ...]) -> str:
    return " x ".join("any" if n is None else str(n) for n in shape) or "0"


def _describe(value: Value) -> str:
    """What a value is, in words."""
    if isinstance(value, Object | Tensor | Storage):
        return value.class_name
    if isinstance(value, Table):
        return f"a table of {len(value)} entries"
    return {type(None): "nothing", bool: "a boolean", float: "a number", str: "a string", Function: "a function"}[
        type(value)
    ]
