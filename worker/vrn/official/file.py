"""The released network in its Torch7 file: where each of its tensors is.

The module tree of the file is walked side by side with the nesting that :mod:`vrn.official.network` builds. Sizes may
differ from the released ones, the nesting may not: the first difference is an error that says where it is, what was
expected and what was found. Places are given as Lua counts them, from 1: ``8.2.1`` is ``net:get(8):get(2):get(1)``.

Source: nn and cudnn.torch (classes, fields and how they read old versions of themselves).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfie3d.types.frames import DEPTH_STEP
from vrn.errors import WeightsError
from vrn.official.torch7 import Function, Object, Storage, Table, Tensor, Value, load

TOP_BLOCKS = 3  # residual blocks of every full-resolution branch
MAX_LEVELS = 4  # 48 x 48 can be halved four times
MAX_CHILDREN = 64  # modules side by side
MAX_PARAMETERS = 100_000_000  # five times the released network


@dataclass(frozen=True)
class Parameter:
    """A tensor of the network, still in its file.

    Attributes
    ----------
    tensor : in the file
    shape : in our network
    eps : given where the file stores 1 / sqrt(variance + eps) instead of the variance
    """

    tensor: Tensor
    shape: tuple[int, ...]
    eps: float | None = None

    def array(self) -> NDArray[np.float32]:
        """A copy of the numbers; the file's pages are given back."""
        with np.errstate(over="ignore", divide="ignore"):
            array = np.array(self.tensor.array(), np.float32)
            if self.tensor.storage is not None:
                self.tensor.storage.release()
            if self.eps is not None:
                array = (array.astype(np.float64) ** -2.0 - self.eps).astype(np.float32)
            return array.reshape(self.shape)


@dataclass(frozen=True)
class OfficialNetwork:
    """The network of a file.

    Attributes
    ----------
    config : of :class:`vrn.official.network.OfficialConfig`, without `bn`
    parameters : its tensors by name
    """

    config: dict[str, Any]
    parameters: dict[str, Parameter]

    @property
    def size(self) -> int:
        """Number of learnt weights; the stored statistics are not counted."""
        return sum(prod(each.shape) for name, each in self.parameters.items() if "running_" not in name)


def read_official(path: str | Path) -> OfficialNetwork:
    """Find the network in a Torch7 file and check all of it.

    Raises WeightsError when the file is damaged, holds another network or a number that is not finite.
    """
    root = load(path)
    try:
        return _Walk().network(root)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


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
        self._parameters: dict[str, Parameter] = {}
        self._eps = 0.0  # not known yet
        self._count = 0

    def network(self, root: Value) -> OfficialNetwork:
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
        return OfficialNetwork({"family": "official", **config}, self._parameters)

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
        flat = (outputs, inputs * kernel * kernel)  # old records, and SpatialConvolutionMM
        weight = self._tensor(module, "weight", (outputs, inputs, kernel, kernel), flat)
        found = weight.size[0]
        module.check(nInputPlane=inputs, nOutputPlane=found)
        self._put(module, f"{name}.weight", Parameter(weight, (found, inputs, kernel, kernel)))
        self._put(module, f"{name}.bias", Parameter(self._tensor(module, "bias", (found,)), (found,)))
        return found

    def _normalisation(self, module: _Module, name: str, channels: int) -> None:
        record = module.expect("SpatialBatchNormalization")
        eps = module.field("eps")
        if isinstance(eps, bool) or not isinstance(eps, float) or not 0 < eps < 1 or eps != (self._eps or eps):
            raise WeightsError(f"expected eps = {self._eps or 1e-5} at {module.place}, found {eps}")
        self._eps = eps
        old = record.version < 2 and "running_std" in record.fields
        for field in ("weight", "bias", "running_mean", "running_std" if old else "running_var"):
            tensor = self._tensor(module, field, (channels,))
            ours = field.replace("running_std", "running_var")
            self._put(module, f"{name}.{ours}", Parameter(tensor, (channels,), eps if field == "running_std" else None))

    def _tensor(
        self, module: _Module, field: str, shape: tuple[int | None, ...], flat: tuple[int | None, ...] = ()
    ) -> Tensor:
        """A tensor of the expected size. flat : another size that is as good."""
        tensor, place = module.field(field), f"{field} of {module.kind} at {module.place}"
        if not isinstance(tensor, Tensor):
            raise WeightsError(f"expected a tensor of size {_sizes(shape)} as {place}, found {_describe(tensor)}")
        if not _fits(tensor.size, shape) and not (flat and _fits(tensor.size, flat)):
            raise WeightsError(f"expected size {_sizes(shape)} of {place}, found {_sizes(tensor.size)}")
        return tensor

    def _put(self, module: _Module, name: str, parameter: Parameter) -> None:
        """Check the numbers and remember where they are."""
        self._count += prod(parameter.shape)
        if self._count > MAX_PARAMETERS:
            raise WeightsError(f"expected at most {MAX_PARAMETERS} parameters, found more at {module.place}")
        field, array = name.rsplit(".", 1)[1], parameter.array()
        bad = ~np.isfinite(array)
        if field == "running_var":
            bad |= array + self._eps <= 0
        if bad.any():
            wanted = "positive finite" if field == "running_var" else "finite"
            raise WeightsError(
                f"expected {wanted} numbers in {field} of {module.kind} at {module.place}, "
                f"found {array[bad][0]} and {bad.sum() - 1} more that are not"
            )
        self._parameters[name] = parameter


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
