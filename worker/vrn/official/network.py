"""The Volumetric Regression Network as its authors released it (vrn-unguided.t7), in PyTorch.

A stem to 48 x 48, two halves (each a recursive hourglass whose next level sits in the *full-resolution* branch, not in
the coarse one), and a head that regresses 200 depths per column, enlarges them four times and squashes them. Every
residual block is pre-activated: normalise, rectify, convolve, three times.

Two things decide whether the released weights give the released results. The enlargement aligns corners. And the
released script never left training mode, so every normalisation used the statistics of the picture itself; that is
`bn: batch` of the configuration, while `bn: running` uses the stored statistics, as later versions of nn did.

Source: Jackson et al., ICCV 2017, figure 3 and the module list of the released file.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from torch import Tensor, nn

from vrn.official.config import OfficialConfig

TOP_BLOCKS = 3  # residual blocks of every full-resolution branch


class Norm(nn.BatchNorm2d):
    """Batch normalisation for inference; with `per_image` by the statistics of each picture on its own."""

    def __init__(self, channels: int, config: OfficialConfig) -> None:
        super().__init__(channels, eps=config.eps)
        self.per_image = config.bn == "batch"

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to the same shape; no picture of a batch depends on another."""
        if not self.per_image:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        # one group per channel; with channels_last the same call loses three digits
        return F.group_norm(x.contiguous(), self.num_features, self.weight, self.bias, self.eps)


class OfficialResidual(nn.Module):
    """RES(inputs, middle, outputs): three pre-activated convolutions beside a skip."""

    def __init__(self, inputs: int, middle: int, outputs: int, config: OfficialConfig) -> None:
        super().__init__()
        self.norm1 = Norm(inputs, config)
        self.conv1 = nn.Conv2d(inputs, middle, 1)
        self.norm2 = Norm(middle, config)
        self.conv2 = nn.Conv2d(middle, middle, 3, padding=1)
        self.norm3 = Norm(middle, config)
        self.conv3 = nn.Conv2d(middle, outputs, 1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu_(self.norm1(x)))
        y = self.conv2(F.relu_(self.norm2(y)))
        y = self.conv3(F.relu_(self.norm3(y)))
        out: Tensor = y.add_(self.skip(x))
        return out


class Part(nn.Module):
    """One level of an hourglass: the full-resolution branch, which holds the next level, plus the coarse branch."""

    def __init__(self, config: OfficialConfig, level: int = 0) -> None:
        super().__init__()
        self.top = _residuals(TOP_BLOCKS, config)
        if level + 1 < len(config.blocks):
            self.top.append(Part(config, level + 1))
        self.bottom = _residuals(config.blocks[level], config)
        self.out = _residuals(1, config)[0]

    def forward(self, x: Tensor) -> Tensor:
        low = self.bottom(F.max_pool2d(x, 2))
        out: Tensor = self.out(self.top(x) + F.interpolate(low, scale_factor=2, mode="nearest"))
        return out


class Half(nn.Module):
    """One hourglass beside the identity."""

    def __init__(self, config: OfficialConfig) -> None:
        super().__init__()
        self.part = Part(config)
        self.after = nn.Sequential(_convolution(config), _convolution(config))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.after(self.part(x))
        return out


class Official(nn.Module):
    """See the module's text; built from an :class:`OfficialConfig`."""

    def __init__(self, config: OfficialConfig) -> None:
        super().__init__()
        self.config = config
        stem, middle, width = config.stem, config.middle, config.width
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 7, stride=2, padding=3), Norm(stem, config), nn.ReLU(inplace=True))
        self.residual1 = OfficialResidual(stem, stem, 2 * stem, config)
        self.residual2 = OfficialResidual(2 * stem, stem, 2 * stem, config)
        self.residual3 = OfficialResidual(2 * stem, middle, width, config)
        self.halves = nn.Sequential(*(Half(config) for _ in range(config.halves)))
        self.head = nn.Sequential(_convolution(config), nn.Conv2d(width, config.outputs, 1))

    @property
    def layout(self) -> torch.memory_format:
        """The faster one: channels last gains 3 % with stored statistics and loses 16 % with those of the picture."""
        return torch.contiguous_format if self.config.bn == "batch" else torch.channels_last

    def forward(self, picture: Tensor) -> Tensor:
        """Occupancy probabilities.

        picture : (n, 3, 192, 192) float - RGB in 0..1

        Returns (n, outputs, 192, 192) float of the same precision.
        """
        enlarged = F.interpolate(self.regress(picture), scale_factor=4, mode="bilinear", align_corners=True)
        return enlarged.sigmoid_()

    def regress(self, picture: Tensor) -> Tensor:
        """The same at 48 x 48 and before the sigmoid: (n, outputs, 48, 48)."""
        x = F.max_pool2d(self.residual1(self.stem(picture)), 2)
        x = self.halves(self.residual3(self.residual2(x)))
        out: Tensor = self.head(x)
        return out


def _residuals(count: int, config: OfficialConfig) -> nn.Sequential:
    return nn.Sequential(*(OfficialResidual(config.width, config.middle, config.width, config) for _ in range(count)))


def _convolution(config: OfficialConfig) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(config.width, config.width, 1), Norm(config.width, config), nn.ReLU(inplace=True))
