"""Networks of the official nesting as Torch7 would hold them, and what Torch7 would compute with them.

The evaluation walks the modules in float64 with the formulas of nn, so it knows nothing of our network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv2d, max_pool2d

from tests.torch7_writer import Instance, Tensor, Zeros, tensor


@dataclass(frozen=True)
class Sizes:
    """Channels and blocks; the defaults are a tiny network. outputs : samples along depth."""

    stem: int = 2
    middle: int = 3
    width: int = 6
    blocks: tuple[int, ...] = (2, 1)
    halves: int = 2
    outputs: int = 5


class Maker:
    """Makes a network module by module, with seeded random weights.

    prefix : of the classes with a twin in cudnn, `nn` or `cudnn`
    kind : of the tensors
    buffer : elements of the output that every module still holds, or 0
    """

    def __init__(self, sizes: Sizes, seed: int = 0, prefix: str = "nn", kind: str = "Float", buffer: int = 0) -> None:
        self.sizes, self.prefix, self.kind, self.buffer = sizes, prefix, kind, buffer
        self.random = np.random.default_rng(seed)

    def network(self) -> Instance:
        s = self.sizes
        modules = [self.convolution(3, s.stem, 7, 2), self.normalisation(s.stem), self.rectifier()]
        modules += [self.residual(s.stem, s.stem, 2 * s.stem), self.pooling()]
        modules += [self.residual(2 * s.stem, s.stem, 2 * s.stem), self.residual(2 * s.stem, s.middle, s.width)]
        for _ in range(s.halves):
            after = [self.block(), self.block()]
            modules += [
                self.container(
                    "ConcatTable", [self.plain("Identity"), self.container("Sequential", self.part() + after)]
                ),
                self.plain("CAddTable"),
            ]
        enlarge = self.plain("SpatialUpSamplingBilinear", scale_factor=4)
        head = [self.block(), self.convolution(s.width, s.outputs), enlarge, self.twin("Sigmoid")]
        return self.container(
            "Sequential", [*modules, self.container("ConcatTable", [self.container("Sequential", head)])]
        )

    def part(self, level: int = 0) -> list[Instance]:
        s = self.sizes
        top = [self.wide() for _ in range(3)]
        if level + 1 < len(s.blocks):
            top.append(self.container("Sequential", self.part(level + 1)))
        blocks = [self.wide() for _ in range(s.blocks[level])]
        bottom = [self.pooling(), *blocks, self.plain("SpatialUpSamplingNearest", scale_factor=2)]
        branches = [self.container("Sequential", top), self.container("Sequential", bottom)]
        return [self.container("ConcatTable", branches), self.plain("CAddTable"), self.wide()]

    def wide(self) -> Instance:
        return self.residual(self.sizes.width, self.sizes.middle, self.sizes.width)

    def residual(self, inputs: int, middle: int, outputs: int) -> Instance:
        modules: list[Instance] = []
        for a, b, kernel in ((inputs, middle, 1), (middle, middle, 3), (middle, outputs, 1)):
            modules += [self.normalisation(a), self.rectifier(), self.convolution(a, b, kernel)]
        skip = self.plain("Identity")
        if inputs != outputs:
            skip = self.container("Sequential", [self.convolution(inputs, outputs)])
        table = self.container("ConcatTable", [self.container("Sequential", modules), skip])
        return self.container("Sequential", [table, self.plain("CAddTable")])

    def block(self) -> Instance:
        width = self.sizes.width
        modules = [self.convolution(width, width), self.normalisation(width), self.rectifier()]
        return self.container("Sequential", modules)

    def convolution(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> Instance:
        bound = (3 / (inputs * kernel * kernel)) ** 0.5
        weight = self.random.uniform(-bound, bound, (outputs, inputs, kernel, kernel))
        sizes = {"nInputPlane": inputs, "nOutputPlane": outputs, "groups": 1}
        sides = {f"{name}{side}": value for side in "WH" for name, value in (("k", kernel), ("d", stride))}
        pads = {"padW": kernel // 2, "padH": kernel // 2}
        bias = self.tensor(self.random.normal(0, 0.1, outputs))
        return self.twin("SpatialConvolution", weight=self.tensor(weight), bias=bias, **sizes, **sides, **pads)

    def normalisation(self, channels: int) -> Instance:
        made = self.twin(
            "SpatialBatchNormalization",
            weight=self.tensor(self.random.uniform(0.5, 1.5, channels)),
            bias=self.tensor(self.random.normal(0, 0.2, channels)),
            running_mean=self.tensor(self.random.normal(0, 0.3, channels)),
            running_var=self.tensor(self.random.uniform(0.3, 2, channels)),
            eps=1e-5,
            momentum=0.1,
            affine=True,
        )
        made.version = "V 2"
        return made

    def pooling(self) -> Instance:
        sides = {f"{name}{side}": value for side in "WH" for name, value in (("k", 2), ("d", 2), ("pad", 0))}
        return self.twin("SpatialMaxPooling", **sides, ceil_mode=False, indices=Tensor(self.kind))

    def rectifier(self) -> Instance:
        return self.twin("ReLU", inplace=True, threshold=0, val=0)

    def container(self, name: str, modules: list[Instance]) -> Instance:
        return self.plain(name, modules=modules)

    def twin(self, name: str, **fields: Any) -> Instance:
        return self._module(f"{self.prefix}.{name}", fields)

    def plain(self, name: str, **fields: Any) -> Instance:
        return self._module(f"nn.{name}", fields)

    def _module(self, name: str, fields: dict[str, Any]) -> Instance:
        output = Tensor(self.kind)
        if self.buffer:
            output = Tensor("Float", (self.buffer,), (1,), 1, Zeros(self.buffer))
        shared = {"_type": f"torch.{self.kind}Tensor", "train": True, "output": output, "gradInput": Tensor(self.kind)}
        return Instance(name, shared | fields)

    def tensor(self, array: NDArray[np.floating]) -> Tensor:
        return tensor(array.astype(np.float32), self.kind)


def evaluate(module: Instance, x: Any, *, batch_statistics: bool) -> Any:
    """Forward `x`, a (1, channels, height, width) float64 array or a list of them, as Torch7's nn does."""
    name, fields = module.name.split(".")[1], module.fields
    if name == "Sequential":
        for child in fields["modules"]:
            x = evaluate(child, x, batch_statistics=batch_statistics)
        return x
    if name == "ConcatTable":
        return [evaluate(child, x, batch_statistics=batch_statistics) for child in fields["modules"]]
    if name == "CAddTable":
        return sum(x[1:], x[0])
    if name == "SpatialConvolution":
        weight, bias = (torch.from_numpy(numbers(fields[key])) for key in ("weight", "bias"))
        return conv2d(torch.from_numpy(x), weight, bias, stride=fields["dW"], padding=fields["padW"]).numpy()
    if name == "SpatialBatchNormalization":
        return _normalise(fields, x, batch_statistics)
    if name == "SpatialMaxPooling":
        return max_pool2d(torch.from_numpy(x), 2).numpy()
    if name == "SpatialUpSamplingNearest":
        return x.repeat(2, 2).repeat(2, 3)
    if name == "SpatialUpSamplingBilinear":
        return _bilinear(_bilinear(x, 2), 3)
    return {"Identity": lambda: x, "ReLU": lambda: np.maximum(x, 0), "Sigmoid": lambda: 1 / (1 + np.exp(-x))}[name]()


def numbers(stored: Tensor) -> NDArray[np.float64]:
    """The numbers of a contiguous tensor, as the file holds them."""
    return stored.storage.elements.astype(np.float64).reshape(stored.size)  # type: ignore[union-attr]


def _normalise(fields: dict[str, Any], x: NDArray[np.float64], batch_statistics: bool) -> Any:
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    if not batch_statistics:
        mean, variance = numbers(fields["running_mean"]), numbers(fields["running_var"])
    weight, bias = numbers(fields["weight"]), numbers(fields["bias"])
    weight = weight / np.sqrt(variance + fields["eps"])
    return (x - mean[:, None, None]) * weight[:, None, None] + bias[:, None, None]


def _bilinear(x: NDArray[np.float64], axis: int, factor: int = 4) -> Any:
    """Corners stay corners."""
    count = x.shape[axis]
    place = np.arange(count * factor) * (count - 1) / (count * factor - 1)
    before = np.minimum(place.astype(int), count - 2)
    share = (place - before).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return x.take(before, axis) * (1 - share) + x.take(before + 1, axis) * share
