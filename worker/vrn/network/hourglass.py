"""The compact hourglass: a picture of 192 x 192 px to occupancy logits, depth as channels.

As in the paper the network regresses the volume with depth on the channel axis and no 3D convolution. Two things
differ: every column is a cubic B-spline along depth, so that the surface has no terraces, and the features of the
stem join in at 96 x 96, so that the silhouette has no steps.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows
from numpy.typing import NDArray
from torch import Tensor, nn

from vrn.bspline import cubic_bspline
from vrn.network.config import HourglassConfig

PICTURE_MEAN, PICTURE_SPREAD = 0.45, 0.25  # of RGB in 0..1 over ordinary photos


class Residual(nn.Module):
    """Pre-activation block of two 3x3 convolutions; keeps shape and channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.conv1(F.relu(self.norm1(x)))
        out: Tensor = x + self.conv2(F.relu(self.norm2(x1)))
        return out


class Level(nn.Module):
    """One level of the hourglass and, inside it, the next coarser one."""

    def __init__(self, widths: tuple[int, ...], bottom: int) -> None:
        super().__init__()
        self.skip = Residual(widths[0])
        self.out = Residual(widths[0])
        self.down = nn.Conv2d(widths[0], widths[1], 3, stride=2, padding=1)
        self.inner: nn.Module
        if len(widths) > 2:
            self.inner = Level(widths[1:], bottom)
        else:
            self.inner = nn.Sequential(*(Residual(widths[1]) for _ in range(bottom)))
        self.up = nn.Conv2d(widths[1], widths[0], 1)

    def forward(self, x: Tensor) -> Tensor:
        low = self.up(self.inner(self.down(x)))
        out: Tensor = self.out(self.skip(x) + _double(low))
        return out


class LateralHead(nn.Module):
    """Joins the features at 48 x 48 with the stem's at 96 x 96."""

    def __init__(self, deep: int, fine: int, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(deep, channels, 1)
        self.conv = nn.Conv2d(channels + fine, channels, 3, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, deep: Tensor, fine: Tensor, phase: tuple[int, int] | None) -> Tensor:
        """phase : (row, column) of the 2 x 2 phase of columns to compute, or None for all of them."""
        x = torch.cat([_double(self.reduce(deep)), fine], 1)
        if phase is None:
            x = F.conv2d(x, self.conv.weight, padding=1)
        else:
            row, column = phase
            x = F.conv2d(F.pad(x, (1, 1, 1, 1))[..., row:, column:], self.conv.weight, stride=2)
        return F.relu(self.norm(x))


class Hourglass(nn.Module):
    """See the module's text; built from a :class:`HourglassConfig`."""

    basis: Tensor

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        self.config = config
        first = config.widths[0]
        self.stem1 = nn.Conv2d(3, config.stem, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(config.stem)
        self.stem2 = nn.Conv2d(config.stem, first, 3, stride=2, padding=1)
        self.body = nn.Sequential(
            Level(config.widths, config.bottom) if len(config.widths) > 1 else Residual(first), Residual(first)
        )
        fine = config.columns == 96
        self.head = LateralHead(first, config.stem, config.lateral) if fine else None
        self.last_norm = nn.Identity() if fine else nn.BatchNorm2d(first)
        self.coefficients = nn.Conv2d(config.lateral if fine else first, config.coefficients, 1)
        self.register_buffer("basis", torch.from_numpy(spline_basis(config)), persistent=False)

    def forward(self, picture: Tensor, phase: tuple[int, int] | None = None, depth_stride: int = 1) -> Tensor:
        """Occupancy logits.

        picture : (n, 3, 192, 192) float32 - RGB in 0..1
        phase : with 96 columns, the 2 x 2 phase (row, column) of the columns to compute; None computes all
        depth_stride : compute every so-manieth sample along depth, from the first on

        Returns (n, depths, columns, columns) float32, or half the columns when a phase is given.
        """
        fine = F.relu(self.stem_norm(self.stem1((picture - PICTURE_MEAN) / PICTURE_SPREAD)))
        x = self.body(self.stem2(fine))
        x = self.head(x, fine, phase) if self.head is not None else F.relu(self.last_norm(x))
        spline = self.coefficients(x)
        with torch.autocast(spline.device.type, enabled=False):
            return F.conv2d(spline.float(), self.basis[::depth_stride, :, None, None])


class FieldPass(nn.Module):
    """The network as it is run: all of its columns and depths."""

    def __init__(self, network: Hourglass) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> Tensor:
        """picture : (n, 3, 192, 192) float32 - RGB in 0..1 -> (n, depths, columns, columns) logits."""
        logits: Tensor = self.network(picture)
        return logits


def spline_basis(config: HourglassConfig) -> NDArray[np.float32]:
    """(depths, coefficients) float32 - uniform cubic B-splines whose knots divide the field's depth evenly."""
    spans = config.coefficients - 3
    place = (np.arange(config.depths) + 0.5) / config.depths * spans  # in knots
    return cubic_bspline(place[:, None] - (np.arange(config.coefficients) - 1)).astype(np.float32)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
